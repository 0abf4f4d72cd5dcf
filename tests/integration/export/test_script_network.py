"""The network of the drawing page, in Node, against Keras: every kind of layer, activation and average of networks."""

import shutil
from pathlib import Path
from typing import get_args

import keras
import numpy as np
import pytest

from mnist_exp.config.networks import AnyLayer, NetworkConfig
from mnist_exp.config.settings import Activation
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.errors import InputError
from mnist_exp.export import node
from mnist_exp.export.script_network import convert
from mnist_exp.models import averaging
from mnist_exp.models.activations import activations_model
from mnist_exp.models.build import build_model
from mnist_exp.prediction.outliers import Detector, train_detector
from tests import sample_pages
from tests.conftest import compose
from tests.unit.export.test_drawing_page import scripts
from tests.unit.export.test_page_scripts import evaluated

CLASSES = 4
SCORES = """
(([{ network, weights, shape: [height, width, channels] }, images]) => {
  const model = NETWORK.load(network, weights)
  return images.map(data => {
    const record = NETWORK.newRecord()
    NETWORK.probabilities(model, { height, width, channels, data }, record)
    return NETWORK.strangeness(model, record)
  })
})(given)
"""
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 13, 11, 3)).astype(np.uint8)
LABELS = np.arange(40, dtype=np.uint8) % CLASSES
# Every kind of layer, in places where they cannot be folded and where they can.
LAYERS = (
    "[{name:noise,stddev:0.1},{name:conv,filters:5,kernel_size:3,strides:1,padding:same},{name:batch_norm,momentum:0.9},"
    "{name:activation},{name:residual,layers:[{name:batch_norm,momentum:0.9},{name:activation},"
    "{name:conv,filters:6,kernel_size:4,strides:2,padding:same},{name:batch_norm,momentum:0.9}]},{name:max_pool,pool_size:2},"
    "{name:residual,layers:[{name:conv,filters:6,kernel_size:3,strides:1,padding:same}]},"
    "{name:conv,filters:7,kernel_size:2,strides:1,padding:valid},{name:activation},{name:batch_norm,momentum:0.9},"
    "{name:dropout},{name:average_pool,pool_size:2},GLOBAL,{name:dense,units:9},{name:batch_norm,momentum:0.9},"
    "{name:activation},{name:logits},{name:batch_norm,momentum:0.9}]"
)
GLOBAL = {"pool": "{name:global_average_pool}", "flatten": "{name:flatten}"}


def network(activation: str = "relu", last: str = "pool", seed: int = 1) -> keras.Model:
    """Build a small network for colour images of an odd size, with weights and statistics as after a training."""
    overrides = (
        f"model.layers={LAYERS.replace('GLOBAL', GLOBAL[last])}",
        f"model.activation={activation}",
        "model.dropout=0.2",
    )
    config = compose("model=cnn", *overrides).model
    keras.utils.set_random_seed(seed)
    scaling = keras.layers.Rescaling([1 / 80, 1 / 60, 1 / 70], offset=[-1.5, -2.0, -1.7], name="standardize")
    model = build_model(config, scaling, IMAGES.shape[1:], CLASSES)
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            low, high = np.array([0.5, -0.5, -0.5, 0.3]), np.array([1.5, 0.5, 0.5, 3.0])
            layer.set_weights([generator.uniform(a, b, layer.gamma.shape) for a, b in zip(low, high, strict=True)])
    return model


def page_of(model: keras.Model, directory: Path, detector: Detector | None = None) -> Path:
    """Write the page of a model."""
    data = Dataset("colours", "0" * 64, {}, IMAGES, LABELS, IMAGES, LABELS, tuple("abcd"), None)
    return sample_pages.drawing(directory, data, convert(model, detector), np.asarray(model(IMAGES, training=False)))


def average() -> keras.Model:
    """Return an average over members, the first of which is one over shifts."""
    members = [averaging.over_shifts(network(seed=1), 1), network("tanh", "flatten", seed=2)]
    return averaging.over_members(members, "ensemble")


def difference(model: keras.Model, tmp_path: Path) -> float:
    """Return the largest difference of a probability between a page's script and Keras."""
    expected = np.asarray(model(IMAGES, training=False))
    page = page_of(model, tmp_path)
    probabilities = node.load(page)(IMAGES)
    assert np.ptp(probabilities, axis=0).min() > 0.005  # the images have different answers
    return float(np.abs(probabilities - expected).max())


def test_every_kind_of_layer_of_the_program_is_tested_here() -> None:
    kinds = {name for layer in get_args(AnyLayer) for name in get_args(layer.model_fields["name"].annotation)}
    for last in GLOBAL.values():
        kinds -= {kind for kind in kinds if f"name:{kind}" in LAYERS.replace("GLOBAL", last)}
    assert kinds == set()
    assert isinstance(compose("model=cnn").model, NetworkConfig)


@pytest.mark.skipif(shutil.which(node.PROGRAM) is None, reason="Node.js is not installed")
class TestInNode:
    def test_the_layers_give_the_probabilities_of_keras(self, tmp_path: Path) -> None:
        assert difference(network(), tmp_path) < 1e-3

    def test_every_activation_is_that_of_keras(self) -> None:
        numbers = np.linspace(-9, 9, 1001, dtype=np.float32)
        expression = "given[1].map(name => given[0].map(LAYERS.FUNCTIONS[name]))"
        names = get_args(Activation)
        for name, found in zip(names, evaluated(["layers.js"], expression, [numbers.tolist(), names]), strict=True):
            expected = np.asarray(keras.activations.get(name)(numbers))
            assert found == pytest.approx(expected, abs=2e-6), name

    def test_averages_over_shifts_and_over_members(self, tmp_path: Path) -> None:
        model = average()
        assert len(convert(model).networks) == 4  # the first member is there once, not for each of nine shifts
        assert difference(model, tmp_path) < 1e-3

    def test_the_detector_of_other_images_gives_the_scores_of_the_program(self, tmp_path: Path) -> None:
        model = average()
        features = np.asarray(activations_model(model)(IMAGES))
        detector = train_detector(features[:20], features[20:], seed=0)
        content, _ = scripts(page_of(model, tmp_path, detector).read_text())
        scores = evaluated(["layers.js", "network.js"], SCORES, [content, IMAGES.reshape(len(IMAGES), -1).tolist()])
        expected = detector.scores(features)
        assert np.ptp(expected) > 1
        assert scores == pytest.approx(expected, abs=2e-3)

    def test_weights_of_any_size(self, tmp_path: Path) -> None:
        model = network()
        layer, after = model.get_layer("conv_4"), model.get_layer("batch_norm_4")
        layer.set_weights([1e6 * layer.kernel, 1e6 * layer.bias])  # float16 would have no place for them
        gamma, beta, mean, variance = after.get_weights()
        after.set_weights([gamma, beta, 1e6 * mean, 1e12 * variance])
        assert difference(model, tmp_path) < 1e-3


def test_a_layer_without_a_script_is_refused() -> None:
    pixels = keras.Input((4, 4, 1), dtype="uint8")
    model = keras.Model(pixels, keras.layers.UpSampling2D()(pixels))
    with pytest.raises(InputError, match="UpSampling2D"):
        convert(model)
