"""Two builds of one network train to the same weights, bit for bit."""

import numpy as np

from mnist_exp.datasets.dataset import Dataset
from mnist_exp.machine.files import array_sha256
from tests.conftest import compose
from tests.integration.trainers import trainer_for

BUILDS = 6
# Residuals that change the shape: to 14×14, to other channels, and to a single pixel.
RESIDUALS = (
    "{name: residual, layers: [{name: conv, filters: 16, kernel_size: 3, strides: 2, padding: same}]}",
    "{name: residual, layers: [{name: conv, filters: 24, kernel_size: 3, strides: 1, padding: same}]}",
    "{name: residual, layers: [{name: conv, filters: 48, kernel_size: 3, strides: 14, padding: same}]}",
)


def test_every_build_of_a_residual_that_changes_the_shape_has_the_same_weights(digits: Dataset) -> None:
    """The fault of oneDNN that `training.forward._Pointwise` avoids: which gradients are fused depends on addresses."""
    layers = f"model.layers=[{','.join(RESIDUALS)},{{name: flatten}},{{name: logits}}]"
    experiment = compose("model=cnn", layers, "model.dropout=0", "precision=bfloat16", "threads.towers=1")
    batch, rates = np.arange(64, dtype=np.int32)[np.newaxis], np.array([0.001], np.float32)
    hashes = set()
    for _ in range(BUILDS):
        steps = trainer_for(experiment, digits).steps
        steps(batch, rates, 0)
        hashes.add(array_sha256(*steps.model.get_weights()))
    assert len(hashes) == 1
