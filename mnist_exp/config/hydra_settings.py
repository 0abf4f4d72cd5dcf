"""The schema of the part of Hydra's configuration that users may set: `hydra/launcher` and `hydra/sweeper`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from mnist_exp.config.settings import FLOAT32, Seed, Settings


class BasicLauncherConfig(Settings):
    """One process, job after job."""

    name: Literal["basic"]


class JoblibLauncherConfig(Settings):
    """Several processes on this machine, with the settings of Hydra's launcher of this name."""

    name: Literal["joblib"]
    n_jobs: Annotated[int, Field(ge=1, le=4096)] | None


# Without characters that a shell or sbatch would interpret.
SlurmName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.,:&|*()-]*$", description="a name in Slurm")]


class SlurmLauncherConfig(Settings):
    """Array jobs of a Slurm cluster, with the settings of Hydra's launcher of this name."""

    name: Literal["submitit_slurm"]
    partition: SlurmName | None
    account: SlurmName | None
    qos: SlurmName | None
    constraint: SlurmName | None
    timeout_min: Annotated[int, Field(ge=1, le=1_000_000)] | None
    cpus_per_task: Annotated[int, Field(ge=1, le=4096)]
    gpus_per_node: Annotated[int, Field(ge=1, le=64)] | None
    mem_gb: Annotated[float, Field(gt=0, le=1e6), FLOAT32] | None
    array_parallelism: Annotated[int, Field(ge=1, le=1_000_000)]


class RayLauncherConfig(Settings):
    """Tasks of a Ray cluster."""

    name: Literal["ray"]
    address: Annotated[str, Field(min_length=1, description="auto or HOST:PORT")]
    num_cpus: Annotated[int, Field(ge=1, le=4096)]
    num_gpus: Annotated[float, Field(ge=0, le=64), FLOAT32]


AnyLauncher = BasicLauncherConfig | JoblibLauncherConfig | SlurmLauncherConfig | RayLauncherConfig
LauncherConfig = Annotated[AnyLauncher, Field(discriminator="name")]


class BasicSweeperConfig(Settings):
    """A grid: all combinations of the values."""

    name: Literal["basic"]
    params: dict[str, Any]


Objective = Annotated[
    str,
    Field(
        pattern=r"^(validation\.error_percent|model\.parameters|train_seconds)$",
        description="validation.error_percent, model.parameters, train_seconds; a search must not use the test images",
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


class HydraSettings(Settings):
    """The part of Hydra's configuration that users may set."""

    launcher: LauncherConfig
    sweeper: SweeperConfig


class HydraSection(Settings):
    """A wrapper, so that problems have the keys that users type: hydra.launcher.n_jobs."""

    hydra: HydraSettings
