"""The background thread does jobs in order and loses no failure."""

import threading
import time

import pytest

from mnist_exp.training.background import Background


def test_jobs_are_done_in_order_in_another_thread() -> None:
    done: list[tuple[int, bool]] = []

    def job(number: int) -> None:
        time.sleep(0.02 / number)  # the first would be the last to end
        done.append((number, threading.current_thread() is threading.main_thread()))

    with Background() as background:
        for number in (1, 2, 3):
            background.do(lambda number=number: job(number))
    assert done == [(1, False), (2, False), (3, False)]


def failing() -> None:
    raise OSError("full")


def test_a_failure_is_raised_when_the_next_job_is_given() -> None:
    done: list[int] = []
    with pytest.raises(OSError, match="full"), Background() as background:
        background.do(failing)
        background.do(lambda: done.append(1))
    assert done == []


def test_a_failure_of_the_last_job_is_raised_at_the_end() -> None:
    with pytest.raises(OSError, match="full"), Background() as background:
        background.do(failing)


def test_a_failure_is_added_to_the_error_of_the_block() -> None:
    with pytest.raises(ValueError, match="diverged") as caught, Background() as background:
        background.do(failing)
        raise ValueError("diverged")
    assert caught.value.__notes__ == ["in the background: full"]


def test_a_failure_is_visible_before_the_next_job() -> None:
    with pytest.raises(OSError, match="full"), Background() as background:
        assert not background.failed
        background.do(failing)
        while not background.failed:
            time.sleep(0.001)


def test_a_second_signal_does_not_wait_for_the_job() -> None:
    release = threading.Event()
    started = threading.Event()

    def slow() -> None:
        started.set()
        assert release.wait(30)

    with pytest.raises(KeyboardInterrupt), Background() as background:
        background.do(slow)
        assert started.wait(30)
        raise KeyboardInterrupt
    assert not release.is_set()
    release.set()


def test_an_error_of_the_block_waits_for_the_job() -> None:
    done: list[int] = []

    def slow() -> None:
        time.sleep(0.05)
        done.append(1)

    with pytest.raises(ValueError, match="diverged"), Background() as background:
        background.do(slow)
        raise ValueError("diverged")
    assert done == [1]
