"""What no type of a setting can tell: whether the layers fit the image, the subset the data, the device the machine."""

from mnist_exp.config import shapes
from mnist_exp.config.execution import OptunaSweeperConfig
from mnist_exp.config.networks import AnyModel, CnnConfig, NetworkConfig, has_batch_norm
from mnist_exp.config.problems import nearest, remedy, show
from mnist_exp.config.schema import (
    AnyTracker,
    Experiment,
    MlflowTrackerConfig,
    MnistConfig,
    ScheduleSettings,
    ThreadsConfig,
    TrainingConfig,
)
from mnist_exp.errors import Problem
from mnist_exp.machine import devices


def validation_images(dataset: MnistConfig) -> int:
    """How many images are held out; a limited set holds out the same share as the whole one."""
    if dataset.limit is None:
        return dataset.validation
    return round(dataset.limit * dataset.validation / dataset.train_images)


def layers_fit(dataset: MnistConfig, model: AnyModel) -> list[Problem]:
    """Follow the image through the layers, and name the first that it is too small for."""
    try:
        if isinstance(model, CnnConfig):
            shapes.pools_fit(model, dataset.image_shape)
        elif isinstance(model, NetworkConfig):
            shapes.layers_fit(model, dataset.image_shape)
    except shapes.Unfit as unfit:
        return [unfit.problem]
    return []


def towers_fit(model: AnyModel, threads: ThreadsConfig) -> list[Problem]:
    """Batch normalization takes its statistics of whole batches."""
    if threads.towers in (None, 1) or not has_batch_norm(model):
        return []
    cause = f"threads.towers={threads.towers}: the model's batch_norm takes the mean of whole batches, not of parts"
    return [Problem("threads.towers", cause, remedy("1 or null", None))]


def batches_fit(model: AnyModel, training: TrainingConfig) -> list[Problem]:
    """A single image is its own mean: what batch normalization leaves of it is nothing."""
    if training.batch_size > 1 or not has_batch_norm(model):
        return []
    cause = "training.batch_size=1: the model's batch_norm takes the mean of a batch, and of one image nothing is left"
    return [Problem("training.batch_size", cause, remedy("an integer ≥ 2", None))]


def sizes_fit(dataset: MnistConfig, training: TrainingConfig) -> list[Problem]:
    """A batch must come from the images there are, and every class must appear on both sides of the split."""
    total = dataset.limit or dataset.train_images
    validation = validation_images(dataset)
    train = total - validation
    problems = []
    if dataset.validation and not dataset.classes <= validation <= total - dataset.classes:
        cause = f"dataset.validation={dataset.validation}: holds out {validation} of {total} images"
        least = dataset.classes
        allowed = f"0, or a share that leaves at least {least} images on each side"
        problems.append(Problem("dataset.validation", cause, remedy(allowed, None)))
    elif training.batch_size > train:
        cause = f"training.batch_size={training.batch_size}: more than the {train} training images"
        problems.append(Problem("training.batch_size", cause, remedy(f"an integer from 1 to {train}", None)))
    return problems


def selection_fits(dataset: MnistConfig, training: TrainingConfig) -> list[Problem]:
    """Choosing among epochs needs validation images: the test images are looked at once."""
    if validation_images(dataset):
        return []
    chosen = {"select": training.select == "best", "early_stopping_patience": training.early_stopping_patience is not None}
    return [
        Problem(
            f"training.{name}",
            f"training.{name}={show(getattr(training, name))}: there are no validation images to choose by",
            "hold some out with dataset.validation=5000, or choose by none",
        )
        for name, asked in chosen.items()
        if asked
    ]


def warmup_fits(schedule: ScheduleSettings, training: TrainingConfig) -> list[Problem]:
    """A warm-up must end before the training does, or the schedule behind it never begins."""
    if schedule.warmup_epochs < training.epochs:
        return []
    key = "schedule.warmup_epochs"
    cause = f"{key}={show(schedule.warmup_epochs)}: the warm-up is no shorter than training.epochs={training.epochs}"
    return [Problem(key, cause, remedy(f"a number ≥ 0 and < {training.epochs}", None))]


def no_secret(tracker: AnyTracker) -> list[Problem]:
    """What config.yaml holds, anyone may read who may read the run; so the address is not repeated here either."""
    if not isinstance(tracker, MlflowTrackerConfig) or "@" not in tracker.tracking_uri:
        return []
    key = "tracker.tracking_uri"
    cause = f"{key}: holds a user's name or password, which config.yaml must not"
    return [Problem(key, cause, "give them in the environment: MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")]


def searchable(experiment: Experiment, settings: OptunaSweeperConfig) -> list[Problem]:
    """A search by the validation error needs validation images, and it cannot prune by two objectives."""
    problems = []
    if "validation.error_percent" in settings.objectives and not validation_images(experiment.dataset):
        cause = f"dataset.validation={experiment.dataset.validation}: there are no validation images to search by"
        problems.append(Problem("dataset.validation", cause, "hold some out with dataset.validation=5000"))
    if settings.pruner != "none" and settings.objectives != ("validation.error_percent",):
        cause = f"hydra.sweeper.pruner={settings.pruner}: pruning goes by the validation error alone"
        problems.append(Problem("hydra.sweeper.pruner", cause, "choose pruner=none, or that one objective"))
    return problems


def device_present(device: str, precision: str) -> list[Problem]:
    """Whether this machine has the device; where only TensorFlow can tell, it does so when training starts."""
    gpus = devices.gpu_count()
    problems = []
    if gpus is not None and device.startswith("gpu"):
        names = devices.device_names(gpus)
        wanted = "gpu:0" if device == "gpu" else device
        if wanted not in names:
            cause = f"device={device}: this machine has no such device"
            problems.append(Problem("device", cause, remedy(", ".join(["auto", *names]), nearest(device, names))))
    if precision == "float16" and (device == "cpu" or (device == "auto" and gpus == 0)):
        cause = "precision=float16: a CPU computes it hundreds of times slower than float32"
        problems.append(Problem("precision", cause, remedy("float32, bfloat16 (float16 needs a GPU)", "bfloat16")))
    return problems
