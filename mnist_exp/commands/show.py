"""`mnist-exp show [RUN|latest]`: the result of a run."""

from mnist_exp import runs
from mnist_exp.commands import arguments as command_line
from mnist_exp.commands import console, results
from mnist_exp.errors import EXIT_DONE

EXAMPLES = """\
  mnist-exp show                      the latest run below runs/
  mnist-exp show 2026-11-22T07-35-03_cnn_large_s7
  mnist-exp show latest --runs-dir trials
"""


def main(arguments: list[str]) -> int:
    """Print a run's result, or how far it got."""
    parser = command_line.parser("show", "Print the result of a run.", EXAMPLES)
    parser.add_argument("run", nargs="?", default="latest", metavar="RUN", help="a directory, its name, or latest")
    command_line.add_runs_dir(parser)
    parsed = parser.parse_args(arguments)
    record = runs.read(command_line.run_directory(parsed.run, parsed.runs_dir))
    if record.summary is not None:
        console.output().print(results.summary_table(record.directory, record.summary))
    else:
        console.output().print(f"{record.directory}: {record.status}", markup=False, highlight=False)
        if record.cause:
            console.output().print(record.cause, markup=False, highlight=False)
    return EXIT_DONE
