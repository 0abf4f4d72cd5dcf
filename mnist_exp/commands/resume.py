"""`mnist-exp resume RUN|SWEEP`: continue in the same directory what was interrupted."""

from mnist_exp import config
from mnist_exp.commands import arguments as command_line
from mnist_exp.commands import results, sweep
from mnist_exp.errors import EXIT_FAILED, ConfigError, InputError, IntegrityError, Interrupted
from mnist_exp.experiment import train_or_resume
from mnist_exp.run.directory import read_config
from mnist_exp.run.names import Run
from mnist_exp.run.status import REBUILD_HINT, read_record
from mnist_exp.sweep import plan
from mnist_exp.terminal import messages
from mnist_exp.tracking.uploader_process import upload_in_background

EXAMPLES = """\
  mnist-exp resume latest
  mnist-exp resume runs/2026-11-22T07-35-03_cnn_large_s7
  mnist-exp resume runs/2026-11-22T07-40-12_sweep                          what is missing of a sweep
  mnist-exp resume runs/2026-11-22T07-40-12_sweep --retry-failed           and what failed
  mnist-exp resume runs/2026-11-22T07-40-12_sweep 'seed=range(10)'         and points that it did not have
"""


def main(arguments: list[str]) -> int:
    """Train what is left of a run or a sweep."""
    parser = command_line.parser("resume", "Continue an interrupted run or sweep.", EXAMPLES)
    parser.add_argument("place", metavar="RUN|SWEEP", help="a directory, its name, or latest")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="of a sweep: points to add, or how to run it")
    parser.add_argument("--retry-failed", action="store_true", help="of a sweep: train the jobs that failed once more")
    command_line.add_runs_dir(parser)
    parsed = parser.parse_intermixed_args(arguments)
    place = command_line.find_directory(parsed.place, parsed.runs_dir)
    if parsed.place == "latest" and plan.is_sweep(place.parent):
        place = place.parent
    if plan.is_sweep(place):
        return sweep.resume(place, parsed.overrides, parsed.retry_failed)
    if parsed.overrides or parsed.retry_failed:
        raise InputError(f"{place}: is no sweep", "a run goes on as it began: mnist-exp resume RUN")
    return _resume(command_line.find_run(parsed.place, parsed.runs_dir))


def _resume(run: Run) -> int:
    """Train what is left of a run, from its last whole checkpoint, to the result it would have had."""
    if read_record(run.directory).summary is not None:
        raise InputError(f"{run.directory}: is completed already", f"see it with: mnist-exp show {run.directory}")
    if run.ensemble.exists():
        raise InputError(f"{run.directory}: is an ensemble, which has no state to go on from", REBUILD_HINT)
    try:
        tree = read_config(run)
    except ValueError as error:
        raise IntegrityError(str(error), "the run cannot be resumed: train it again") from None
    try:
        experiment = config.validate(tree)
    except ConfigError:
        messages.note(
            f"{run.config}: is not as this version of mnist-exp writes it; what a run began with is not to be changed"
        )
        raise
    run.prune_request.unlink(missing_ok=True)  # of a search, which the user overrules
    if not any(run.checkpoints.glob("epoch_*")) and experiment.progress != "quiet":
        messages.note(f"{run.directory}: ended before its first checkpoint: training begins at the start")
    with upload_in_background(run.directory, experiment.tracker):
        try:
            code = train_or_resume(experiment, run)
        except (KeyboardInterrupt, Interrupted):
            results.print_run_result(run, EXIT_FAILED)
            raise
        return results.print_run_result(run, code)
