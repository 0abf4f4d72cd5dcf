"""Trackers: what is told of runs elsewhere, and how it gets there.

The run directory is the truth. Whether a run is being trained or ended a year ago, a tracker is told what stands there, and
only what it does not have yet, so that telling it twice changes nothing. It is told by a process beside the one that trains
(`uploader_process`), or by `mnist-exp track` (`uploads`): no tracker's library is ever imported where a model is trained.
"""

import contextlib
import importlib.util
from collections.abc import Iterator
from typing import Protocol

from mnist_exp.config.schema import AnyTracker, MlflowTrackerConfig, NoTrackerConfig, TensorboardTrackerConfig
from mnist_exp.errors import EnvironmentFailure, InputError, UserError
from mnist_exp.tracking.snapshot import Identity, RunSnapshot

MOST_SAID = 300  # characters of what a library said


class Session(Protocol):
    """One run at a tracker."""

    address: str  # where to look at it

    def send(self, snapshot: RunSnapshot) -> None:
        """Send all that the tracker does not have; of a run that ended also its results and files, and how it ended.

        Raises:
            EnvironmentFailure: the tracker cannot be reached, or refuses it.
        """

    def close(self) -> None:
        """Let go of the run, which may go on."""


class Tracker(Protocol):
    """Where runs are told of."""

    target: str  # it, and the place in it: "mlflow http://127.0.0.1:5000 mnist-exp"

    def begin(self, snapshot: RunSnapshot, parent: Identity | None) -> Session:
        """Find a run, or make it; a job belongs to its parent, the sweep, which is found or made too.

        Raises:
            EnvironmentFailure: the tracker cannot be reached, or refuses it.
        """

    def sweep(self, snapshot: RunSnapshot) -> str:
        """Tell of a sweep what is not told by its jobs; where to look at it.

        Raises:
            EnvironmentFailure: the tracker cannot be reached, or refuses it.
        """


def check_installed(settings: AnyTracker) -> None:
    """See that a tracker's package is installed, before anything is written.

    Raises:
        InputError: it is not.
    """
    name = settings.name
    if name != "none" and importlib.util.find_spec(name) is None:
        raise InputError(f"tracker={name}: {name} is not installed", f"pip install 'mnist-exp[{name}]'")


def build_tracker(settings: AnyTracker) -> Tracker:
    """The tracker that is asked for; this is where its library is imported.

    Raises:
        InputError: none is asked for, or it is not installed.
    """
    check_installed(settings)
    match settings:
        case NoTrackerConfig():
            raise InputError("no tracker is named", "name one: tracker=tensorboard, tracker=mlflow or tracker=wandb")
        case TensorboardTrackerConfig():
            from mnist_exp.tracking.tensorboard import Tensorboard

            return Tensorboard()
        case MlflowTrackerConfig():
            from mnist_exp.tracking.mlflow import Mlflow

            return Mlflow(settings)
    from mnist_exp.tracking.wandb import Wandb

    return Wandb(settings)


@contextlib.contextmanager
def reaching(place: str, remedy: str) -> Iterator[None]:
    """Turn whatever a tracker's library raises into one line that says what lay at the bottom of it.

    Raises:
        EnvironmentFailure: in place of any other exception.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        said = type(error).__name__
        below: BaseException | None = error
        while below is not None:
            said = getattr(below, "strerror", None) or " ".join(str(below).split()) or said
            below = below.__cause__ or below.__context__
        raise EnvironmentFailure(f"{place}: {said[:MOST_SAID]}", remedy) from error
