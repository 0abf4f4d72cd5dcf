"""TensorFlow is imported once for all tests of this folder; small parts to train with."""

import os
import warnings
from collections.abc import Callable

import pytest

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what third parties warn of while they are imported is not ours to mend
    import keras  # noqa: F401
    import tensorflow as tf  # noqa: F401

from mnist_exp.datasets.dataset import Dataset
from mnist_exp.training import device
from mnist_exp.training.loop import Trainer
from tests.conftest import compose
from tests.integration.trainers import SMALL_CNN, trainer_for


@pytest.fixture(scope="session", autouse=True)
def _thread_pools() -> None:
    """TensorFlow takes the sizes of its thread pools when it first computes: those of training, whichever test is first."""
    experiment = compose()
    device.prepare("cpu", experiment.precision, experiment.threads, 200, experiment.seed)


@pytest.fixture
def trainer(digits: Dataset) -> Callable[..., Trainer]:
    """Make a trainer of a small convolutional network with some overrides."""

    def make(*overrides: str) -> Trainer:
        return trainer_for(compose(*SMALL_CNN, *overrides), digits)

    return make
