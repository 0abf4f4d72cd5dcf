"""`mnist-exp resume RUN|SWEEP`: continue an interrupted run or sweep in its directory; train a completed run longer."""

from mnist_exp.commands import arguments as command_line
from mnist_exp.commands import extension, one_run, resume_sweep
from mnist_exp.commands.extension import read_experiment
from mnist_exp.commands.named_runs import find_directory, run_in
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import InputError
from mnist_exp.runs.run import Run, refuse_special_files
from mnist_exp.runs.status import REBUILD_HINT, read_record
from mnist_exp.sweep import plan
from mnist_exp.terminal import messages

EXAMPLES = """\
  mnist-exp resume latest
  mnist-exp resume runs/2026-11-22T07-35-03_cnn_large_s7
  mnist-exp resume latest training.epochs=20                               train a completed run longer, as a new run
  mnist-exp resume runs/2026-11-22T07-40-12_sweep                          the remaining jobs of a sweep
  mnist-exp resume runs/2026-11-22T07-40-12_sweep --retry-failed           and the failed ones
  mnist-exp resume runs/2026-11-22T07-40-12_sweep 'seed=range(10)'         and new ones
  mnist-exp resume runs/2026-11-22T07-40-12_sweep --until-decided          further seeds of what is undecided
"""
OVERRIDES = "for a sweep: jobs to add, or how to run it; for a completed run: training.epochs=N, to train it longer"
UNTIL_DECIDED = "for a sweep: train further seeds of the configurations that are undecided against the best"


def main(arguments: list[str]) -> int:
    """Train the remaining epochs of a run, or the remaining jobs of a sweep."""
    parser = command_line.parser("resume", EXAMPLES)
    parser.add_argument("place", metavar="RUN|SWEEP", help="a directory, its name, or latest")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=OVERRIDES)
    parser.add_argument("--retry-failed", action="store_true", help="for a sweep: train failed jobs again")
    parser.add_argument("--until-decided", action="store_true", help=UNTIL_DECIDED)
    default = command_line.primary_config()["sweep"]["max_seeds"]
    most = f"with --until-decided: the most seeds of a configuration (default: {default})"
    parser.add_argument("--max-seeds", metavar="N", help=most)
    parsed = parser.parse_intermixed_args(arguments)
    place = find_directory(parsed.place, parsed.runs_dir)
    if plan.is_sweep(place):
        flags = [] if parsed.max_seeds is None else [f"sweep.max_seeds={parsed.max_seeds}"]
        flags += ["sweep.until_decided=true"] if parsed.until_decided else []
        return resume_sweep.resume(place, [*flags, *parsed.overrides], parsed.retry_failed)
    if parsed.retry_failed or parsed.until_decided or parsed.max_seeds is not None:
        raise InputError(f"{place}: not a sweep", "a run continues with its own settings: mnist-exp resume RUN")
    run = run_in(place)
    if not parsed.overrides:
        return one_run.train(prepare(run), run)
    chosen = parsed.runs_dir if parsed.runs_dir != command_line.primary_config()["runs_dir"] else None
    return extension.extend(run, parsed.overrides, chosen)


def prepare(run: Run) -> Experiment:
    """Check that a run can be resumed, and return its settings.

    Raises:
        InputError: it is completed, or an ensemble, or its settings are not those of this version.
        IntegrityError: one of its files is damaged, or a link.
    """
    if read_record(run.directory).summary is not None:
        raise InputError(f"{run.directory}: is already completed", f"show its result: mnist-exp show {run.directory}")
    if run.ensemble.exists():
        raise InputError(f"{run.directory}: is an ensemble, which cannot be resumed", REBUILD_HINT)
    refuse_special_files(*run.written_in_place)
    experiment = read_experiment(run)
    run.prune_request.unlink(missing_ok=True)  # the user overrules the search
    if not any(run.checkpoints.glob("epoch_*")) and experiment.progress != "quiet":
        messages.note(f"{run.directory}: has no checkpoint; training starts from the beginning")
    return experiment
