"""The loop: Keras's own steps, the same numbers every time, and a state that goes on where it stopped."""

import contextlib
import dataclasses
import itertools
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from mnist_exp import evaluation, interruption, models, preprocessing
from mnist_exp.config.identity import identity
from mnist_exp.config.schema import Experiment
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.errors import DivergenceError, EnvironmentFailure
from mnist_exp.experiment import weights_sha256
from mnist_exp.progress import Quiet
from mnist_exp.runs import Run
from mnist_exp.training import checkpoints, device, epochs, loop, optimizers, schedules
from mnist_exp.training.history import Epoch, best_epoch
from mnist_exp.training.loop import Trainer
from tests.conftest import ROOT, compose

SMALL_CNN = ("model=cnn_large", "model.filters=[4,3]", "model.units=[8]", "training.batch_size=32", "training.epochs=3")
NOTHING = np.empty((0, 28, 28, 1), np.uint8), np.empty(0, np.uint8)
COUNT = 300  # 9 full batches of 32 and one of 12


def silent(epoch: int, seen: int, loss: float, error_percent: float) -> None:
    """A progress that nobody sees."""


def never() -> bool:
    """Do not stop."""
    return False


def losses(made: Trainer, epochs: int) -> list[tuple[float, float]]:
    """Train; the loss and the errors of each epoch."""
    found = []
    for _ in range(epochs):
        row = made.run_epoch(*NOTHING, silent, never)
        assert row is not None
        found.append((row.train_loss, row.train_error_percent))
    return found


@pytest.fixture
def trainer(digits: Dataset) -> Callable[..., Trainer]:
    def make(*overrides: str) -> Trainer:
        return trainer_for(compose(*SMALL_CNN, *overrides), digits)

    return make


def trainer_for(experiment: Experiment, digits: Dataset, compiled: bool = False) -> Trainer:
    training = experiment.training
    device.prepare("cpu", experiment.precision, experiment.threads, training.batch_size, experiment.seed)
    images, labels = digits.train_images[:COUNT], digits.train_labels[:COUNT]
    model = models.build(experiment.model, preprocessing.build(experiment.preprocessing, images), (28, 28, 1), 10)
    steps = -(-COUNT // training.batch_size)
    rates = schedules.learning_rates(experiment.schedule, experiment.optimizer.learning_rate, steps, training.epochs)
    optimizer = optimizers.build(experiment.optimizer, experiment.precision, training.gradient_clip_norm)
    return Trainer(
        model,
        optimizer,
        rates,
        images,
        labels,
        training.batch_size,
        training.label_smoothing,
        training.ema_decay,
        experiment.seed,
        device.towers("/CPU:0", experiment.threads, training.batch_size),
        compiled,
    )


OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop", "lion")
NETWORKS = (
    SMALL_CNN,
    ("model=cnn_simple", "model.filters=[4]", "model.units=[8]", "training.batch_size=32", "training.epochs=3"),
    ("model=mlp", "model.units=[16,8]", "training.batch_size=32", "training.epochs=3"),
)
VARIANTS = [
    *((network, (f"optimizer={name}",)) for network in NETWORKS for name in OPTIMIZERS),
    *(
        (SMALL_CNN, variant)
        for variant in (
            ("optimizer=sgd", "optimizer.nesterov=false"),
            ("optimizer=rmsprop", "optimizer.momentum=0.9"),
            ("optimizer=lion", "optimizer.weight_decay=0.1"),
            ("optimizer=adamw", "optimizer.weight_decay=0.1"),
            ("training.label_smoothing=0.1",),
            ("optimizer=sgd", "training.gradient_clip_norm=0.1"),
            ("model.activation=gelu",),  # the one that does not grow everywhere: pooled behind it
            ("model.activation=elu", "model.pool_size=3"),
            ("threads.towers=1",),
            ("threads.towers=5",),
        )
    ),
]


@pytest.mark.parametrize(("network", "variant"), VARIANTS, ids=lambda part: " ".join(part[:1] if len(part) > 4 else part))
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_steps_are_kerass_train_on_batch(
    network: tuple[str, ...], variant: tuple[str, ...], precision: str, digits: Dataset
) -> None:
    """20 steps: the same batches through Keras's own, dropout aside, whose masks depend on how often they are drawn."""
    overrides = (f"precision={precision}", "model.dropout=0", "schedule=cosine", *variant)
    experiment = compose(*network, *overrides)
    ours = trainer_for(experiment, digits)
    before = ours.model.get_weights()
    training = experiment.training

    theirs = keras.models.clone_model(ours.model)
    theirs.set_weights(before)
    settings = experiment.optimizer.model_dump(exclude={"name"}) | {"global_clipnorm": training.gradient_clip_norm}
    class_name = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD", "rmsprop": "RMSprop", "lion": "Lion"}[
        experiment.optimizer.name
    ]
    theirs.compile(
        optimizer=getattr(keras.optimizers, class_name)(**settings),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=training.label_smoothing),
        jit_compile=False,
    )
    rates = schedules.learning_rates(experiment.schedule, experiment.optimizer.learning_rate, 10, 3)
    targets = np.eye(10, dtype=np.float32)[digits.train_labels[:COUNT]]
    for step in range(20):
        order = np.random.default_rng([7, step // 10]).permutation(COUNT)
        batch = order[step % 10 * 32 : (step % 10 + 1) * 32]
        theirs.optimizer.learning_rate = rates[step]
        theirs.train_on_batch(digits.train_images[batch], targets[batch])

    losses(ours, 2)
    moved = max(np.abs(now - start).max() for start, now in zip(before, ours.model.get_weights(), strict=True))
    apart = [np.abs(mine - other) for mine, other in zip(ours.model.get_weights(), theirs.get_weights(), strict=True)]
    assert moved > 1e-3
    # Adam, RMSprop and Lion divide by or take the sign of gradients near zero, where the last bit decides: a few weights may
    # differ by whole steps (Lion's, in bfloat16, by several), the bulk may not.
    largest, mean = max(part.max() for part in apart), np.concatenate([part.ravel() for part in apart]).mean()
    assert mean < moved * (1e-5 if precision == "float32" else 2e-2)
    assert largest < moved * (0.02 if precision == "float32" else 1 if experiment.optimizer.name == "lion" else 0.5)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda part: part[0])
def test_compiled_by_xla_the_steps_are_the_same(network: tuple[str, ...], digits: Dataset) -> None:
    """As on a GPU."""
    found = []
    for compiled in (False, True):
        made = trainer_for(compose(*network, "model.dropout=0.3", "optimizer=sgd"), digits, compiled)
        found.append((losses(made, 2), made.model.get_weights()))
    (plain_losses, plain), (compiled_losses, compiled_weights) = found
    assert compiled_losses == [pytest.approx(pair, rel=1e-4) for pair in plain_losses]
    for one, other in zip(plain, compiled_weights, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(trainer: Callable[..., Trainer]) -> None:
    hashes = []
    for overrides in ((), (), ("seed=8",), ("precision=bfloat16",), ("precision=bfloat16",)):
        made = trainer(*overrides)
        hashes.append((losses(made, 2), weights_sha256(made.model)))
    assert hashes[0] == hashes[1]
    assert hashes[3] == hashes[4]
    assert len({weights for _, weights in hashes}) == 3


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
    stopped._stretch = 3
    assert stopped.run_epoch(*NOTHING, silent, lambda: True) is None
    assert (stopped.epoch, stopped.step) == (1, 3)
    resumed = trainer(*overrides)
    resumed.restore(stopped.state())
    assert before + losses(resumed, 2) == expected
    assert weights_sha256(resumed.model) == weights_sha256(whole.model)


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


class Told(Quiet):
    """A display that looks, when it is told of an epoch, whether the epoch is kept."""

    def __init__(self, run: Run, experiment: Experiment) -> None:
        self.kept: list[bool] = []
        self._run, self._experiment = run, experiment

    def epoch(self, row: Epoch) -> None:
        """Load the latest checkpoint, and the history."""
        latest, faults = checkpoints.load_latest(self._run.checkpoints, identity(self._experiment))
        rows = self._run.history.read_text().splitlines()[1:]
        self.kept.append(latest is not None and not faults and latest.epoch == row.epoch == len(rows))


@pytest.mark.parametrize(
    "network",
    [("model.units=[16]",), ("model=cnn_large", "model.filters=[4,3]", "model.units=[8]")],
    ids=["mlp", "cnn_large"],
)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_interrupted_at_every_epoch_a_run_ends_the_same(
    network: tuple[str, ...], precision: str, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = compose(*network, *STATEFUL, f"precision={precision}", "progress=quiet")
    # The labels belong to other images: the validation error wanders, and training stops early.
    validation = digits.test_images[:300], digits.test_labels[300:600]
    monkeypatch.setattr(loop, "LONGEST_STRETCH", 6)  # of the 10 steps of an epoch

    def train(directory: Path, stretches: int | None) -> tuple[int, tuple[str, list[Epoch], bytes]]:
        """Train by processes that each end behind so many stretches; how many, and what came of it."""
        run = Run(directory)
        directory.mkdir()
        monkeypatch.setattr(interruption, "deferred", lambda: signal_behind(stretches))
        for number in itertools.count(1):
            made = trainer_for(experiment, digits)
            told = Told(run, experiment)
            history, _ = epochs.resume(made, experiment, run)
            history = epochs.train(made, experiment, history, validation, run, told, 0.0)
            assert all(told.kept)
            if history and epochs._ended(history, experiment.training):
                made.finish("best")
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
        epochs.train(made, experiment, [], NOTHING, run, told, 0.0)
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
        epochs.train(made, experiment, [], NOTHING, Run(tmp_path), Quiet(), 0.0)
    assert (made.epoch, made.step) == (0, 0)


@pytest.mark.parametrize("count", [1, 2, 5, 1001])
def test_any_number_of_images_can_be_predicted(count: int, trainer: Callable[..., Trainer], digits: Dataset) -> None:
    made = trainer("threads.towers=4")
    images = digits.test_images[:1200]
    assert made.predict(images[:count]) == pytest.approx(made.predict(images)[:count], abs=1e-5)


def test_dropout_of_nearly_everything_is_still_defined(trainer: Callable[..., Trainer]) -> None:
    assert np.isfinite(losses(trainer("model.dropout=0.999999"), 1)).all()


def test_a_weight_that_is_not_finite_is_never_kept(trainer: Callable[..., Trainer]) -> None:
    """Within an epoch, where the loss of the last step has not seen its update."""
    made = trainer()
    rates = made.learning_rates.copy()
    made._stretch, rates[2] = 3, np.inf
    made.learning_rates = rates
    with pytest.raises(DivergenceError, match="is not finite in epoch 1, step 3"):
        made.run_epoch(*NOTHING, silent, lambda: True)


def test_a_stop_at_the_end_of_an_epoch_leaves_it_done(trainer: Callable[..., Trainer]) -> None:
    made = trainer(f"training.batch_size={COUNT}")
    row = made.run_epoch(*NOTHING, silent, lambda: True)
    assert row is not None
    assert (made.epoch, made.step) == (1, 0)


def test_a_state_of_another_model_is_refused(trainer: Callable[..., Trainer]) -> None:
    state = trainer().state()
    with pytest.raises(ValueError, match="another model"):
        trainer("model.units=[9]").restore(state)
    with pytest.raises(ValueError, match="another model"):
        trainer("optimizer=sgd").restore(state)


def test_an_epoch_is_measured(trainer: Callable[..., Trainer], digits: Dataset) -> None:
    made = trainer()
    seen = []
    row = made.run_epoch(digits.test_images[:50], digits.test_labels[:50], lambda *told: seen.append(told), never)
    assert row is not None
    assert row.epoch == made.epoch == 1
    assert seen[-1][:2] == (1, COUNT)
    assert row.train_loss == pytest.approx(seen[-1][2])
    assert row.train_error_percent == pytest.approx(seen[-1][3])
    assert row.validation_error_percent == pytest.approx(
        100 * np.mean(made.predict(digits.test_images[:50]).argmax(axis=1) != digits.test_labels[:50])
    )
    empty = made.run_epoch(*NOTHING, silent, never)
    assert empty is not None
    assert empty.validation_loss is None
    assert empty.validation_error_percent is None


def test_predictions_do_not_depend_on_dropout_or_batching(trainer: Callable[..., Trainer], digits: Dataset) -> None:
    made = trainer("model.dropout=0.9")
    images = digits.test_images[:1500]
    probabilities = made.predict(images)
    assert np.array_equal(probabilities, made.predict(images))
    assert probabilities[:10] == pytest.approx(made.predict(images[:10]), abs=1e-6)


def test_divergence_names_the_epoch_and_step(trainer: Callable[..., Trainer]) -> None:
    made = trainer("optimizer=sgd", "optimizer.learning_rate=100", "model.activation=leaky_relu")

    with pytest.raises(DivergenceError, match=r"the loss is (nan|inf) in epoch \d+, step \d+\n") as caught:
        losses(made, 3)
    assert caught.value.exit_code == 4


def test_a_device_that_is_not_there_is_refused() -> None:
    experiment = compose()
    with pytest.raises(EnvironmentFailure, match="TensorFlow sees only cpu") as caught:
        device.prepare("gpu:7", "float32", experiment.threads, 200, 7)
    assert caught.value.exit_code == 5
    with pytest.raises(EnvironmentFailure, match="needs a GPU"):
        device.prepare("auto", "float16", experiment.threads, 200, 7)


def test_threads_cannot_change_within_a_process(trainer: Callable[..., Trainer]) -> None:
    trainer()
    with pytest.raises(EnvironmentFailure, match="already runs with"):
        device.prepare("cpu", "float32", compose("threads.intra_op=3").threads, 200, 7)


def test_the_average_follows_its_formula_and_is_what_is_evaluated(trainer: Callable[..., Trainer], digits: Dataset) -> None:
    made = trainer("training.ema_decay=0.6", f"training.batch_size={COUNT}", "training.epochs=20")
    images, labels = digits.test_images[:50], digits.test_labels[:50]
    expected = made.model.get_weights()
    for step in range(1, 9):  # one step an epoch
        row = made.run_epoch(images, labels, silent, never)
        decay = min(0.6, (1 + step) / (10 + step))
        expected = [
            average + (1 - decay) * (weight - average)
            for average, weight in zip(expected, made.model.get_weights(), strict=True)
        ]
    assert row is not None
    trained = made.model.get_weights()
    made.finish("last")
    for average, weight in zip(expected, made.model.get_weights(), strict=True):
        assert average == pytest.approx(weight, abs=1e-6)
    assert max(np.abs(before - now).max() for before, now in zip(trained, made.model.get_weights(), strict=True)) > 1e-4
    assert evaluation.score(made.predict(images), labels)["loss"] == row.validation_loss


def test_what_was_kept_comes_back(trainer: Callable[..., Trainer], digits: Dataset) -> None:
    made = trainer()
    images, labels = digits.test_images[:50], digits.test_labels[:50]
    first = made.run_epoch(images, labels, silent, never)
    made.keep()
    second = made.run_epoch(images, labels, silent, never)
    assert first is not None
    assert second is not None
    resumed = trainer()
    resumed.restore(made.state())
    for one in (made, resumed):
        one.finish("last")
        assert evaluation.score(one.predict(images), labels)["loss"] == second.validation_loss
        one.finish("best")
        assert evaluation.score(one.predict(images), labels)["loss"] == first.validation_loss
    assert first.validation_loss != second.validation_loss


def test_everything_lives_on_the_chosen_device() -> None:
    """Two logical CPUs stand in for two GPUs; a process of its own, since devices are fixed once TensorFlow has started."""
    code = """
import sys, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from pathlib import Path
from mnist_exp import experiment, runs
from mnist_exp.training import device
from tests.conftest import TINY, compose
device._choose = lambda _: "/CPU:1"
found = []
original = experiment._trainer
def spy(*arguments):
    trainer = original(*arguments)
    for variable in [*trainer.model.variables, *trainer.optimizer.variables]:
        found.append(variable.value.device)
    return trainer
experiment._trainer = spy
run = runs.Run(Path(sys.argv[1]))
run.config.write_text("")
experiment.run(compose(*TINY, "model=cnn_simple", "model.filters=[2]", "progress=quiet"), run)
print(len(found), {name.rpartition("/")[2] for name in found})
"""
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run([sys.executable, "-c", code, place], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\d\d \{'device:CPU:1'\}", done.stdout.strip())
