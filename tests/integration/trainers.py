"""Small trainers on real digits, in this process."""

from unittest import mock

import numpy as np

from mnist_exp.config.schema import Experiment
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.machine.cores import usable_cores
from mnist_exp.models import preprocessing
from mnist_exp.models.build import build_model
from mnist_exp.training import augmentation, device, optimizers, schedules, threads
from mnist_exp.training.loop import Trainer

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


def trainer_for(experiment: Experiment, digits: Dataset, compiled: bool = False) -> Trainer:
    training = experiment.training
    with mock.patch.object(device, "_set_threads"):  # once for all, by a fixture: towers may then be any number
        device.prepare("cpu", experiment.precision, experiment.threads, training.batch_size, experiment.seed)
    images, labels = digits.train_images[:COUNT], digits.train_labels[:COUNT]
    model = build_model(experiment.model, preprocessing.build(experiment.preprocessing, images), (28, 28, 1), 10)
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
        augmentation.build(experiment.augmentation, (28, 28, 1), experiment.seed),
        training.label_smoothing,
        training.ema_decay,
        experiment.seed,
        threads.towers(threads.of(experiment), training.batch_size, True, usable_cores()),
        compiled,
    )
