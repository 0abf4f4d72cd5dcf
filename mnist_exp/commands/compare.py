"""`mnist-exp compare [RUN …]`: runs side by side."""

from pathlib import Path

from mnist_exp import comparison, runs
from mnist_exp.commands import arguments as command_line
from mnist_exp.comparison import tables
from mnist_exp.errors import EXIT_DONE, InputError

EXAMPLES = """\
  mnist-exp compare                          everything below runs/
  mnist-exp compare runs/2026-11-22T07-35-03_sweep
  mnist-exp compare --group                  mean ± standard deviation over the seeds of each configuration
  mnist-exp compare --group --format markdown
"""


def main(arguments: list[str]) -> int:
    """Print runs, best first, with the settings in which they differ."""
    parser = command_line.parser("compare", "Print runs side by side, best first.", EXAMPLES)
    parser.add_argument("runs", nargs="*", metavar="RUN", help="runs or directories of runs (default: all of --runs-dir)")
    parser.add_argument("--group", action="store_true", help="one line for each configuration, over its seeds")
    parser.add_argument("--format", choices=("table", "markdown"), default="table")
    command_line.add_runs_dir(parser)
    parsed = parser.parse_args(arguments)
    places = [command_line.directory_of(name, parsed.runs_dir) for name in parsed.runs] or [Path(parsed.runs_dir)]
    rows = comparison.gather(places)
    if not any(runs.is_run(row.record.directory) for row in rows):
        raise InputError(f"{', '.join(map(str, places))}: holds no run", "train one with mnist-exp")
    sheet = tables.of_groups(comparison.groups(rows)) if parsed.group else tables.of_runs(rows)
    if parsed.format == "markdown":
        print(tables.markdown(sheet))
    else:
        tables.show(sheet)
    return EXIT_DONE
