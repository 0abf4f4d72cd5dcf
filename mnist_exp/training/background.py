"""A thread for work that the training need not wait for."""

from collections.abc import Callable
from threading import Lock, Thread
from typing import Self

from mnist_exp.errors import Interrupted


class Background:
    """Does one task at a time, always the latest: a task that has not started when the next is given is left out.

    A failure is raised when the next task is given, or at the end of the block.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._next: Callable[[], None] | None = None
        self._thread: Thread | None = None
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, KeyboardInterrupt | Interrupted):
            return  # at once: the thread exits with the process, and files are replaced atomically
        if (thread := self._thread) is not None:
            thread.join()
        try:
            self._raise_failure()
        except Exception as failure:
            if error is None:
                raise
            error.add_note(f"in the background: {failure}")

    @property
    def failed(self) -> bool:
        """Whether the next call of `do` raises."""
        return self._failure is not None

    def do(self, task: Callable[[], None]) -> None:
        """Start a task as soon as the current one is done, and return at once.

        Raises:
            BaseException: the failure of an earlier task; the new task is not started.
        """
        self._raise_failure()
        with self._lock:
            self._next = task
            if self._thread is None:
                self._thread = Thread(target=self._run, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                task, self._next = self._next, None
                if task is None:
                    self._thread = None
                    return
            try:
                task()
            except BaseException as failure:  # noqa: BLE001  (raised in the thread that gave the task)
                with self._lock:
                    self._failure, self._next, self._thread = failure, None, None
                return

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
