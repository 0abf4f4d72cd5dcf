"""A thread for work that the training need not wait for."""

from collections.abc import Callable
from threading import Thread
from typing import Self

from mnist_exp.errors import Interrupted


class Background:
    """Does one task at a time; a task's failure is raised when the next task is given, or at the end of the block."""

    def __init__(self) -> None:
        self._thread: Thread | None = None
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, KeyboardInterrupt | Interrupted):
            return  # at once: the thread exits with the process, and files are replaced atomically
        try:
            self._wait()
        except Exception as failure:
            if error is None:
                raise
            error.add_note(f"in the background: {failure}")

    @property
    def failed(self) -> bool:
        """Whether the next call of `do` raises."""
        return self._failure is not None

    def do(self, task: Callable[[], None]) -> None:
        """Start a task as soon as the one before is done.

        Raises:
            BaseException: the failure of the task before; the new task is not started.
        """
        self._wait()
        self._thread = Thread(target=self._run, args=(task,), daemon=True)
        self._thread.start()

    def _run(self, task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as failure:  # noqa: BLE001  (raised in the thread that gave the task)
            self._failure = failure

    def _wait(self) -> None:
        if self._thread is not None:
            self._thread.join()
        failure, self._thread, self._failure = self._failure, None, None
        if failure is not None:
            raise failure
