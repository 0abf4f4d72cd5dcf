"""The interface of the trackers, and the errors of their libraries."""

import contextlib
from collections.abc import Iterator
from typing import Protocol

from mnist_exp.errors import EnvironmentFailure, UserError
from mnist_exp.tracking.snapshot import RunSnapshot

MAX_MESSAGE = 300  # characters of a library's error message


class TrackedRun(Protocol):
    """One run at a tracker."""

    address: str  # where the user finds it

    def send(self, snapshot: RunSnapshot) -> None:
        """Send what the tracker lacks; for a run that ended also its results, files and status."""

    def close(self) -> None:
        """Release the run, which has ended or may continue later."""


class Tracker(Protocol):
    """A tracker with its settings; calls raise the exceptions of its library (see `library_errors`)."""

    target: str  # the tracker and the location in it: "mlflow http://127.0.0.1:5000 mnist-exp"
    location: str  # the subject of error messages
    remedy: str  # of errors

    def open_run(self, snapshot: RunSnapshot, sweep: RunSnapshot | None) -> TrackedRun:
        """Find or create a run, and the sweep of which it is a job."""

    def send_sweep(self, snapshot: RunSnapshot) -> str:
        """Send the data of a sweep that is not in its jobs and return its address."""


@contextlib.contextmanager
def library_errors(tracker: Tracker) -> Iterator[None]:
    """Replace any exception of a tracker's library by one line with its root cause.

    Raises:
        EnvironmentFailure: the library raised an exception.
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
