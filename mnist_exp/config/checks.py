"""Checks that need several sections or the machine: layers and image, sizes and data, device and hardware."""

from collections.abc import Callable, Iterator
from typing import Any

from mnist_exp import datasets
from mnist_exp.config import shapes
from mnist_exp.config.dataset import AnyDataset, FolderDatasetConfig
from mnist_exp.config.hydra_settings import OptunaSweeperConfig
from mnist_exp.config.networks import AnyModel, has_batch_norm
from mnist_exp.config.problems import nearest, not_allowed, remedy
from mnist_exp.config.schema import (
    AnyAugmentation,
    Experiment,
    NoAugmentationConfig,
    ScheduleSettings,
    ThreadsConfig,
    TrainingConfig,
)
from mnist_exp.config.trackers import AnyTracker, MlflowTrackerConfig
from mnist_exp.errors import ConfigError, Problem
from mnist_exp.machine import devices

LENGTHS = {"shift": "0", "elastic_sigma": "0.1", "cutout_size": "1"}  # settings in pixels, and the least value of each
HOLD_OUT = "hold some out with dataset.validation=null"  # the default share


def validation_images(dataset: AnyDataset) -> int:
    """Return the number of held-out images: that of the settings, or a share of a limit with one for each class at least.

    Args:
        dataset: of `resolved`.
    """
    if dataset.limit is None or dataset.validation_of == "used" or not dataset.validation:
        return dataset.validation or 0
    facts = datasets.facts(dataset.source)
    return max(round(dataset.limit * dataset.validation / facts.train_images), facts.classes)


def check_numbers(dataset: AnyDataset) -> Iterator[Problem]:
    """Yield the problems of numbers of images that the data set does not have."""
    facts = datasets.facts(dataset.source)
    least, most = facts.classes, facts.train_images
    if dataset.limit is not None and not least <= dataset.limit <= most:
        allowed = remedy(f"an integer from {least} to {most} or null")
        yield not_allowed("dataset.limit", dataset.limit, "not allowed", allowed)
    if dataset.validation is not None and not 0 <= dataset.validation < most:
        allowed = remedy(f"an integer from 0 to {most - 1} or null")
        yield not_allowed("dataset.validation", dataset.validation, "not allowed", allowed)
    if dataset.fingerprint != facts.fingerprint:
        instead = "use the same data as before; or accept these: write dataset.fingerprint=null"
        yield not_allowed("dataset.fingerprint", dataset.fingerprint, f"the data have {facts.fingerprint}", instead)


def check_groups(dataset: AnyDataset) -> Iterator[Problem]:
    """Yield the problem of a split by groups that the data set does not have, or without a seed to draw them."""
    if dataset.split == "groups" and not datasets.facts(dataset.source).has_groups:
        reason = f"{dataset.name} does not say which images belong together"
        instead = "; or set dataset.groups" if isinstance(dataset, FolderDatasetConfig) else ""
        yield not_allowed("dataset.split", "groups", reason, remedy("drawn, last") + instead)
    elif dataset.split == "groups" and dataset.split_seed is None:
        yield not_allowed("dataset.split_seed", None, "the groups are drawn", remedy("an integer from 0 to 4294967295"))


def check_layers(dataset: AnyDataset, model: AnyModel) -> Iterator[Problem]:
    """Yield the problems of an image that cannot pass through all layers."""
    try:
        shapes.check_model(model, datasets.facts(dataset.source).image_shape)
    except ConfigError as error:
        yield from error.problems


def check_lengths(dataset: AnyDataset, augmentation: AnyAugmentation) -> Iterator[Problem]:
    """Yield the problems of lengths in pixels that are larger than the longer side of the images."""
    if isinstance(augmentation, NoAugmentationConfig):
        return
    height, width, _ = datasets.facts(dataset.source).image_shape
    longer = max(height, width)
    for name, least in LENGTHS.items():
        if (value := getattr(augmentation, name)) > longer:
            number = "an integer" if isinstance(value, int) else "a number"
            reason = f"larger than the images of {height}×{width} pixels"
            yield not_allowed(f"augmentation.{name}", value, reason, remedy(f"{number} from {least} to {longer}"))


def check_towers(model: AnyModel, threads: ThreadsConfig) -> Iterator[Problem]:
    """Yield a problem of towers with batch normalization, which needs the statistics of whole batches."""
    if threads.towers not in (None, 1) and has_batch_norm(model):
        reason = "the model's batch_norm takes the mean of whole batches, not of parts"
        yield not_allowed("threads.towers", threads.towers, reason, remedy("1 or null"))


def check_batch_norm(model: AnyModel, training: TrainingConfig) -> Iterator[Problem]:
    """Yield a problem of batch normalization of a single image, which subtracts the image from itself."""
    if training.batch_size == 1 and has_batch_norm(model):
        reason = "the model's batch_norm subtracts the mean of the batch, which leaves nothing of a single image"
        yield not_allowed("training.batch_size", 1, reason, remedy("an integer ≥ 2"))


def check_sizes(dataset: AnyDataset, training: TrainingConfig) -> Iterator[Problem]:
    """Yield a problem unless each class can be on both sides of the validation split and training images fill a batch."""
    if any(check_numbers(dataset)):
        return
    facts = datasets.facts(dataset.source)
    total, validation = dataset.limit or facts.train_images, validation_images(dataset)
    train = total - validation
    if validation and not facts.classes <= validation <= total - facts.classes:
        least = 2 * facts.classes
        if total < least or (dataset.limit is not None and dataset.validation_of == "all"):
            allowed = remedy(f"an integer ≥ {least}") + "; or use no validation images: write dataset.validation=0"
            yield not_allowed("dataset.limit", dataset.limit, f"holds out {validation} of {total} images", allowed)
        else:
            allowed = remedy(f"null, 0, or an integer from {facts.classes} to {total - facts.classes}")
            yield not_allowed("dataset.validation", dataset.validation, f"holds out {validation} of {total} images", allowed)
    elif training.batch_size > train:
        allowed = remedy(f"an integer from 1 to {train}")
        yield not_allowed("training.batch_size", training.batch_size, f"more than the {train} training images", allowed)


def check_selection(dataset: AnyDataset, training: TrainingConfig) -> Iterator[Problem]:
    """Yield a problem for each setting that compares epochs without validation images; test images are never used for it."""
    for name, default in {"select": "last", "early_stopping_patience": None}.items():
        if (value := getattr(training, name)) != default and not validation_images(dataset):
            reason = "there are no validation images to compare epochs by"
            yield not_allowed(f"training.{name}", value, reason, f"{HOLD_OUT}, or leave it out")


def check_warmup(schedule: ScheduleSettings, training: TrainingConfig) -> Iterator[Problem]:
    """Yield a problem unless the warm-up ends before the training does; otherwise the schedule after it never starts."""
    if schedule.warmup_epochs >= training.epochs:
        reason = f"the warm-up must be shorter than training.epochs={training.epochs}"
        allowed = remedy(f"a number ≥ 0 and < {training.epochs}")
        yield not_allowed("schedule.warmup_epochs", schedule.warmup_epochs, reason, allowed)


def check_secrets(tracker: AnyTracker) -> Iterator[Problem]:
    """Yield a problem of a secret in config.yaml, which others may read; so the message does not repeat the address."""
    if isinstance(tracker, MlflowTrackerConfig) and "@" in tracker.tracking_uri:
        cause = "tracker.tracking_uri: contains a user name or password, which must not be stored in config.yaml"
        instead = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in the environment"
        yield Problem("tracker.tracking_uri", cause, instead)


# Each check takes the sections named before it; it runs when these sections are valid by themselves.
CHECKS: tuple[tuple[tuple[str, ...], Callable[..., Iterator[Problem]]], ...] = (
    (("dataset", "model"), check_layers),
    (("dataset", "augmentation"), check_lengths),
    (("model", "threads"), check_towers),
    (("model", "training"), check_batch_norm),
    (("dataset",), check_numbers),
    (("dataset",), check_groups),
    (("dataset", "training"), check_sizes),
    (("dataset", "training"), check_selection),
    (("schedule", "training"), check_warmup),
    (("tracker",), check_secrets),
)


def check_sections(sections: Any, invalid: set[str]) -> list[Problem]:
    """Run all checks between sections and return their problems.

    Args:
        sections: an experiment, or an object with its valid sections as attributes.
        invalid: names of sections with problems; checks that need one of them are skipped.
    """
    return [
        problem
        for names, check in CHECKS
        if not invalid.intersection(names)
        for problem in check(*(getattr(sections, name) for name in names))
    ]


def check_search(experiment: Experiment, settings: OptunaSweeperConfig) -> Iterator[Problem]:
    """Yield the problems of a search until it is decided, by the validation error without images for it, and of pruning."""
    if experiment.sweep.until_decided:
        reason = "a search trains each configuration with one seed"
        instead = "leave it out; then repeat the best configurations: mnist-exp -m KEY=VALUE,VALUE sweep.until_decided=true"
        yield not_allowed("sweep.until_decided", True, reason, instead)
    if "validation.error_percent" in settings.objectives and not validation_images(experiment.dataset):
        reason = "there are no validation images to search by"
        yield not_allowed("dataset.validation", experiment.dataset.validation, reason, HOLD_OUT)
    if settings.pruner != "none" and settings.objectives != ("validation.error_percent",):
        reason = "pruning needs validation.error_percent as the only objective"
        yield not_allowed(
            "hydra.sweeper.pruner", settings.pruner, reason, "write hydra.sweeper.pruner=none; or use only this objective"
        )


def check_device(device: str, precision: str) -> list[Problem]:
    """Check that this machine has the device.

    Where only TensorFlow can list the devices, training checks it again when it starts.
    """
    gpus = devices.gpu_count()
    problems = []
    if gpus is not None and device.startswith("gpu"):
        names = devices.device_names(gpus)
        if ("gpu:0" if device == "gpu" else device) not in names:
            allowed = remedy(", ".join(["auto", *names]), nearest(device, names))
            problems.append(not_allowed("device", device, "this machine has no such device", allowed))
    if precision == "float16" and (device == "cpu" or (device == "auto" and gpus == 0)):
        allowed = remedy("float32, bfloat16 (float16 needs a GPU)", "bfloat16")
        reason = "a CPU computes it hundreds of times slower than float32"
        problems.append(not_allowed("precision", precision, reason, allowed))
    return problems
