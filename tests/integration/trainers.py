"""Small trainers on real digits, in this process."""

from unittest import mock

import numpy as np

from mnist_exp.config.schema import Experiment
from mnist_exp.datasets.dataset import Dataset, Split
from mnist_exp.machine.model_files import Layers
from mnist_exp.training import build, device, threads
from mnist_exp.training.loop import Trainer

SMALL_CNN = ("model=cnn_large", "model.filters=[4,3]", "model.units=[8]", "training.batch_size=32", "training.epochs=3")
EVERY_AUGMENTATION = (
    "augmentation=affine",
    "augmentation.elastic_alpha=20",
    "augmentation.cutout_probability=0.5",
    "augmentation.mixup=0.3",
    "augmentation.flip=horizontal",
)
NO_IMAGES = np.empty((0, 28, 28, 1), np.uint8), np.empty(0, np.uint8)
COUNT = 300  # training images: 9 full batches of 32 and one of 12


def no_progress(epoch: int, seen: int, loss: float, error_percent: float) -> None:
    """Show nothing."""


def never() -> bool:
    """Do not stop."""
    return False


def losses(trainer: Trainer, epochs: int) -> list[tuple[float, float]]:
    """Train; return the loss and the error in percent of each epoch."""
    rows = [trainer.run_epoch(*NO_IMAGES, no_progress, never) for _ in range(epochs)]
    return [(row.train_loss, row.train_error_percent) for row in rows if row is not None]


def trainer_for(experiment: Experiment, digits: Dataset, use_xla: bool = False, weights: Layers | None = None) -> Trainer:
    """Build a trainer of the first 300 training images on the CPU."""
    requested, batch_size = threads.requested(experiment), experiment.training.batch_size
    with mock.patch.object(device, "_set_pools"):  # set once for all tests by a fixture: any number of towers is possible
        cpu = device.prepare("cpu", experiment.precision, requested, batch_size, experiment.seed)
    if use_xla:  # as on a GPU
        cpu = device.Device(cpu.name, towers=1)
    images = Split(np.arange(COUNT), np.arange(0))
    with mock.patch.object(device.Device, "uses_xla", use_xla):
        return build.build_trainer(experiment, digits, images, cpu, weights)
