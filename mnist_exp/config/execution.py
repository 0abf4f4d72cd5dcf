"""The points of a sweep, how they are found and where they run: what `hydra/sweeper` and `hydra/launcher` may be set to."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from mnist_exp.config.schema import Experiment
from mnist_exp.config.settings import Seed, Settings


@dataclass(frozen=True)
class Combination:
    """One experiment of a command line."""

    overrides: tuple[str, ...]  # each with one value; they compose to the experiment
    swept: tuple[str, ...]  # those of them whose value the sweep chose
    experiment: Experiment


@dataclass(frozen=True)
class Choices:
    """A setting that a search chooses from a list."""

    key: str
    values: tuple[str, ...]  # as one would type them


@dataclass(frozen=True)
class Interval:
    """A number that a search chooses between two others, which it may reach."""

    key: str
    low: float
    high: float
    step: float | None
    log: bool  # whether small numbers are tried as often as large ones
    is_integer: bool  # whether it is an integer

    @property
    def bounds(self) -> tuple[str, str]:
        """As one would type them."""
        return (str(int(self.low)), str(int(self.high))) if self.is_integer else (repr(self.low), repr(self.high))


Parameter = Choices | Interval


class BasicLauncherConfig(Settings):
    """One process."""

    name: Literal["basic"]


class JoblibLauncherConfig(Settings):
    """Several processes on this machine; named and set as Hydra's launcher of that name."""

    name: Literal["joblib"]
    n_jobs: Annotated[int, Field(ge=1, le=4096)] | None


# A name that Slurm knows, with nothing in it that a shell or sbatch would take for more.
SlurmName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.,:&|*()-]*$", description="a name that Slurm knows")]


class SlurmLauncherConfig(Settings):
    """Array jobs of a Slurm cluster; named and set as Hydra's launcher of that name."""

    name: Literal["submitit_slurm"]
    partition: SlurmName | None
    account: SlurmName | None
    qos: SlurmName | None
    constraint: SlurmName | None
    timeout_min: Annotated[int, Field(ge=1, le=1_000_000)] | None
    cpus_per_task: Annotated[int, Field(ge=1, le=4096)]
    gpus_per_node: Annotated[int, Field(ge=1, le=64)] | None
    mem_gb: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] | None
    array_parallelism: Annotated[int, Field(ge=1, le=1_000_000)]


class RayLauncherConfig(Settings):
    """Tasks of a Ray cluster."""

    name: Literal["ray"]
    address: Annotated[str, Field(min_length=1)]
    num_cpus: Annotated[int, Field(ge=1, le=4096)]
    num_gpus: Annotated[float, Field(ge=0, le=64, allow_inf_nan=False)]


AnyLauncher = BasicLauncherConfig | JoblibLauncherConfig | SlurmLauncherConfig | RayLauncherConfig
LauncherConfig = Annotated[AnyLauncher, Field(discriminator="name")]


class BasicSweeperConfig(Settings):
    """The product of all values."""

    name: Literal["basic"]
    params: dict[str, Any]


Objective = Annotated[
    str,
    Field(
        pattern=r"^(validation\.error_percent|model\.parameters|train_seconds)$",
        description="validation.error_percent, model.parameters, train_seconds; nothing is chosen by the test images",
    ),
]


class OptunaSweeperConfig(Settings):
    """A search with Optuna."""

    name: Literal["optuna"]
    sampler: Literal["tpe", "random", "gp", "cmaes", "grid", "qmc"]
    pruner: Literal["none", "median", "hyperband"]
    n_trials: Annotated[int, Field(ge=1, le=1_000_000)]
    n_jobs: Annotated[int, Field(ge=1, le=100_000)] | None
    n_startup_trials: Annotated[int, Field(ge=0, le=1_000_000)]
    n_warmup_epochs: Annotated[int, Field(ge=0, le=100_000)]
    seed: Seed
    objectives: Annotated[tuple[Objective, ...], Field(strict=False, min_length=1, max_length=3)]
    params: dict[str, Any]


SweeperConfig = Annotated[BasicSweeperConfig | OptunaSweeperConfig, Field(discriminator="name")]


class HydraConfig(Settings):
    """The part of Hydra's configuration that users may set."""

    launcher: LauncherConfig
    sweeper: SweeperConfig


class Execution(Settings):
    """Wraps it, so that keys are named as they are typed: hydra.launcher.n_jobs."""

    hydra: HydraConfig
