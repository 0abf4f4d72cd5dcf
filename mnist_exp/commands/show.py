"""`mnist-exp show [RUN|SWEEP|latest]`: the result of a run, or the leaderboard of a sweep."""

from mnist_exp.commands import arguments as command_line
from mnist_exp.commands import results
from mnist_exp.commands.named_runs import find_directory, run_in
from mnist_exp.errors import EXIT_DONE, IntegrityError
from mnist_exp.runs.status import read_record
from mnist_exp.sweep import plan
from mnist_exp.sweep.plan import Sweep
from mnist_exp.terminal import messages

EXAMPLES = """\
  mnist-exp show                      the latest run or sweep in runs/
  mnist-exp show 2026-11-22T07-35-03_cnn_large_s7
  mnist-exp show runs/2026-11-22T07-40-12_sweep
  mnist-exp show latest --runs-dir trials
"""


def main(arguments: list[str]) -> int:
    """Print the result of a run or, without a result, its status and the cause; for a sweep, its leaderboard."""
    parser = command_line.parser("show", EXAMPLES)
    parser.add_argument("run", nargs="?", default="latest", metavar="RUN|SWEEP", help="a directory, its name, or latest")
    parsed = parser.parse_args(arguments)
    place = find_directory(parsed.run, parsed.runs_dir)
    if plan.is_sweep(place):
        return results.print_sweep(Sweep(place))
    record = read_record(run_in(place).directory)
    if record.summary is not None:
        results.print_summary(record.directory, record.summary)
        return EXIT_DONE
    if record.status == "unreadable":
        raise IntegrityError(f"{record.directory}: {record.cause}", f"write it again: mnist-exp resume {record.directory}")
    for line in (f"{record.directory}: {record.status}", record.cause, record.remedy):
        if line:
            messages.print_line(line)
    return EXIT_DONE
