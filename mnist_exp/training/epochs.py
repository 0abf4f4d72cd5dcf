"""The epochs of a run: from its last checkpoint to its end, each kept before it is told."""

import logging
import shutil
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from mnist_exp.config.identity import identity
from mnist_exp.config.schema import Experiment, TrainingConfig
from mnist_exp.errors import EnvironmentFailure, IntegrityError, Pruned
from mnist_exp.machine import files, signals
from mnist_exp.machine.plain_data import read_json
from mnist_exp.run.history import Epoch, best_epoch, patience_exhausted
from mnist_exp.run.names import Run
from mnist_exp.terminal import messages
from mnist_exp.training import checkpoints
from mnist_exp.training.background import Background
from mnist_exp.training.checkpoints import Checkpoint
from mnist_exp.training.loop import Trainer
from mnist_exp.training.progress import Display, epoch_line

log = logging.getLogger(__name__)

REPORT_BYTES = 4_000_000  # predictions, figures, report and log of a run, generously


def resume(trainer: Trainer, experiment: Experiment, run: Run) -> tuple[list[Epoch], float]:
    """Bring a trainer to where the run's last whole checkpoint is, if it has one.

    Returns:
        The history up to there, and the seconds that the run has taken up to there.

    Raises:
        InputError: the checkpoints are of another experiment.
        IntegrityError: there are or were checkpoints, and none is whole.
        EnvironmentFailure: the disk has no room for the run.
    """
    latest, faults = checkpoints.load_latest(run.checkpoints, identity(experiment))
    for fault in faults:
        messages.warning(f"checkpoint passed over: {fault}")
    told = _epochs_told(run)
    if latest is None and told:
        cause = f"{run.checkpoints}: there is no checkpoint, though history.csv has {told} epochs"
        raise IntegrityError(cause, "the run cannot be resumed: train it again")
    _check_space(trainer, experiment, run)
    if latest is None:
        return [], 0.0
    if told - latest.epoch >= experiment.training.checkpoint_every:  # fewer are due to have none
        kept = f"the last whole checkpoint is of epoch {latest.epoch}"
        messages.warning(f"history.csv has {told} epochs, {kept}: those since are repeated")
    try:
        trainer.restore(latest.state)
    except (ValueError, KeyError) as error:
        cause = f"{run.checkpoints}: {error}"
        raise IntegrityError(cause, "resume it with the versions in its environment.json, or train it again") from None
    if latest.history:
        files.write_table(run.history, latest.history, Epoch)  # the process may have ended between the checkpoint and this
    position = f"epoch {latest.epoch}" + (f", step {latest.step} of {trainer.steps_per_epoch}" if latest.step else "")
    log.info("resumed behind %s", position)
    if experiment.progress != "quiet":
        messages.note(f"resumed behind {position}")
    return latest.history, latest.wall_seconds


def train(
    trainer: Trainer,
    experiment: Experiment,
    history: list[Epoch],
    validation: tuple[np.ndarray, np.ndarray],
    run: Run,
    shown: Display,
    began: float,
) -> list[Epoch]:
    """Train the epochs that are left; the whole history.

    Every state is written while the next epoch trains, but for the first, which shows before anything is trained whether a
    state can be written. SIGINT and SIGTERM end the training behind the present stretch, its state kept.

    Raises:
        Pruned: a search has seen enough; the checkpoints are those of the epochs up to now.
        DivergenceError: the loss or a weight is not finite any more; the checkpoints are of the time before.
        EnvironmentFailure: a state cannot be written; the earlier ones are still there.
        KeyboardInterrupt, Interrupted: by the user or the system, when the state is kept.
    """
    training = experiment.training
    history = list(history)
    ended = bool(history) and _ended(history, training)

    def snapshot() -> Callable[[], None]:
        state = Checkpoint(
            identity(experiment), trainer.epoch, trainer.step, time.perf_counter() - began, trainer.state(), list(history)
        )
        return partial(checkpoints.save, run.checkpoints, state)

    with signals.deferred() as interrupted, Background() as background:
        if not history and not trainer.step:
            snapshot()()
        while not ended and not run.prune_request.exists():
            row = trainer.run_epoch(*validation, progress=shown.steps_done, stop=lambda: interrupted() or background.failed)
            if row is None:
                background.do(snapshot())
                break
            history.append(row)
            ended, stopping = _ended(history, training), interrupted()
            if training.select == "best" and best_epoch(history) == row.epoch:
                trainer.remember_best()
            keep = ended or stopping or row.epoch % training.checkpoint_every == 0
            background.do(partial(_tell, row, list(history), snapshot() if keep else None, experiment, run, shown))
            if stopping:
                break
    if not ended and run.prune_request.exists():
        raise Pruned(str(read_json(run.prune_request).get("cause")))
    return history


def _tell(
    row: Epoch, history: list[Epoch], save: Callable[[], None] | None, experiment: Experiment, run: Run, shown: Display
) -> None:
    """Keep an epoch, if it is to be kept, and only then say that it is done."""
    if save is not None:
        save()
    files.write_table(run.history, history, Epoch)
    log.info("%s", epoch_line(row, experiment.training.epochs))
    shown.epoch_done(row)


def _epochs_told(run: Run) -> int:
    """How many epochs history.csv has, in whatever state it is."""
    try:
        return max(len(run.history.read_bytes().splitlines()) - 1, 0)
    except OSError:
        return 0


def _ended(history: list[Epoch], training: TrainingConfig) -> bool:
    return history[-1].epoch == training.epochs or patience_exhausted(history, training.early_stopping_patience)


def _check_space(trainer: Trainer, experiment: Experiment, run: Run) -> None:
    """Before hours of training: room for the checkpoints that are not there yet, one more, the model and the report."""
    weights = sum(weight.nbytes for weight in trainer.model.get_weights())
    state = sum(array.nbytes for array in trainer.state().values())
    if experiment.training.select == "best":
        state += weights
    missing = checkpoints.KEPT + 1 - min(len(list(run.checkpoints.glob("epoch_*"))), checkpoints.KEPT)
    need = missing * state + weights + REPORT_BYTES
    with files.writing(run.directory):
        free = shutil.disk_usage(run.directory).free
    if free < need:
        raise EnvironmentFailure(
            f"{run.directory}: the run needs about {need / 1e6:.0f} MB there, and {free / 1e6:.1f} MB are free",
            "free space there, or choose another place with runs_dir=...",
        )
