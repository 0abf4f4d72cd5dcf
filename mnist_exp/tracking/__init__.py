"""Upload runs and sweeps to trackers. All data is read from run directories, and only what a tracker lacks is sent.

A process of its own uploads while a run trains (`uploader_process`); `mnist-exp track` uploads existing runs (`uploads`).
No tracker's library is imported in a process that trains.
"""

import importlib.util

from mnist_exp.config.trackers import AnyTracker, MlflowTrackerConfig, NoTrackerConfig, TensorboardTrackerConfig
from mnist_exp.errors import EnvironmentFailure, InputError
from mnist_exp.tracking.tracker import Tracker


def check_installed(settings: AnyTracker) -> None:
    """Check that a tracker's package is installed.

    Raises:
        EnvironmentFailure: it is not installed.
    """
    name = settings.name
    if name != "none" and importlib.util.find_spec(name) is None:
        raise EnvironmentFailure(f"tracker={name}: {name} is not installed", f"pip install 'mnist-exp[{name}]'")


def build_tracker(settings: AnyTracker) -> Tracker:
    """Import a tracker's library and return the tracker.

    Raises:
        InputError: the settings name no tracker.
        EnvironmentFailure: its package is not installed.
    """
    check_installed(settings)
    match settings:
        case NoTrackerConfig():
            raise InputError("tracker=none: cannot upload", "choose tracker=tensorboard, tracker=mlflow or tracker=wandb")
        case TensorboardTrackerConfig():
            from mnist_exp.tracking.tensorboard import Tensorboard

            return Tensorboard()
        case MlflowTrackerConfig():
            from mnist_exp.tracking.mlflow import Mlflow

            return Mlflow(settings)
    from mnist_exp.tracking.wandb import Wandb

    return Wandb(settings)
