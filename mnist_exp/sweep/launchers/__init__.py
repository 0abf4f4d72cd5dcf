"""Launchers, which train the jobs of a sweep, by the name of the option of hydra/launcher."""

from mnist_exp.config.execution import LauncherConfig, RayLauncherConfig, SlurmLauncherConfig
from mnist_exp.config.schema import Experiment
from mnist_exp.sweep.launchers import local, ray, slurm
from mnist_exp.sweep.launchers.launcher import Launcher
from mnist_exp.sweep.plan import Sweep


def check(config: LauncherConfig) -> None:
    """Check that a launcher is installed.

    Raises:
        EnvironmentFailure: it is not.
    """
    if isinstance(config, SlurmLauncherConfig):
        slurm.check()
    elif isinstance(config, RayLauncherConfig):
        ray.check()


def build(sweep: Sweep, config: LauncherConfig, experiment: Experiment) -> Launcher:
    """Create a launcher.

    Args:
        sweep: the sweep that it trains.
        config: its settings.
        experiment: any of the sweep, for the settings that all share: device and sweep.

    Raises:
        EnvironmentFailure: it is not installed, or its cluster does not answer.
    """
    match config:
        case SlurmLauncherConfig():
            return slurm.Slurm(sweep, config, experiment)
        case RayLauncherConfig():
            return ray.Ray(config, experiment)
    return local.build(config, experiment)
