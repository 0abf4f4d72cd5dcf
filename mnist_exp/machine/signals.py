"""SIGINT and SIGTERM where work must first be brought to an end: the first is noted, the second ends at once."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from mnist_exp.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_undelivered: list[int] = []  # noted in a block that then failed, whose failure must first be told


@contextlib.contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Hold back the first SIGINT or SIGTERM until the block ends; what is yielded tells whether there was one.

    Only the main thread can; in another one signals go on to do what they did.

    A failure of the block is raised as it is; what was held back then waits for `deliver`.

    Raises:
        KeyboardInterrupt, Interrupted: at the end of the block, or at once on a second signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            raise _exception(number)

    before = {number: signal.signal(number, note) for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN}
    try:
        yield lambda: bool(received)
    except Exception:
        _undelivered.extend(received)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        raise _exception(received[0])


def deliver() -> None:
    """Raise a signal that is still held back.

    Raises:
        KeyboardInterrupt, Interrupted: there is one.
    """
    if _undelivered:
        number = _undelivered[0]
        _undelivered.clear()
        raise _exception(number)


def _exception(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else Interrupted(number)
