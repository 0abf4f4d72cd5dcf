"""The schema of an experiment. It has no defaults; they are in `conf/`.

The options of a group are a union of models, distinguished by `name`, which is the name of the option's YAML file; those
of `dataset` by `kind`.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from mnist_exp.config.dataset import DatasetConfig
from mnist_exp.config.networks import ModelConfig
from mnist_exp.config.settings import FLOAT32, Fraction, Label, Rate, Seed, Settings, Size
from mnist_exp.config.trackers import TrackerConfig
from mnist_exp.datasets.description import Sha256


class PreprocessingConfig(Settings):
    """Pixel scaling; see `mnist_exp.models.preprocessing`."""

    name: Literal["unit", "standardize"]


class NoAugmentationConfig(Settings):
    """Unchanged training images."""

    name: Literal["none"]


class RandomAugmentationConfig(Settings):
    """Random changes of each training image; the YAML files differ only in their values."""

    name: Literal["affine", "elastic", "cutout", "mixup", "flip"]
    rotation: Annotated[float, Field(ge=0, le=180), FLOAT32]
    shear: Annotated[float, Field(ge=0, le=60), FLOAT32]
    scale: Annotated[float, Field(ge=0, le=0.9), FLOAT32]
    shift: Annotated[float, Field(ge=0, le=256), FLOAT32]  # at most a side of the images: see `checks.check_lengths`
    elastic_alpha: Annotated[float, Field(ge=0, le=1000), FLOAT32]
    elastic_sigma: Annotated[float, Field(ge=0.1, le=256), FLOAT32]
    cutout_probability: Fraction
    cutout_size: Annotated[int, Field(ge=1, le=256)]
    mixup: Annotated[float, Field(ge=0, le=100), FLOAT32]
    flip: Literal["none", "horizontal"]


AnyAugmentation = NoAugmentationConfig | RandomAugmentationConfig
AugmentationConfig = Annotated[AnyAugmentation, Field(discriminator="name")]


class TrainingConfig(Settings):
    """The length of the training, batches, checkpoints and regularization."""

    epochs: Annotated[int, Field(ge=1, le=100_000)]
    batch_size: Size
    checkpoint_every: Annotated[int, Field(ge=1, le=100_000)]
    label_smoothing: Rate
    gradient_clip_norm: Annotated[float, Field(gt=0, le=1e30), FLOAT32] | None  # float32 must have its inverse too
    ema_decay: Rate | None
    select: Literal["last", "best"]
    early_stopping_patience: Annotated[int, Field(ge=1, le=100_000)] | None
    class_weights: Literal["none", "balanced"]


Epsilon = Annotated[float, Field(gt=0, le=1), FLOAT32]
LearningRate = Annotated[float, Field(gt=0, le=100), FLOAT32]


class AdamConfig(Settings):
    """Adam, Kingma & Ba 2014, arXiv:1412.6980."""

    name: Literal["adam"]
    learning_rate: LearningRate
    beta_1: Rate
    beta_2: Rate
    epsilon: Epsilon


class AdamWConfig(Settings):
    """Adam with decoupled weight decay, Loshchilov & Hutter 2017, arXiv:1711.05101."""

    name: Literal["adamw"]
    learning_rate: LearningRate
    weight_decay: Fraction
    beta_1: Rate
    beta_2: Rate
    epsilon: Epsilon


class SgdConfig(Settings):
    """Stochastic gradient descent with momentum, optionally Nesterov momentum."""

    name: Literal["sgd"]
    learning_rate: LearningRate
    momentum: Rate
    nesterov: bool


class RmspropConfig(Settings):
    """RMSprop, Tieleman & Hinton 2012, "Neural Networks for Machine Learning", lecture 6e."""

    name: Literal["rmsprop"]
    learning_rate: LearningRate
    rho: Rate
    momentum: Rate
    epsilon: Epsilon


class LionConfig(Settings):
    """Lion, Chen et al. 2023, arXiv:2302.06675."""

    name: Literal["lion"]
    learning_rate: LearningRate
    beta_1: Annotated[float, Field(gt=0, le=1), FLOAT32]
    beta_2: Rate
    weight_decay: Fraction


AnyOptimizer = AdamConfig | AdamWConfig | SgdConfig | RmspropConfig | LionConfig
OptimizerConfig = Annotated[AnyOptimizer, Field(discriminator="name")]

WarmupEpochs = Annotated[float, Field(ge=0, le=100_000), FLOAT32]


class ScheduleSettings(Settings):
    """The settings that all schedules share."""

    warmup_epochs: WarmupEpochs


class ConstantConfig(ScheduleSettings):
    """A constant learning rate."""

    name: Literal["constant"]


class CosineConfig(ScheduleSettings):
    """Cosine decay, Loshchilov & Hutter 2016, arXiv:1608.03983."""

    name: Literal["cosine"]
    final_fraction: Fraction


class ExponentialConfig(ScheduleSettings):
    """Exponential decay, per epoch."""

    name: Literal["exponential"]
    decay_rate: Annotated[float, Field(gt=0, le=1), FLOAT32]


class OneCycleConfig(ScheduleSettings):
    """One cycle, Smith & Topin 2017, arXiv:1708.07120; the warm-up is its rise."""

    name: Literal["one_cycle"]
    start_fraction: Fraction
    final_fraction: Fraction


AnySchedule = ConstantConfig | CosineConfig | ExponentialConfig | OneCycleConfig
ScheduleConfig = Annotated[AnySchedule, Field(discriminator="name")]


def shift_count(max_shift: int) -> int:
    """Return the number of shifts by up to `max_shift` pixels in each direction, including no shift."""
    return (2 * max_shift + 1) ** 2


class EvaluationConfig(Settings):
    """How the finished model predicts, on validation and test images."""

    tta: Annotated[int, Field(ge=0, le=3)]

    @property
    def passes(self) -> int:
        """How often an image passes through the network."""
        return shift_count(self.tta)


class ThreadsConfig(Settings):
    """How training uses a CPU; null chooses by its number of cores."""

    towers: Annotated[int, Field(ge=1, le=256)] | None
    intra_op: Annotated[int, Field(ge=1, le=4096)] | None
    inter_op: Annotated[int, Field(ge=1, le=4096)] | None


class SweepConfig(Settings):
    """The name of a sweep, and how it runs its jobs."""

    name: Label
    dry_run: bool
    on_failure: Literal["continue", "stop"]
    retries: Annotated[int, Field(ge=0, le=100)]
    job_timeout: Annotated[float, Field(gt=0, le=1e9), FLOAT32] | None
    jobs_per_gpu: Annotated[int, Field(ge=1, le=64)]
    until_decided: bool
    max_seeds: Annotated[int, Field(ge=3, le=1000)]


def _as_list(layer: Any) -> Any:
    """Accept one name as a list of one."""
    return (layer,) if isinstance(layer, str) else layer


LayerName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_*?]{1,60}$", description="the name of a layer, in which * is any text")
]


class Experiment(Settings):
    """The whole configuration of a run."""

    name: Label
    seed: Seed
    initial_weights: Annotated[str, Field(pattern=r"^[^\x00]{1,1000}$", description="a completed run")] | None
    initial_weights_sha256: Sha256 | None
    freeze: Annotated[tuple[LayerName, ...], Field(strict=False, max_length=1000), BeforeValidator(_as_list)]
    device: Annotated[str, Field(pattern=r"^(auto|cpu|gpu|gpu:\d{1,4})$", description="auto, cpu, gpu or gpu:N")]
    precision: Literal["float32", "bfloat16", "float16"]
    tf32: bool
    threads: ThreadsConfig
    evaluation: EvaluationConfig
    runs_dir: Annotated[str, Field(pattern=r"^[^\x00]{1,1000}$", description="a path of 1,000 characters at most")]
    progress: Literal["auto", "live", "plain", "quiet"]
    sweep: SweepConfig
    dataset: DatasetConfig
    preprocessing: PreprocessingConfig
    augmentation: AugmentationConfig
    model: ModelConfig
    training: TrainingConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    tracker: TrackerConfig
