"""The first signal is deferred, the second is raised at once."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from mnist_exp.errors import Interrupted
from mnist_exp.machine import signals


def test_without_a_signal_nothing_happens() -> None:
    before = [signal.getsignal(number) for number in signals.SIGNALS]
    with signals.deferred() as interrupted:
        assert not interrupted()
        assert [signal.getsignal(number) for number in signals.SIGNALS] != before
    assert [signal.getsignal(number) for number in signals.SIGNALS] == before


@pytest.fixture
def _python_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_python_handler")
@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Interrupted), (signal.SIGHUP, Interrupted)]
)
def test_the_first_signal_is_raised_at_the_end(number: signal.Signals, expected: type[BaseException]) -> None:
    reached = []
    with pytest.raises(expected) as caught, signals.deferred() as interrupted:
        os.kill(os.getpid(), number)
        reached.append(interrupted())
    assert reached == [True]
    if expected is Interrupted:
        assert caught.value.exit_code == 128 + number  # type: ignore[attr-defined]


@pytest.mark.usefixtures("_python_handler")
def test_the_second_signal_is_raised_at_once() -> None:
    reached = []
    with pytest.raises(Interrupted), signals.deferred():
        os.kill(os.getpid(), signal.SIGINT)
        reached.append("first")
        os.kill(os.getpid(), signal.SIGTERM)
        reached.append("second")
    assert reached == ["first"]


@pytest.mark.usefixtures("_python_handler")
def test_an_error_of_the_block_is_raised_first_and_the_signal_later() -> None:
    with pytest.raises(ValueError, match="the failure"), signals.deferred():
        os.kill(os.getpid(), signal.SIGINT)
        raise ValueError("the failure")
    with pytest.raises(KeyboardInterrupt):
        signals.deliver()
    signals.deliver()  # once


def test_another_thread_leaves_signals_alone() -> None:
    found: list[object] = []

    def run() -> None:
        with signals.deferred() as interrupted:
            found.append(interrupted())

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [False]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_a_library_catches_is_delivered_later() -> None:
    with pytest.raises(Interrupted), signals.raised():
        with contextlib.suppress(BaseException):
            os.kill(os.getpid(), signal.SIGTERM)
        signals.deliver()
    signals.deliver()  # once


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does
    with signals.raised(), signals.deferred() as interrupted:
        os.kill(os.getpid(), signal.SIGHUP)
        assert not interrupted()
    signal.signal(signal.SIGHUP, before)
