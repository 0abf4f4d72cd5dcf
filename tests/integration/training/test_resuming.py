"""A resumed training is bit-identical to an uninterrupted one, and an epoch is saved before it is reported."""

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mnist_exp.config.identity import identity
from mnist_exp.config.schema import Experiment
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.errors import EnvironmentFailure
from mnist_exp.machine import signals
from mnist_exp.machine.files import array_sha256
from mnist_exp.runs.history import Epoch, best_epoch
from mnist_exp.runs.run import Run
from mnist_exp.training import checkpoints, epochs, loop
from mnist_exp.training.loop import Trainer
from mnist_exp.training.progress import Display
from tests.conftest import compose
from tests.integration.trainers import COUNT, NO_IMAGES, losses, no_progress, trainer_for


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop", "lion"])
def test_a_restored_training_is_bit_identical(optimizer: str, make_trainer: Callable[..., Trainer]) -> None:
    """The state is not copied before the training continues."""
    overrides = (f"optimizer={optimizer}", "schedule=cosine", "model.dropout=0.5")
    whole = make_trainer(*overrides)
    (first,) = losses(whole, 1)
    state = whole.state()
    rest = losses(whole, 2)

    resumed = make_trainer(*overrides, "seed=7")
    resumed.restore(state)
    assert losses(resumed, 2) == rest
    assert array_sha256(*resumed.model.get_weights()) == array_sha256(*whole.model.get_weights())
    assert first[0] > rest[1][0]


def test_a_state_of_a_compiled_training_does_not_change(digits: Dataset) -> None:
    """XLA may reuse the memory of a variable, but not while a state has it."""
    experiment = compose("model.units=[16]", "training.batch_size=32", "training.ema_decay=0.9")
    trainer = trainer_for(experiment, digits, use_xla=True)
    losses(trainer, 1)
    state = trainer.state()
    before = {name: np.array(value) for name, value in state.items()}
    losses(trainer, 1)
    assert all(np.array_equal(state[name], value) for name, value in before.items())
    changed = [name for name, value in trainer.state().items() if not np.array_equal(value, before[name])]
    assert len(changed) > 10


def test_a_training_stopped_within_an_epoch_is_bit_identical(make_trainer: Callable[..., Trainer]) -> None:
    """For any lengths of the chunks of steps before and after."""
    overrides = ("model.dropout=0.5", "training.ema_decay=0.9")
    whole = make_trainer(*overrides)
    expected = losses(whole, 3)

    stopped = make_trainer(*overrides)
    before = losses(stopped, 1)
    stopped._chunk = 3
    assert stopped.run_epoch(*NO_IMAGES, no_progress, lambda: True) is None
    assert (stopped.epoch, stopped.step) == (1, 3)
    resumed = make_trainer(*overrides)
    resumed.restore(stopped.state())
    assert before + losses(resumed, 2) == expected
    assert array_sha256(*resumed.model.get_weights()) == array_sha256(*whole.model.get_weights())


def test_an_epoch_stopped_at_its_end_is_finished(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer(f"training.batch_size={COUNT}")
    row = trainer.run_epoch(*NO_IMAGES, no_progress, lambda: True)
    assert row is not None
    assert (trainer.epoch, trainer.step) == (1, 0)


def test_the_remembered_weights_of_a_deep_network_keep_their_order(make_trainer: Callable[..., Trainer]) -> None:
    """A thousand layers may have several thousand weights."""
    trainer, resumed = make_trainer(), make_trainer()
    trainer._best = [np.array(number) for number in range(1200)]
    resumed.restore(trainer.state())
    assert np.array_equal(resumed._best, trainer._best)


def test_a_state_of_another_model_is_rejected(make_trainer: Callable[..., Trainer]) -> None:
    state = make_trainer().state()
    with pytest.raises(ValueError, match="another model"):
        make_trainer("model.units=[9]").restore(state)
    with pytest.raises(ValueError, match="another model"):
        make_trainer("optimizer=sgd").restore(state)


STATEFUL = (
    "schedule=cosine",
    "model.dropout=0.3",
    "training.ema_decay=0.9",
    "training.select=best",
    "training.early_stopping_patience=2",
    "training.epochs=12",
    "training.batch_size=32",
)


@contextlib.contextmanager
def signal_after(chunks: int | None) -> Iterator[Callable[[], bool]]:
    """Instead of `signals.deferred`: as if a signal arrived in that chunk of steps."""
    calls = itertools.count(1)
    yield lambda: chunks is not None and next(calls) >= chunks


class CheckingDisplay(Display):
    """A display that checks, when an epoch is reported, whether it is saved."""

    def __init__(self, run: Run, experiment: Experiment) -> None:
        self.saved: list[bool] = []
        self._run, self._experiment = run, experiment

    def epoch_done(self, row: Epoch) -> None:
        """Load the latest checkpoint, and the history."""
        latest, faults = checkpoints.load_latest(self._run.checkpoints, identity(self._experiment))
        rows = self._run.history.read_text().splitlines()[1:]
        self.saved.append(latest is not None and not faults and latest.epoch >= row.epoch <= len(rows))


@pytest.mark.parametrize(
    ("network", "precision"),
    [(("model.units=[16]",), "float32"), (("model=cnn_large", "model.filters=[4,3]", "model.units=[8]"), "bfloat16")],
    ids=["mlp", "cnn_large"],
)
def test_a_run_interrupted_within_epochs_has_the_same_result(
    network: tuple[str, ...], precision: str, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = compose(*network, *STATEFUL, f"precision={precision}", "progress=quiet")
    # The labels belong to other images: the validation error wanders, and training stops early.
    validation = digits.test_images[:300], digits.test_labels[300:600]
    monkeypatch.setattr(loop, "MAX_CHUNK", 6)  # of the 10 steps of an epoch

    def train(directory: Path, chunks: int | None) -> tuple[int, tuple[str, list[Epoch], bytes]]:
        """Train in sessions that each stop after some chunks of steps; return their number and the result."""
        run = Run(directory)
        directory.mkdir()
        monkeypatch.setattr(signals, "deferred", lambda: signal_after(chunks))
        for number in itertools.count(1):
            trainer = trainer_for(experiment, digits)
            display = CheckingDisplay(run, experiment)
            history, _ = epochs.resume(trainer, experiment, run)
            history = epochs.train(trainer, experiment, history, validation, run, display, 0.0)
            assert all(display.saved)
            if history and epochs._is_finished(history, experiment.training):
                trainer.select_weights("best")
                rows = [dataclasses.replace(row, seconds=0, images_per_second=0, compile_seconds=0) for row in history]
                return number, (array_sha256(*trainer.model.get_weights()), rows, trainer.predict(validation[0]).tobytes())
        raise AssertionError

    once, whole = train(tmp_path / "whole", None)
    rows = whole[1]
    assert once == 1
    assert best_epoch(rows) == rows[-1].epoch - 2  # stopped early, and the best is not the last
    assert len(rows) < experiment.training.epochs
    often, same = train(tmp_path / "within_epochs", 7)
    assert same == whole
    assert often > 2


def test_an_unsaved_epoch_is_not_reported(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = compose("model.units=[16]", "training.epochs=4", "training.batch_size=32", "progress=quiet")
    run, trainer = Run(tmp_path), trainer_for(experiment, digits)
    saved = checkpoints.save

    def save(directory: Path, checkpoint: checkpoints.Checkpoint) -> None:
        if checkpoint.epoch >= 2:  # that of epoch 2 may be left out, if epoch 3 is finished before the first is saved
            raise EnvironmentFailure("the disk is full", "free space")
        saved(directory, checkpoint)

    monkeypatch.setattr(checkpoints, "save", save)
    display = CheckingDisplay(run, experiment)
    with pytest.raises(EnvironmentFailure, match="the disk is full"):
        epochs.train(trainer, experiment, [], NO_IMAGES, run, display, 0.0)
    assert display.saved == [True]
    assert trainer.epoch <= 3


def test_training_does_not_wait_for_a_slow_disk(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = compose("model.units=[16]", "training.epochs=4", "training.batch_size=32", "progress=quiet")
    run, trainer = Run(tmp_path), trainer_for(experiment, digits)
    saved: list[int] = []
    save = checkpoints.save

    def save_slowly(directory: Path, checkpoint: checkpoints.Checkpoint) -> None:
        deadline = time.monotonic() + 60
        while saved and trainer.epoch < 4:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        saved.append(checkpoint.epoch)
        save(directory, checkpoint)

    monkeypatch.setattr(checkpoints, "save", save_slowly)
    display = CheckingDisplay(run, experiment)
    rows = epochs.train(trainer, experiment, [], NO_IMAGES, run, display, 0.0)
    assert saved[0] == 0
    assert saved[-1] == 4
    assert saved == sorted(set(saved))
    assert len(saved) < 5  # the states of some epochs were left out
    assert display.saved == [True] * 4
    latest, _ = checkpoints.load_latest(run.checkpoints, identity(experiment))
    assert latest is not None
    assert latest.history == rows
    assert all(np.array_equal(latest.state[name], value) for name, value in trainer.state().items())


def test_a_state_that_cannot_be_written_is_reported_before_training(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = compose("model.units=[16]", "training.epochs=4", "training.batch_size=32", "progress=quiet")
    trainer = trainer_for(experiment, digits)

    def save(*_: object) -> None:
        raise EnvironmentFailure("the disk is full", "free space")

    monkeypatch.setattr(checkpoints, "save", save)
    with pytest.raises(EnvironmentFailure, match="the disk is full"):
        epochs.train(trainer, experiment, [], NO_IMAGES, Run(tmp_path), Display(), 0.0)
    assert (trainer.epoch, trainer.step) == (0, 0)
