"""`mnist-exp show [RUN|latest]`: the result of a run."""

from mnist_exp.commands import arguments as command_line
from mnist_exp.commands import results
from mnist_exp.commands.named_runs import find_run
from mnist_exp.errors import EXIT_DONE, IntegrityError
from mnist_exp.run.status import read_record
from mnist_exp.terminal import messages

EXAMPLES = """\
  mnist-exp show                      the latest run in runs/
  mnist-exp show 2026-11-22T07-35-03_cnn_large_s7
  mnist-exp show latest --runs-dir trials
"""


def main(arguments: list[str]) -> int:
    """Print the result of a run or, without a result, its status and the cause."""
    parser = command_line.parser("show", EXAMPLES)
    parser.add_argument("run", nargs="?", default="latest", metavar="RUN", help="a directory, its name, or latest")
    parsed = parser.parse_args(arguments)
    record = read_record(find_run(parsed.run, parsed.runs_dir).directory)
    if record.summary is not None:
        messages.output().print(results.summary_table(record.directory, record.summary))
        return EXIT_DONE
    if record.status == "unreadable":
        raise IntegrityError(f"{record.directory}: {record.cause}", f"write it again: mnist-exp resume {record.directory}")
    for line in (f"{record.directory}: {record.status}", record.cause, record.remedy):
        if line:
            messages.output().print(messages.cell(line))
    return EXIT_DONE
