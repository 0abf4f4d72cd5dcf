"""Signals that end the program: SIGINT, SIGTERM, and SIGHUP when its terminal is gone.

They are raised as exceptions. In a block that must first save its work, the first is deferred and the second raises at once.
A signal is remembered until it has left the program's main function: a library may catch the exception.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from mnist_exp.errors import Interrupted
from mnist_exp.terminal import streams

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_undelivered: list[int] = []  # received, but perhaps not raised: its block failed, or a library caught it

Handler = Callable[[int, FrameType | None], None]


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Raise each signal as an exception where it arrives in this block, unless the process ignores it, as under `nohup`.

    Raises:
        KeyboardInterrupt: SIGINT.
        Interrupted: SIGTERM or SIGHUP.
    """

    def receive(number: int, _: FrameType | None) -> None:
        _undelivered[:] = [number]
        streams.hurry()
        raise _exception(number)

    try:
        with _handled(receive):
            yield
    finally:
        _undelivered.clear()


@contextlib.contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Defer the first signal to the end of the block.

    Only in the main thread; in another thread signals work as before. If the block raises an error, the signal waits for
    `deliver`. Yields a function that returns whether a signal has been received.

    Raises:
        KeyboardInterrupt, Interrupted: at the end of the block, or at once at a second signal.
    """
    received: list[int] = []

    def receive(number: int, _: FrameType | None) -> None:
        received.append(number)
        streams.hurry()
        if len(received) > 1:
            raise _exception(number)

    with _handled(receive):
        try:
            yield lambda: bool(received)
        except Exception:
            _undelivered.extend(received[:1])
            raise
    if received:
        raise _exception(received[0])


def deliver() -> None:
    """Raise a signal that was received but not raised, if there is one."""
    if _undelivered:
        number = _undelivered[0]
        _undelivered.clear()
        raise _exception(number)


def reset() -> None:
    """Let a signal end the process at once, without a traceback: nothing is left to save."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def _handled(handler: Handler) -> Iterator[None]:
    """Handle the signals in this block, without those that the process ignores; do nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _exception(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else Interrupted(number)
