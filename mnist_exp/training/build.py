"""From a checked experiment and its data to a trainer."""

import json
from typing import Any

import keras

from mnist_exp.config.identity import NOT_DEFINING
from mnist_exp.config.schema import Experiment
from mnist_exp.datasets.dataset import Dataset, Split
from mnist_exp.machine.model_files import Layers
from mnist_exp.models import preprocessing
from mnist_exp.models.build import build_model
from mnist_exp.training import augmentation, optimizers, schedules
from mnist_exp.training.device import Device
from mnist_exp.training.gradients import Gradients
from mnist_exp.training.loop import Trainer
from mnist_exp.training.steps import Steps

# Settings that do not change the graph of a step: they are its inputs, or select its images, or matter outside of a step.
INPUTS: dict[str, Any] = NOT_DEFINING | {
    "seed": True,
    "initial_weights_sha256": True,
    "dataset": True,
    "schedule": True,
    "evaluation": True,
    "optimizer": {"learning_rate", "weight_decay"},
    "training": {"epochs", "checkpoint_every", "label_smoothing", "select", "early_stopping_patience"},
}


def build_trainer(
    experiment: Experiment, data: Dataset, split: Split, device: Device, weights: Layers | None = None
) -> Trainer:
    """Build a trainer: a model, optimizer, schedule, and the training images on the current device.

    The layers in `weights` start with these, the others with random weights, which are the same in both cases.
    """
    images, labels = data.train_images[split.train], data.train_labels[split.train]
    image_shape, training, seed = images.shape[1:], experiment.training, experiment.seed
    scaling = preprocessing.build(experiment.preprocessing, data.train_images, split.train)
    model = build_model(experiment.model, scaling, image_shape, len(data.class_names))
    for name, arrays in (weights or {}).items():
        model.get_layer(name).set_weights(arrays)
    for name in experiment.freeze:
        model.get_layer(name).trainable = False
    key = _graph_key(experiment, scaling, image_shape, len(data.class_names), device)
    gradients = Gradients(
        model,
        optimizers.build(experiment.optimizer, experiment.precision, training.gradient_clip_norm),
        images,
        labels,
        augmentation.build(experiment.augmentation, image_shape, seed),
        training,
        seed,
        device,
    )
    steps = Steps(gradients, training, key)
    learning_rates = schedules.learning_rates(
        experiment.schedule,
        experiment.optimizer.learning_rate,
        schedules.steps_per_epoch(len(images), training.batch_size),
        training.epochs,
    )
    return Trainer(steps, learning_rates, training.batch_size, seed, key)


def _graph_key(
    experiment: Experiment, scaling: keras.Layer, image_shape: tuple[int, ...], classes: int, device: Device
) -> str:
    """Return everything that the graph of a step or of a prediction depends on, except towers and numbers of images."""
    settings = experiment.model_dump(mode="json", exclude=INPUTS)
    settings["model"]["dropout"] = bool(experiment.model.dropout)  # the rate is an input, the layers are not
    return json.dumps([settings, scaling.get_config(), image_shape, classes, device.name], sort_keys=True, default=str)
