"""TensorFlow is imported once for all tests of this folder; a small trainer."""

import os
import warnings
from collections.abc import Callable

import pytest

from mnist_exp.machine.backend import NOT_NEEDED, hidden

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

with warnings.catch_warnings(), hidden(*NOT_NEEDED):
    warnings.simplefilter("ignore")  # third parties' warnings during their import
    import keras
    import tensorflow as tf  # noqa: F401

from mnist_exp.datasets.dataset import Dataset
from mnist_exp.training import device
from mnist_exp.training.loop import Trainer
from tests.conftest import compose
from tests.integration.trainers import SMALL_CNN, trainer_for


@pytest.fixture(scope="session", autouse=True)
def _thread_pools() -> None:
    """Set the sizes of TensorFlow's thread pools, which it accepts once, as for a training."""
    experiment = compose()
    device.prepare("cpu", experiment.precision, experiment.threads, 200, experiment.seed)


@pytest.fixture(autouse=True)
def _precision() -> None:
    """Undo the precision of earlier tests, which a training sets for its process."""
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def make_trainer(digits: Dataset) -> Callable[..., Trainer]:
    """A function that builds a trainer of a small convolutional network with some overrides."""

    def make(*overrides: str) -> Trainer:
        return trainer_for(compose(*SMALL_CNN, *overrides), digits)

    return make
