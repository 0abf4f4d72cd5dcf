"""What every launcher does."""

from collections.abc import Sequence
from typing import Protocol

from mnist_exp.run.names import Run


class Launcher(Protocol):
    """Takes prepared runs and has them trained; each has its status when it comes back, unless it was lost on the way."""

    places: int  # how many runs can be in training at once
    peak_memory: int | None  # the most that one run took, in bytes, where that can be told
    holds: int  # how many it can be given at once; those that are not in training wait their turn

    def submit(self, jobs: Sequence[Run]) -> None:
        """Have these trained."""

    def ended(self, seconds: float) -> dict[Run, str | None]:
        """What ended, as soon as something has or after so many seconds; why it was lost, if it was."""

    def recall(self) -> None:
        """Begin nothing more: what is not in training yet ends as it is, still waiting."""

    def close(self) -> None:
        """Give back what it holds; runs in training are first brought to a state from which they can be resumed."""
