"""A state that goes on where it stopped, bit for bit, and is kept before it is told."""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mnist_exp.config.identity import identity
from mnist_exp.config.schema import Experiment
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.errors import EnvironmentFailure
from mnist_exp.machine import signals
from mnist_exp.run.history import Epoch, best_epoch
from mnist_exp.run.names import Run
from mnist_exp.training import checkpoints, epochs, loop
from mnist_exp.training.build import weights_sha256
from mnist_exp.training.loop import Trainer
from mnist_exp.training.progress import Display
from tests.conftest import compose
from tests.integration.trainers import COUNT, NO_IMAGES, losses, no_progress, trainer_for


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop", "lion"])
def test_a_restored_state_goes_on_bit_for_bit(optimizer: str, trainer: Callable[..., Trainer]) -> None:
    overrides = (f"optimizer={optimizer}", "schedule=cosine", "model.dropout=0.5")
    whole = trainer(*overrides)
    (first,) = losses(whole, 1)
    state = whole.state()
    rest = losses(whole, 2)

    resumed = trainer(*overrides, "seed=7")
    resumed.restore(state)
    assert losses(resumed, 2) == rest
    assert weights_sha256(resumed.model) == weights_sha256(whole.model)
    assert first[0] > rest[1][0]


def test_a_training_stopped_within_an_epoch_goes_on_bit_for_bit(trainer: Callable[..., Trainer]) -> None:
    """Whatever the length of the stretches before and after."""
    overrides = ("model.dropout=0.5", "training.ema_decay=0.9")
    whole = trainer(*overrides)
    expected = losses(whole, 3)

    stopped = trainer(*overrides)
    before = losses(stopped, 1)
    stopped._chunk = 3
    assert stopped.run_epoch(*NO_IMAGES, no_progress, lambda: True) is None
    assert (stopped.epoch, stopped.step) == (1, 3)
    resumed = trainer(*overrides)
    resumed.restore(stopped.state())
    assert before + losses(resumed, 2) == expected
    assert weights_sha256(resumed.model) == weights_sha256(whole.model)


def test_a_stop_at_the_end_of_an_epoch_leaves_it_done(trainer: Callable[..., Trainer]) -> None:
    made = trainer(f"training.batch_size={COUNT}")
    row = made.run_epoch(*NO_IMAGES, no_progress, lambda: True)
    assert row is not None
    assert (made.epoch, made.step) == (1, 0)


def test_the_kept_weights_of_a_deep_network_keep_their_order(trainer: Callable[..., Trainer]) -> None:
    """A thousand layers may have several thousand weights."""
    made, resumed = trainer(), trainer()
    made._best = [np.array(number) for number in range(1200)]
    resumed.restore(made.state())
    assert np.array_equal(resumed._best, made._best)


def test_a_state_of_another_model_is_refused(trainer: Callable[..., Trainer]) -> None:
    state = trainer().state()
    with pytest.raises(ValueError, match="another model"):
        trainer("model.units=[9]").restore(state)
    with pytest.raises(ValueError, match="another model"):
        trainer("optimizer=sgd").restore(state)


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
def signal_behind(stretches: int | None) -> Iterator[Callable[[], bool]]:
    """In place of `interruption.deferred`: as if a signal came within that stretch."""
    asked = itertools.count(1)
    yield lambda: stretches is not None and next(asked) >= stretches


class Told(Display):
    """A display that looks, when it is told of an epoch, whether the epoch is kept."""

    def __init__(self, run: Run, experiment: Experiment) -> None:
        self.kept: list[bool] = []
        self._run, self._experiment = run, experiment

    def epoch_done(self, row: Epoch) -> None:
        """Load the latest checkpoint, and the history."""
        latest, faults = checkpoints.load_latest(self._run.checkpoints, identity(self._experiment))
        rows = self._run.history.read_text().splitlines()[1:]
        self.kept.append(latest is not None and not faults and latest.epoch == row.epoch == len(rows))


@pytest.mark.parametrize(
    ("network", "precision"),
    [(("model.units=[16]",), "float32"), (("model=cnn_large", "model.filters=[4,3]", "model.units=[8]"), "bfloat16")],
    ids=["mlp", "cnn_large"],
)
def test_interrupted_at_every_epoch_a_run_ends_the_same(
    network: tuple[str, ...], precision: str, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = compose(*network, *STATEFUL, f"precision={precision}", "progress=quiet")
    # The labels belong to other images: the validation error wanders, and training stops early.
    validation = digits.test_images[:300], digits.test_labels[300:600]
    monkeypatch.setattr(loop, "LONGEST_CHUNK", 6)  # of the 10 steps of an epoch

    def train(directory: Path, stretches: int | None) -> tuple[int, tuple[str, list[Epoch], bytes]]:
        """Train by processes that each end behind so many stretches; how many, and what came of it."""
        run = Run(directory)
        directory.mkdir()
        monkeypatch.setattr(signals, "deferred", lambda: signal_behind(stretches))
        for number in itertools.count(1):
            made = trainer_for(experiment, digits)
            told = Told(run, experiment)
            history, _ = epochs.resume(made, experiment, run)
            history = epochs.train(made, experiment, history, validation, run, told, 0.0)
            assert all(told.kept)
            if history and epochs._is_finished(history, experiment.training):
                made.select_weights("best")
                rows = [dataclasses.replace(row, seconds=0, images_per_second=0) for row in history]
                return number, (weights_sha256(made.model), rows, made.predict(validation[0]).tobytes())
        raise AssertionError

    once, whole = train(tmp_path / "whole", None)
    rows = whole[1]
    assert once == 1
    assert best_epoch(rows) == rows[-1].epoch - 2  # stopped early, and the best is not the last
    assert len(rows) < experiment.training.epochs
    often, same = train(tmp_path / "within_epochs", 3)
    assert same == whole
    assert often > 2


def test_an_epoch_that_cannot_be_kept_is_not_told(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = compose("model.units=[16]", "training.epochs=4", "training.batch_size=32", "progress=quiet")
    run, made = Run(tmp_path), trainer_for(experiment, digits)
    saved = checkpoints.save

    def save(directory: Path, checkpoint: checkpoints.Checkpoint) -> None:
        if checkpoint.epoch == 2:
            raise EnvironmentFailure("the disk is full", "free space")
        saved(directory, checkpoint)

    monkeypatch.setattr(checkpoints, "save", save)
    told = Told(run, experiment)
    with pytest.raises(EnvironmentFailure, match="the disk is full"):
        epochs.train(made, experiment, [], NO_IMAGES, run, told, 0.0)
    assert told.kept == [True]
    assert made.epoch <= 3


def test_a_state_that_cannot_be_written_is_known_before_training(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = compose("model.units=[16]", "training.epochs=4", "training.batch_size=32", "progress=quiet")
    made = trainer_for(experiment, digits)

    def save(*_: object) -> None:
        raise EnvironmentFailure("the disk is full", "free space")

    monkeypatch.setattr(checkpoints, "save", save)
    with pytest.raises(EnvironmentFailure, match="the disk is full"):
        epochs.train(made, experiment, [], NO_IMAGES, Run(tmp_path), Display(), 0.0)
    assert (made.epoch, made.step) == (0, 0)
