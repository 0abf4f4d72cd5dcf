"""`mnist-exp ensemble RUN|SWEEP|GLOB …`: average the probabilities of runs and evaluate the mean as a run."""

from functools import partial
from pathlib import Path

from mnist_exp.commands import arguments as command_line
from mnist_exp.commands import results
from mnist_exp.commands.named_runs import find_directories
from mnist_exp.comparison import tables
from mnist_exp.comparison.rows import Row
from mnist_exp.config.schema import ThreadsConfig
from mnist_exp.ensemble import members
from mnist_exp.ensemble.members import Ensemble
from mnist_exp.ensemble.ranking import columns, rank_members
from mnist_exp.errors import EXIT_FAILED, Interrupted
from mnist_exp.machine import backend, files
from mnist_exp.runs.directory import create_directory
from mnist_exp.runs.outcome import run_locked
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import REBUILD_HINT, read_record, write_status
from mnist_exp.runs.summary import Summary
from mnist_exp.terminal import messages

EXAMPLES = """\
  mnist-exp ensemble runs/2026-11-22T07-40-12_sweep             all completed runs of a sweep
  mnist-exp ensemble 2026-11-22T07-35-03_mlp_s7 latest --name two
  mnist-exp ensemble 'runs/*_cnn_large_s*'
"""


def main(arguments: list[str]) -> int:
    """Build an ensemble and print its ranking among its members."""
    parser = command_line.parser("ensemble", EXAMPLES)
    parser.add_argument("runs", nargs="+", metavar="RUN|SWEEP|GLOB", help="its members: runs, or directories of runs")
    parser.add_argument("--name", default="ensemble", metavar="NAME", help="its label (default: %(default)s)")
    parsed = parser.parse_args(arguments)
    name = command_line.checked_label(parsed.name)
    places = [place for word in parsed.runs for place in find_directories(word, parsed.runs_dir)]
    ensemble = members.read_ensemble(name, places)
    run = Run(create_directory(Path(parsed.runs_dir), name))
    files.write(run.ensemble, ensemble.to_yaml(run.directory).encode())
    write_status(run, "running")
    try:
        code = run_locked(run, partial(_average, ensemble, run), REBUILD_HINT)
    except (KeyboardInterrupt, Interrupted):
        results.print_run_result(run, EXIT_FAILED)
        raise
    record = read_record(run.directory)
    if record.summary is not None:
        board = rank_members(Row(run.directory.name, record), [member.row for member in ensemble.members])
        tables.print_comparison(board, columns(board), messages.output())
    return results.print_run_result(run, code)


def _average(ensemble: Ensemble, run: Run) -> Summary:
    defaults = command_line.primary_config()
    with backend.tensorflow(run.log, quiet=False):
        from mnist_exp.ensemble import build

        return build.build_ensemble(ensemble, run, defaults["device"], ThreadsConfig.model_validate(defaults["threads"]))
