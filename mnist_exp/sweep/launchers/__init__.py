"""Launchers, which train the jobs of a sweep, by the name of the option of hydra/launcher."""

import importlib.util
import shutil

from mnist_exp.config.hydra_settings import LauncherConfig, RayLauncherConfig, SlurmLauncherConfig
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import EnvironmentFailure
from mnist_exp.sweep.launchers import local, ray, slurm
from mnist_exp.sweep.launchers.launcher import Launcher
from mnist_exp.sweep.plan import Sweep


def check(config: LauncherConfig) -> None:
    """Check that a launcher is installed.

    Raises:
        EnvironmentFailure: it is not installed.
    """
    if isinstance(config, SlurmLauncherConfig):
        if missing := [name for name in ("sbatch", "squeue", "scancel") if shutil.which(name) is None]:
            cause = f"hydra/launcher=submitit_slurm: {missing[0]} is not on the PATH"
            raise EnvironmentFailure(cause, "start the sweep on a machine that has Slurm's commands, such as a login node")
    elif isinstance(config, RayLauncherConfig) and importlib.util.find_spec("ray") is None:
        raise EnvironmentFailure("hydra/launcher=ray: Ray is not installed", "pip install 'mnist-exp[ray]'")


def build(sweep: Sweep, config: LauncherConfig, experiment: Experiment) -> Launcher:
    """Create the launcher of a sweep; any job's `experiment` has the settings that all share.

    Raises:
        EnvironmentFailure: it is not installed, or its cluster does not answer.
    """
    check(config)
    match config:
        case SlurmLauncherConfig():
            return slurm.Slurm(sweep, config, experiment)
        case RayLauncherConfig():
            return ray.Ray(config, experiment)
    return local.build(config, experiment)
