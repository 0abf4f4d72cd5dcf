"""The training loop: reproducible, evaluated after each epoch, and stopped when a number is not finite."""

import gc
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorflow.python.framework.func_graph import FuncGraph

from mnist_exp import experiment
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.errors import DivergenceError, EnvironmentFailure
from mnist_exp.machine.files import array_sha256
from mnist_exp.report import run_page
from mnist_exp.runs import evaluation
from mnist_exp.runs.run import Run
from mnist_exp.training import device, graphs, optimizers
from mnist_exp.training.loop import Trainer
from tests.conftest import ROOT, TINY, compose
from tests.integration.trainers import COUNT, NO_IMAGES, losses, never, no_progress


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(make_trainer: Callable[..., Trainer]) -> None:
    hashes = []
    for overrides in ((), (), ("seed=8",), ("precision=bfloat16",), ("precision=bfloat16",)):
        trainer = make_trainer(*overrides)
        hashes.append((losses(trainer, 2), array_sha256(*trainer.model.get_weights())))
    assert hashes[0] == hashes[1]
    assert hashes[3] == hashes[4]
    assert len({weights for _, weights in hashes}) == 3


@pytest.mark.parametrize("count", [1, 2, 5, 1001])
def test_any_number_of_images_can_be_predicted(count: int, make_trainer: Callable[..., Trainer], digits: Dataset) -> None:
    trainer = make_trainer("threads.towers=4")
    images = digits.test_images[:1200]
    assert trainer.predict(images[:count]) == pytest.approx(trainer.predict(images)[:count], abs=1e-5)


def test_dropout_of_nearly_everything_is_finite(make_trainer: Callable[..., Trainer]) -> None:
    assert np.isfinite(losses(make_trainer("model.dropout=0.999999"), 1)).all()


def test_a_weight_that_is_not_finite_is_never_saved(make_trainer: Callable[..., Trainer]) -> None:
    """Within an epoch, where no loss depends on the last update yet."""
    trainer = make_trainer()
    rates = trainer.learning_rates.copy()
    trainer._chunk, rates[2] = 3, np.inf
    trainer.learning_rates = rates
    with pytest.raises(DivergenceError, match="is not finite in epoch 1, step 3"):
        trainer.run_epoch(*NO_IMAGES, no_progress, lambda: True)


def test_an_epoch_is_evaluated(make_trainer: Callable[..., Trainer], digits: Dataset) -> None:
    trainer = make_trainer()
    seen = []
    row = trainer.run_epoch(digits.test_images[:50], digits.test_labels[:50], lambda *progress: seen.append(progress), never)
    assert row is not None
    assert row.epoch == trainer.epoch == 1
    assert seen[-1][:2] == (1, COUNT)
    assert row.train_loss == pytest.approx(seen[-1][2])
    assert row.train_error_percent == pytest.approx(seen[-1][3])
    assert row.validation_error_percent == pytest.approx(
        100 * np.mean(trainer.predict(digits.test_images[:50]).argmax(axis=1) != digits.test_labels[:50])
    )
    empty = trainer.run_epoch(*NO_IMAGES, no_progress, never)
    assert empty is not None
    assert empty.validation_loss is None
    assert empty.validation_error_percent is None


def test_predictions_do_not_depend_on_dropout_or_batching(make_trainer: Callable[..., Trainer], digits: Dataset) -> None:
    trainer = make_trainer("model.dropout=0.9")
    images = digits.test_images[:1500]
    probabilities = trainer.predict(images)
    assert np.array_equal(probabilities, trainer.predict(images))
    assert probabilities[:10] == pytest.approx(trainer.predict(images[:10]), abs=1e-6)


def test_divergence_names_the_epoch_and_step(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer("optimizer=sgd", "optimizer.learning_rate=100", "model.activation=leaky_relu")

    with pytest.raises(DivergenceError, match=r"the loss is (nan|inf) in epoch \d+, step \d+\n") as caught:
        losses(trainer, 3)
    assert caught.value.exit_code == 4


def test_a_missing_device_is_rejected() -> None:
    experiment = compose()
    with pytest.raises(EnvironmentFailure, match="TensorFlow sees only cpu") as caught:
        device.prepare("gpu:7", "float32", experiment.threads, 200, 7)
    assert caught.value.exit_code == 5
    with pytest.raises(EnvironmentFailure, match="needs a GPU"):
        device.prepare("auto", "float16", experiment.threads, 200, 7)


def test_threads_cannot_change_within_a_process(make_trainer: Callable[..., Trainer]) -> None:
    make_trainer()
    with pytest.raises(EnvironmentFailure, match="already runs with"):
        device.prepare("cpu", "float32", compose("threads.intra_op=3").threads, 200, 7)


def test_the_average_follows_its_formula_and_is_evaluated(make_trainer: Callable[..., Trainer], digits: Dataset) -> None:
    trainer = make_trainer("training.ema_decay=0.6", f"training.batch_size={COUNT}", "training.epochs=20")
    images, labels = digits.test_images[:50], digits.test_labels[:50]
    expected = trainer.model.get_weights()
    for step in range(1, 9):  # one step an epoch
        row = trainer.run_epoch(images, labels, no_progress, never)
        decay = min(0.6, (1 + step) / (10 + step))
        expected = [
            average + (1 - decay) * (weight - average)
            for average, weight in zip(expected, trainer.model.get_weights(), strict=True)
        ]
    assert row is not None
    trained = trainer.model.get_weights()
    trainer.select_weights("last")
    for average, weight in zip(expected, trainer.model.get_weights(), strict=True):
        assert average == pytest.approx(weight, abs=1e-6)
    assert max(np.abs(before - now).max() for before, now in zip(trained, trainer.model.get_weights(), strict=True)) > 1e-4
    assert evaluation.score(trainer.predict(images), labels)["loss"] == row.validation_loss


def test_the_remembered_weights_are_selected(make_trainer: Callable[..., Trainer], digits: Dataset) -> None:
    trainer = make_trainer()
    images, labels = digits.test_images[:50], digits.test_labels[:50]
    first = trainer.run_epoch(images, labels, no_progress, never)
    trainer.remember_best()
    second = trainer.run_epoch(images, labels, no_progress, never)
    assert first is not None
    assert second is not None
    resumed = make_trainer()
    resumed.restore(trainer.state())
    for one in (trainer, resumed):
        one.select_weights("last")
        assert evaluation.score(one.predict(images), labels)["loss"] == second.validation_loss
        one.select_weights("best")
        assert evaluation.score(one.predict(images), labels)["loss"] == first.validation_loss
    assert first.validation_loss != second.validation_loss


def test_all_variables_are_on_the_chosen_device() -> None:
    """Two logical CPUs instead of two GPUs, in a new process: devices are fixed once TensorFlow has started."""
    code = """
import sys, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from pathlib import Path
from mnist_exp import experiment
from mnist_exp.runs.run import Run
from mnist_exp.training import build, device
from tests.conftest import TINY, compose
device._choose = lambda _: "/CPU:1"
found = []
original = build.build_trainer
def spy(*arguments):
    trainer = original(*arguments)
    for variable in [*trainer.model.variables, *trainer.steps.optimizer.variables]:
        found.append(variable.value.device)
    return trainer
build.build_trainer = spy
run = Run(Path(sys.argv[1]))
run.config.write_text("")
experiment.train(compose(*TINY, "model=cnn_simple", "model.filters=[2]", "progress=quiet"), run)
print(len(found), {name.rpartition("/")[2] for name in found})
"""
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run([sys.executable, "-c", code, place], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\d\d \{'device:CPU:1'\}", done.stdout.strip())


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # by Keras, when it saves a model
def test_a_run_that_stops_early_reports_the_rates_that_were_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(run_page, "write", lambda *arguments: given.extend(arguments))
    (tmp_path / "config.yaml").write_text("")
    early = ("training.epochs=40", "training.early_stopping_patience=1", "optimizer.learning_rate=0.03", "progress=quiet")
    summary = experiment.train(compose(*TINY, *early, "schedule=cosine"), Run(tmp_path))
    *_, history, rates, _data, _probabilities, _environment, _config = given
    assert len(history) == summary.epochs < 40
    assert len(rates) == summary.epochs * 9  # 550 images in batches of 64
    assert rates[-1] == np.float32(history[-1].learning_rate)


def test_no_graph_of_a_training_stays_in_memory(make_trainer: Callable[..., Trainer]) -> None:
    """A process trains hundreds of jobs of a sweep."""

    def train(*overrides: str) -> None:
        losses(make_trainer(*overrides), 1)

    def count() -> int:
        graphs._graphs.clear()
        gc.unfreeze()
        gc.collect()
        return sum(isinstance(found, FuncGraph) for found in gc.get_objects())

    before = count()
    for name in optimizers.CLASSES:
        train(f"optimizer={name}", "training.gradient_clip_norm=1")
    assert len(graphs._graphs) == graphs.KEPT  # all runs of a process together have no more
    assert count() <= before
