"""One thread beside the training, for what need not hold it up."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self


class Background:
    """Does one job after the other; a job's failure is raised when the next is given, or at the end."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._latest: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if error is None:
                self._wait()
        finally:
            self._thread.shutdown()

    def do(self, job: Callable[[], None]) -> None:
        """Give a job, when the one before is done."""
        self._wait()
        self._latest = self._thread.submit(job)

    def _wait(self) -> None:
        latest, self._latest = self._latest, None
        if latest is not None:
            latest.result()
