"""TensorFlow with a device, for commands that use a trained network."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_exp.commands.arguments import primary_config
from mnist_exp.config.schema import ThreadsConfig
from mnist_exp.machine import backend

if TYPE_CHECKING:
    from mnist_exp.training.device import Device


def prepare_device(setting: str) -> "Device":
    """Prepare a device for predictions in float32, with the threads of conf/config.yaml; TensorFlow must be started."""
    from mnist_exp.training import device
    from mnist_exp.training.prediction import PREDICTION_BATCH

    threads = ThreadsConfig.model_validate(primary_config()["threads"])
    return device.prepare(setting, "float32", threads, PREDICTION_BATCH, seed=0)


@contextlib.contextmanager
def on_cpu() -> Iterator["Device"]:
    """Start TensorFlow and yield the CPU; its messages are dropped, since there is no log."""
    with backend.tensorflow(Path(os.devnull), quiet=False):
        yield prepare_device("cpu")
