"""Several builds of one network train to the same weights, bit for bit."""

import numpy as np

from mnist_exp.datasets.dataset import Dataset
from mnist_exp.machine.files import array_sha256
from mnist_exp.training import graphs
from tests.conftest import compose
from tests.integration.trainers import trainer_for

BUILDS = 6
CONV = "{{name: conv, filters: {}, kernel_size: 3, strides: {}, padding: same}}"
BATCH_NORM = "{name: batch_norm, momentum: 0.95}, {name: activation}"
SHAPES = ((32, 2), (48, 1), (32, 14))  # filters and strides: a smaller image, other channels, a single pixel


def test_every_build_of_residuals_that_change_the_shape_has_the_same_weights(digits: Dataset) -> None:
    """Without `training.layers.Pointwise`, addresses in memory determine which gradients oneDNN fuses."""
    residuals = [f"{{name: residual, layers: [{BATCH_NORM}, {CONV.format(*shape)}]}}" for shape in SHAPES]
    layers = [CONV.format(16, 1), *residuals, BATCH_NORM, "{name: flatten}", "{name: logits}"]
    settings = ("precision=bfloat16", "model.dropout=0")
    experiment = compose("model=cnn", f"model.layers=[{', '.join(layers)}]", *settings)
    batch, rates = np.arange(64, dtype=np.int32)[np.newaxis], np.array([0.001], np.float32)
    hashes = set()
    for _ in range(BUILDS):
        graphs._graphs.clear()
        steps = trainer_for(experiment, digits).steps
        steps.compile(64)
        steps(batch, rates, 0)
        hashes.add(array_sha256(*steps.model.get_weights()))
    assert len(hashes) == 1
