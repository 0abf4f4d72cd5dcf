"""One thread, jobs in order, and no failure lost."""

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


def test_what_ends_the_block_counts_more_and_the_job_is_still_finished() -> None:
    done: list[int] = []

    def slow() -> None:
        time.sleep(0.05)
        done.append(1)

    with pytest.raises(ValueError, match="diverged"), Background() as background:
        background.do(slow)
        raise ValueError("diverged")
    assert done == [1]
