"""The epochs of a run, from its last checkpoint to its end. An epoch is saved before it is reported."""

import logging
import shutil
import time
from collections import deque
from collections.abc import Callable
from functools import partial

import numpy as np

from mnist_exp.config.identity import identity
from mnist_exp.config.schema import Experiment, TrainingConfig
from mnist_exp.errors import EnvironmentFailure, IntegrityError, Pruned
from mnist_exp.machine import files, signals
from mnist_exp.machine.plain_data import LISTS, read_bytes, read_json
from mnist_exp.runs.history import Epoch, best_epoch, patience_exhausted
from mnist_exp.runs.run import Run
from mnist_exp.terminal import messages
from mnist_exp.training import checkpoints
from mnist_exp.training.background import Background
from mnist_exp.training.checkpoints import Checkpoint
from mnist_exp.training.loop import Trainer
from mnist_exp.training.progress import Display, epoch_line

log = logging.getLogger(__name__)


def resume(trainer: Trainer, experiment: Experiment, run: Run) -> tuple[list[Epoch], float]:
    """Restore a trainer from the run's last undamaged checkpoint, if any; return the history and the seconds spent up to it.

    Raises:
        InputError: the checkpoints belong to another experiment.
        IntegrityError: every checkpoint is damaged or missing.
        EnvironmentFailure: the disk has too little space for the run.
    """
    weights = sum(weight.nbytes for weight in trainer.model.get_weights())
    state = sum(np.asarray(array).nbytes for array in trainer.state().values())
    state += weights * (experiment.training.select == "best")
    latest, faults = checkpoints.load_latest(run.checkpoints, identity(experiment), state)
    for fault in faults:
        messages.warning(f"skipped a damaged checkpoint: {fault}")
    recorded = _recorded_epochs(run)
    if latest is None and recorded:
        cause = f"{run.checkpoints}: no checkpoint found, but history.csv has {recorded} epochs"
        raise IntegrityError(cause, "the run cannot be resumed: train it again")
    _check_space(run, state, weights)
    if latest is None:
        return [], 0.0
    if recorded - latest.epoch >= experiment.training.checkpoint_every:  # more than have no checkpoint as planned
        last = f"the last undamaged checkpoint is from epoch {latest.epoch}"
        messages.warning(f"history.csv has {recorded} epochs, but {last}: later epochs are trained again")
    try:
        trainer.restore(latest.state)
    except (ValueError, KeyError) as error:
        cause = f"{run.checkpoints}: {error}"
        raise IntegrityError(cause, "resume it with the versions in its environment.json, or train it again") from None
    if latest.history:
        files.write_table(run.history, latest.history, Epoch)  # it may be older than the checkpoint
    position = f"epoch {latest.epoch}" + (f", step {latest.step} of {trainer.steps_per_epoch}" if latest.step else "")
    log.info("resumed after %s", position)
    if experiment.progress != "quiet":
        messages.note(f"resumed after {position}")
    return latest.history, latest.wall_seconds


def train(
    trainer: Trainer,
    experiment: Experiment,
    history: list[Epoch],
    validation: tuple[np.ndarray, np.ndarray],
    run: Run,
    display: Display,
    start: float,
) -> list[Epoch]:
    """Train the remaining epochs.

    A state is copied from the device and written while the next epoch trains; if several epochs finish meanwhile, only the
    last of their states is written. The first is written before training, to find out at once whether that is possible.
    SIGINT and SIGTERM stop the training after the current chunk of steps; its state is saved.

    Args:
        trainer: at its first step, or restored by `resume`.
        experiment: the content of config.yaml.
        history: the finished epochs; the returned history includes them.
        validation: images, uint8 (n, height, width, channels), and labels, uint8 (n,).
        run: its directory.
        display: shows the progress.
        start: of the run, in seconds of `time.perf_counter`, less what earlier processes spent on it.

    Raises:
        Pruned: a search asked to stop; the checkpoints are up to date.
        DivergenceError: the loss or a weight is no longer finite; the checkpoints are from before.
        EnvironmentFailure: a state cannot be written; the earlier ones still exist.
        KeyboardInterrupt, Interrupted: a signal stopped the training; the state is saved.
    """
    training = experiment.training
    history = list(history)
    finished = bool(history) and _is_finished(history, training)

    def checkpoint() -> Checkpoint:
        state, seconds = trainer.state(), time.perf_counter() - start
        return Checkpoint(identity(experiment), trainer.epoch, trainer.step, seconds, state, list(history))

    records = Records(run, display, training.epochs, len(history))
    with signals.deferred() as interrupted, Background() as background:
        if not history and not trainer.step:
            checkpoints.save(run.checkpoints, checkpoint())
        while not finished and not run.prune_request.exists():
            row = trainer.run_epoch(*validation, display.steps_done, stop=lambda: interrupted() or background.failed)
            if row is None:
                background.do(records.task(history, checkpoint()))
                break
            history.append(row)
            finished, stopping = _is_finished(history, training), interrupted()
            if training.select == "best" and best_epoch(history) == row.epoch:
                trainer.remember_best()
            saves = finished or stopping or row.epoch % training.checkpoint_every == 0
            background.do(records.task(history, checkpoint() if saves else None))
            if stopping:
                break
    if not finished and run.prune_request.exists():
        raise Pruned(str(read_json(run.prune_request).get("cause")))
    return history


class Records:
    """What is written of finished epochs: the latest checkpoint, then `history.csv`, then a line for each."""

    def __init__(self, run: Run, display: Display, epochs: int, reported: int) -> None:
        """Write to a run's directory and show on a display; `reported` epochs of all `epochs` were shown before."""
        self._run, self._display, self._epochs, self._reported = run, display, epochs, reported
        self._unsaved: deque[Checkpoint] = deque(maxlen=1)  # a newer one replaces it

    def task(self, history: list[Epoch], checkpoint: Checkpoint | None) -> Callable[[], None]:
        """Return a task that writes all finished epochs, also those of earlier tasks that were left out."""
        if checkpoint is not None:
            self._unsaved.append(checkpoint)
        return partial(self._write, list(history))

    def _write(self, history: list[Epoch]) -> None:
        if self._unsaved:
            checkpoints.save(self._run.checkpoints, self._unsaved.pop())
        if self._reported == len(history):
            return
        files.write_table(self._run.history, history, Epoch)
        for row in history[self._reported :]:
            log.info("%s", epoch_line(row, self._epochs))
            self._display.epoch_done(row)
        self._reported = len(history)


def _recorded_epochs(run: Run) -> int:
    """Count the rows of history.csv, damaged or not."""
    try:
        return max(len(read_bytes(run.history, LISTS.size).splitlines()) - 1, 0)
    except OSError:
        return 0


def _is_finished(history: list[Epoch], training: TrainingConfig) -> bool:
    return history[-1].epoch == training.epochs or patience_exhausted(history, training.early_stopping_patience)


def _check_space(run: Run, state: int, weights: int) -> None:
    """Check, before hours of training, for space for the missing checkpoints, one more, the model and the report.

    Args:
        run: its directory.
        state: bytes of a checkpoint.
        weights: bytes of the model.
    """
    missing = checkpoints.KEPT + 1 - min(len(list(run.checkpoints.glob("epoch_*"))), checkpoints.KEPT)
    need = missing * state + weights + 4_000_000  # an upper estimate for predictions, figures, report and log
    with files.writing(run.directory):
        free = shutil.disk_usage(run.directory).free
    if free < need:
        raise EnvironmentFailure(
            f"{run.directory}: the run needs about {need / 1e6:.0f} MB, but only {free / 1e6:.1f} MB are free",
            "free disk space, or choose another directory with runs_dir=DIR",
        )
