"""The interface of every launcher."""

from collections.abc import Sequence
from typing import Protocol

from mnist_exp.runs.run import Run


class Launcher(Protocol):
    """Trains prepared runs; each has its final status when it is returned, unless it was lost."""

    parallel_jobs: int  # runs in training at once, at most
    queue_limit: int  # runs submitted at once, at most: those in training, and those that wait
    peak_memory: int = 0  # the most memory that a run took, in bytes; 0 if unknown

    def submit(self, runs: Sequence[Run]) -> None:
        """Have these runs trained."""

    def wait(self, seconds: float) -> dict[Run, str | None]:
        """Wait until a run ends, or for that many seconds.

        Returns:
            The runs that ended; the value is the cause if the run was lost, otherwise None.
        """

    def cancel_waiting(self) -> None:
        """Start no more runs; those that wait are returned by `wait` with the status "waiting"."""

    def close(self) -> None:
        """Stop the runs in training, so that they can be resumed, and release all resources."""
