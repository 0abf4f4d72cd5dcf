"""Upload runs and sweeps to trackers. All data is read from run directories, and only what a tracker lacks is sent.

A process of its own uploads while a run trains (`uploader_process`); `mnist-exp track` uploads existing runs (`uploads`).
No tracker's library is imported in a process that trains.
"""

import contextlib
import importlib.util
from collections.abc import Iterator
from typing import Protocol

from mnist_exp.config.schema import AnyTracker, MlflowTrackerConfig, NoTrackerConfig, TensorboardTrackerConfig
from mnist_exp.errors import EnvironmentFailure, InputError, UserError
from mnist_exp.tracking.snapshot import Identity, RunSnapshot

MAX_MESSAGE = 300  # characters of a library's error message


class TrackedRun(Protocol):
    """One run at a tracker."""

    address: str  # where the user finds it

    def send(self, snapshot: RunSnapshot) -> None:
        """Send what the tracker lacks; for a run that ended also its results, files and status."""

    def close(self) -> None:
        """Release the run, which may continue later."""


class Tracker(Protocol):
    """A tracker with its settings; calls raise the exceptions of its library (see `library_errors`)."""

    target: str  # the tracker and the location in it: "mlflow http://127.0.0.1:5000 mnist-exp"
    location: str  # the subject of error messages
    remedy: str  # of errors

    def open_run(self, snapshot: RunSnapshot, parent: Identity | None) -> TrackedRun:
        """Find or create a run; a job of a sweep has the sweep as parent, which is found or created too."""

    def send_sweep(self, snapshot: RunSnapshot) -> str:
        """Send the data of a sweep that is not in its jobs and return its address."""


def check_installed(settings: AnyTracker) -> None:
    """Check that a tracker's package is installed.

    Raises:
        InputError: it is not installed.
    """
    name = settings.name
    if name != "none" and importlib.util.find_spec(name) is None:
        raise InputError(f"tracker={name}: {name} is not installed", f"pip install 'mnist-exp[{name}]'")


def build_tracker(settings: AnyTracker) -> Tracker:
    """Import a tracker's library and return the tracker.

    Raises:
        InputError: the settings name no tracker, or its package is not installed.
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


@contextlib.contextmanager
def library_errors(tracker: Tracker) -> Iterator[None]:
    """Replace any exception of a tracker's library by one line with its root cause.

    Raises:
        EnvironmentFailure: instead of the exception.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        message = type(error).__name__
        cause: BaseException | None = error
        while cause is not None:
            message = getattr(cause, "strerror", None) or " ".join(str(cause).split()) or message
            cause = cause.__cause__ or cause.__context__
        raise EnvironmentFailure(f"{tracker.location}: {message[:MAX_MESSAGE]}", tracker.remedy) from error
