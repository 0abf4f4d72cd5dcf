"""One thread beside the training, for what need not hold it up."""

from collections.abc import Callable
from threading import Thread
from types import TracebackType
from typing import Self

from mnist_exp.errors import Interrupted


class Background:
    """Does one job after the other; a job's failure is raised when the next is given, or at the end."""

    def __init__(self) -> None:
        self._thread: Thread | None = None
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, KeyboardInterrupt | Interrupted):
            return  # at once: the thread ends with the process, and what it writes is whole or not there
        try:
            self._wait()
        except Exception as failure:
            if error is None:
                raise
            error.add_note(f"and beside it: {failure}")

    @property
    def failed(self) -> bool:
        """Whether the next job will raise in place of being done."""
        return self._failure is not None

    def do(self, job: Callable[[], None]) -> None:
        """Give a job, when the one before is done."""
        self._wait()
        self._thread = Thread(target=self._run, args=(job,), daemon=True)
        self._thread.start()

    def _run(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as failure:  # noqa: BLE001  (raised in the thread that gave the job)
            self._failure = failure

    def _wait(self) -> None:
        if self._thread is not None:
            self._thread.join()
        failure, self._thread, self._failure = self._failure, None, None
        if failure is not None:
            raise failure
