"""Every model, built from its YAML: raw pixels in, probabilities out."""

import keras
import numpy as np
import pytest

from mnist_exp.config.schema import Experiment
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.datasets.facts import Facts
from mnist_exp.errors import EnvironmentFailure
from mnist_exp.models import preprocessing
from mnist_exp.models.build import build_model
from mnist_exp.training import capacity, device
from mnist_exp.training.capacity import check_memory
from mnist_exp.training.prediction import images_at_once
from tests import synthetic
from tests.conftest import ROOT, compose

CPU, GPU = device.Device("/CPU:0", towers=1), device.Device("/GPU:1", towers=1)
MODELS = sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml"))
PARAMETERS = {
    "mlp": 623_290,
    "cnn_simple": 592_074,
    "cnn_large": 59_933,
    "cnn": 56_714,
    "cnn_5x5": 308_850,
    "cnn_deep": 327_282,
    "cnn_tiny": 9_774,
    "mlp_deep": 2_925_618,
    "resnet": 176_170,
}


def build(experiment: Experiment, images: np.ndarray) -> keras.Model:
    device.prepare("cpu", experiment.precision, experiment.threads, 200, experiment.seed)
    scaling = preprocessing.build(experiment.preprocessing, images)
    return build_model(experiment.model, scaling, (28, 28, 1), 10)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", MODELS)
def test_every_model_builds_and_predicts(name: str, precision: str, digits: Dataset) -> None:
    model = build(compose(f"model={name}", f"precision={precision}"), digits.train_images[:100])
    assert model.count_params() == PARAMETERS[name]
    assert model.input.dtype == "uint8"
    for images in (digits.test_images[:3], digits.test_images[:3, ..., 0], digits.test_images[:1]):
        probabilities = np.asarray(model(images))
        assert probabilities.dtype == np.float32
        assert probabilities.shape == (len(images), 10)
        assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_takes_colour_images_that_are_not_square_and_any_number_of_classes(name: str) -> None:
    data = synthetic.dataset((32, 28, 3), 100, train=20, test=2)
    scaling = preprocessing.build(compose("preprocessing=standardize").preprocessing, data.train_images)
    model = build_model(compose(f"model={name}").model, scaling, (32, 28, 3), 100)
    probabilities = np.asarray(model(data.test_images))
    assert probabilities.shape == (2, 100)
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("overrides", "gigabytes"),
    [
        (["model.units=[65536,65536]"], "34.6"),  # 4 bytes of 784·65536 + 65536² + 10·65536 weights, and of 65536² gradients
        (["model=cnn_tiny", "model.layers.0.filters=65536", "training.batch_size=500"], "88.6"),  # 26·26·65536·500·4
    ],
)
def test_a_network_that_does_not_fit_into_the_memory_is_not_built(
    overrides: list[str], gigabytes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnist_exp.machine.memory.available_bytes", lambda: 30 * 10**9)
    with pytest.raises(EnvironmentFailure, match=rf"needs at least {gigabytes} GB of memory, but 30\.0 GB are available"):
        check_memory(compose(*overrides), CPU)
    check_memory(compose(), CPU)


LARGE = Facts((256, 256, 3), tuple(map(str, range(100))), 60_000, "0")  # 11.8 GB


@pytest.mark.parametrize(
    ("target", "gpu", "available", "cause"),
    [
        (CPU, None, 30, "need at least 45.8 GB of memory, but 30.0 GB are available"),  # 11.8 + 3 · 10.8 + 1.5
        (GPU, (80, 0), 20, "need at least 33.4 GB of memory, but 20.0 GB are available"),  # 11.8 + 2 · 10.8
        (GPU, (80, 72), 90, "need at least 10.9 GB of the memory of GPU 1, but 10.0 GB are available"),  # 8 + 2 of its own
        (GPU, (80, 71), 90, None),
        (GPU, (80, 0), 90, None),
        (GPU, None, None, None),  # unknown
    ],
)
def test_images_that_do_not_fit_are_reported_before_they_are_loaded(
    target: device.Device,
    gpu: tuple[int, int] | None,
    available: int | None,
    cause: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    experiment = compose("model=cnn_large", "dataset.validation=5000")
    monkeypatch.setattr("mnist_exp.machine.memory.available_bytes", lambda: available and available * 10**9)
    monkeypatch.setattr(capacity, "gpu_memory", lambda index: gpu and index == 1 and tuple(part * 10**9 for part in gpu))
    monkeypatch.setattr(capacity, "own_bytes", lambda _: 2 * 10**9)  # of an earlier run of this process
    monkeypatch.setattr(capacity.datasets, "facts", lambda _: LARGE)
    if cause is None:
        check_memory(experiment, target)
        return
    with pytest.raises(EnvironmentFailure) as caught:
        check_memory(experiment, target)
    assert caught.value.cause == f"dataset=mnist: 55,000 training images of 256×256×3 pixels {cause}"
    assert "dataset.limit=N" in caught.value.remedy


def test_larger_images_are_predicted_in_smaller_batches() -> None:
    assert [images_at_once(shape) for shape in ((28, 28, 1), (8, 8, 3), (64, 64, 3), (256, 256, 1))] == [1000, 1000, 191, 11]


def test_the_tutorials_layers() -> None:
    images = np.zeros((1, 28, 28, 1), np.uint8)

    def layers(name: str) -> list[str]:
        return [layer.name for layer in build(compose(f"model={name}"), images).layers]

    head = ["pixels", "unit"]
    tail = ["logits", "probabilities"]
    assert layers("mlp") == [*head, "flatten", "dense_1", *tail]
    assert layers("cnn_simple") == [*head, "conv_1", "pool_1", "dropout", "flatten", "dense_1", *tail]
    assert layers("cnn_large") == [
        *head, "conv_1", "pool_1", "conv_2", "pool_2", "dropout", "flatten", "dense_1", "dense_2", *tail
    ]  # fmt: skip


def test_the_mlp_starts_from_a_normal_distribution() -> None:
    kernel = build(compose("model=mlp"), np.zeros((1, 28, 28, 1), np.uint8)).get_layer("dense_1").get_weights()[0]
    assert kernel.std() == pytest.approx(0.05, rel=0.01)
    assert kernel.mean() == pytest.approx(0, abs=1e-3)
    assert np.abs(kernel).max() > 0.15  # a uniform distribution with that standard deviation has a maximum of 0.087


def test_every_size_is_a_setting() -> None:
    overrides = [
        "model=cnn_large",
        "model.filters=[4,6]",
        "model.kernel_sizes=[3,2]",
        "model.pool_size=3",
        "model.dropout=0",
        "model.units=[7]",
        "model.activation=gelu",
        "model.initializer=he_normal",
    ]
    model = build(compose(*overrides), np.zeros((1, 28, 28, 1), np.uint8))
    assert model.get_layer("conv_1").kernel.shape == (3, 3, 1, 4)
    assert model.get_layer("conv_2").kernel.shape == (2, 2, 4, 6)
    assert model.get_layer("pool_1").output.shape == (None, 8, 8, 4)
    assert model.get_layer("dense_1").units == 7
    assert model.get_layer("dense_1").activation is keras.activations.gelu
    assert isinstance(model.get_layer("conv_1").kernel_initializer, keras.initializers.HeNormal)
    assert "dropout" not in [layer.name for layer in model.layers]
    mlp = build(compose("model.units=[5,6]", "model.dropout=0.5"), np.zeros((1, 28, 28, 1), np.uint8))
    assert [layer.name for layer in mlp.layers][3:-2] == ["dense_1", "dropout_1", "dense_2", "dropout_2"]


def test_unit_divides_by_255(digits: Dataset) -> None:
    layer = preprocessing.build(compose().preprocessing, digits.train_images[:10])
    assert np.asarray(layer(digits.test_images[:5])) == pytest.approx(digits.test_images[:5] / 255)


def test_standardize_uses_the_training_images(digits: Dataset) -> None:
    train = digits.train_images[:500]
    layer = preprocessing.build(compose("preprocessing=standardize").preprocessing, train)
    scaled = np.asarray(layer(train), np.float64)
    assert scaled.mean() == pytest.approx(0, abs=1e-4)
    assert scaled.std() == pytest.approx(1, abs=1e-4)
    assert np.asarray(layer(digits.test_images[:5])) == pytest.approx(
        (digits.test_images[:5] - train.mean()) / train.std(), abs=1e-4
    )
