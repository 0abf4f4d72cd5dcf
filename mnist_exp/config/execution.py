"""The points of a sweep, how they are found and where they run: what `hydra/sweeper` and `hydra/launcher` may be set to."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from mnist_exp.config.schema import Experiment, Settings


@dataclass(frozen=True)
class Point:
    """One experiment of a command line."""

    overrides: tuple[str, ...]  # each with one value; they compose to the experiment
    swept: tuple[str, ...]  # those of them whose value the sweep chose
    experiment: Experiment


class BasicLauncherConfig(Settings):
    """One process."""

    name: Literal["basic"]


class JoblibLauncherConfig(Settings):
    """Several processes on this machine; named and set as Hydra's launcher of that name."""

    name: Literal["joblib"]
    n_jobs: Annotated[int, Field(ge=1, le=4096)] | None


LauncherConfig = Annotated[BasicLauncherConfig | JoblibLauncherConfig, Field(discriminator="name")]


class BasicSweeperConfig(Settings):
    """The product of all values."""

    name: Literal["basic"]
    params: dict[str, Any]


SweeperConfig = BasicSweeperConfig


class HydraConfig(Settings):
    """The part of Hydra's configuration that users may set."""

    launcher: LauncherConfig
    sweeper: SweeperConfig


class Execution(Settings):
    """Wraps it, so that keys are named as they are typed: hydra.launcher.n_jobs."""

    hydra: HydraConfig
