"""From a checked experiment and its data to a trainer: the model with fresh weights, its optimizer and its schedule."""

import keras

from mnist_exp.config.schema import Experiment
from mnist_exp.datasets.dataset import Dataset, Split
from mnist_exp.models import preprocessing
from mnist_exp.models.build import build_model
from mnist_exp.run.evaluation import sha256
from mnist_exp.training import augmentation, optimizers, schedules
from mnist_exp.training.loop import Trainer


def build_trainer(experiment: Experiment, data: Dataset, parts: Split, towers: int, compiled: bool) -> Trainer:
    """The model with fresh weights, its optimizer and schedule, and the training images on the device."""
    images, labels = data.train_images[parts.train], data.train_labels[parts.train]
    scaling = preprocessing.build(experiment.preprocessing, images)
    training = experiment.training
    rates = schedules.learning_rates(
        experiment.schedule,
        experiment.optimizer.learning_rate,
        steps_per_epoch=schedules.steps_per_epoch(len(labels), training.batch_size),
        epochs=training.epochs,
    )
    return Trainer(
        model=build_model(experiment.model, scaling, data.train_images.shape[1:], len(data.class_names)),
        optimizer=optimizers.build(experiment.optimizer, experiment.precision, training.gradient_clip_norm),
        learning_rates=rates,
        images=images,
        labels=labels,
        batch_size=training.batch_size,
        augmentation=augmentation.build(experiment.augmentation, data.train_images.shape[1:], experiment.seed),
        label_smoothing=training.label_smoothing,
        ema_decay=training.ema_decay,
        seed=experiment.seed,
        towers=towers,
        compiled=compiled,
    )


def weights_sha256(model: keras.Model) -> str:
    """SHA-256 over the bytes of all weights in the order of the model: equal if and only if they are, bit for bit."""
    return sha256(*model.get_weights())
