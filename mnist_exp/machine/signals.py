"""SIGINT and SIGTERM in a block that must first save its work: the first is deferred, the second raises at once."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from mnist_exp.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_undelivered: list[int] = []  # received in a block that then failed: its failure is recorded first


@contextlib.contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Defer the first SIGINT or SIGTERM to the end of the block.

    Only in the main thread; in another thread signals work as before. If the block raises an error, the signal waits for
    `deliver`. Yields a function that returns whether a signal has been received.

    Raises:
        KeyboardInterrupt, Interrupted: at the end of the block, or at once at a second signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    received: list[int] = []

    def receive(number: int, _: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            raise _exception(number)

    before = {number: signal.signal(number, receive) for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN}
    try:
        yield lambda: bool(received)
    except Exception:
        _undelivered.extend(received[:1])
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        raise _exception(received[0])


def deliver() -> None:
    """Raise the deferred signal of a block that failed, if there is one."""
    if _undelivered:
        raise _exception(_undelivered.pop())


def _exception(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else Interrupted(number)
