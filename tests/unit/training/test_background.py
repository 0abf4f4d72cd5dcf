"""The background thread does the latest task, and loses no failure."""

import threading
import time

import pytest

from mnist_exp.training.background import Background


def test_tasks_are_done_in_order_in_another_thread_and_the_latest_always() -> None:
    done: list[tuple[int, bool]] = []
    started, release = threading.Event(), threading.Event()

    def task(number: int) -> None:
        started.set()
        assert release.wait(30)
        done.append((number, threading.current_thread() is threading.main_thread()))

    with Background() as background:
        for number in (1, 2, 3):
            background.do(lambda number=number: task(number))  # returns at once
            assert started.wait(30)
        release.set()
    assert done == [(1, False), (3, False)]


def test_a_task_that_is_given_late_is_done() -> None:
    done: list[int] = []
    with Background() as background:
        for number in (1, 2, 3):
            background.do(lambda number=number: done.append(number))
            while len(done) < number:
                time.sleep(0.001)
    assert done == [1, 2, 3]


def failing() -> None:
    raise OSError("full")


def test_a_failure_is_raised_when_the_next_task_is_given() -> None:
    done: list[int] = []
    with pytest.raises(OSError, match="full"), Background() as background:
        background.do(failing)
        while not background.failed:
            time.sleep(0.001)
        background.do(lambda: done.append(1))
    assert done == []


def test_a_failure_leaves_out_the_waiting_task() -> None:
    done: list[int] = []
    started, release = threading.Event(), threading.Event()

    def fail_later() -> None:
        started.set()
        assert release.wait(30)
        failing()

    with pytest.raises(OSError, match="full"), Background() as background:
        background.do(fail_later)
        assert started.wait(30)
        background.do(lambda: done.append(1))
        release.set()
    assert done == []


def test_a_failure_of_the_last_task_is_raised_at_the_end() -> None:
    with pytest.raises(OSError, match="full"), Background() as background:
        background.do(failing)


def test_a_failure_is_added_to_the_error_of_the_block() -> None:
    with pytest.raises(ValueError, match="diverged") as caught, Background() as background:
        background.do(failing)
        raise ValueError("diverged")
    assert caught.value.__notes__ == ["in the background: full"]


def test_a_failure_is_visible_before_the_next_task() -> None:
    with pytest.raises(OSError, match="full"), Background() as background:
        assert not background.failed
        background.do(failing)
        while not background.failed:
            time.sleep(0.001)


def test_a_second_signal_does_not_wait_for_the_task() -> None:
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


def test_an_error_of_the_block_waits_for_the_task() -> None:
    done: list[int] = []

    def slow() -> None:
        time.sleep(0.05)
        done.append(1)

    with pytest.raises(ValueError, match="diverged"), Background() as background:
        background.do(slow)
        raise ValueError("diverged")
    assert done == [1]
