"""From a checked experiment and its data to a trainer."""

from mnist_exp.config.schema import Experiment
from mnist_exp.datasets.dataset import Dataset, Split
from mnist_exp.models import preprocessing
from mnist_exp.models.build import build_model
from mnist_exp.training import augmentation, optimizers, schedules
from mnist_exp.training.device import Device
from mnist_exp.training.loop import Trainer
from mnist_exp.training.steps import Steps


def build_trainer(experiment: Experiment, data: Dataset, split: Split, device: Device) -> Trainer:
    """Build a trainer: a model with fresh weights, optimizer, schedule, and the training images on the current device."""
    images, labels = data.train_images[split.train], data.train_labels[split.train]
    image_shape, training, seed = images.shape[1:], experiment.training, experiment.seed
    scaling = preprocessing.build(experiment.preprocessing, images)
    model = build_model(experiment.model, scaling, image_shape, len(data.class_names))
    steps = Steps(
        model,
        optimizers.build(experiment.optimizer, experiment.precision, training.gradient_clip_norm),
        images,
        labels,
        augmentation.build(experiment.augmentation, image_shape, seed),
        training,
        seed,
        device,
    )
    learning_rates = schedules.learning_rates(
        experiment.schedule,
        experiment.optimizer.learning_rate,
        schedules.steps_per_epoch(len(images), training.batch_size),
        training.epochs,
    )
    return Trainer(steps, learning_rates, training.batch_size, seed)
