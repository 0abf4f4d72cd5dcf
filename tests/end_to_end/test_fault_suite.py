"""`make faults` with fewer tries."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import disks, kills, rivals, writes
from tests.forks import Forks


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MB."""
    with disks.small_disk(tmp_path / "disk") as mounted:
        if mounted is None:
            pytest.skip("this system does not let this user mount a disk")
        yield mounted


@pytest.mark.parametrize("save", writes.SAVES)
def test_a_failed_save_leaves_the_old_or_the_new_file(save: str, tmp_path: Path) -> None:
    tries, survived = writes.failures(tmp_path / "failures", writes.SAVES[save])
    assert tries >= 30
    assert survived == tries


def test_a_kill_at_a_random_moment_loses_nothing(tmp_path: Path, forks: Forks) -> None:
    outcomes = kills.campaign(tmp_path / "kills", signal.SIGKILL, tries=2, seed=39, processes=forks)
    assert len(outcomes) == 2
    assert all(outcome.same and outcome.lost == 0 and outcome.code == -9 for outcome in outcomes)


def test_of_two_processes_on_a_dead_run_one_wins(tmp_path: Path, uninterrupted: Path, forks: Forks) -> None:
    assert rivals.one_of_two_wins(tmp_path / "rivals", uninterrupted, forks)


def test_a_disk_that_is_too_small_is_reported_before_training(disk: Path, forks: Forks) -> None:
    assert disks.refused_before_training(disk, forks)


def test_a_read_only_disk_is_reported_before_tensorflow_starts(disk: Path) -> None:
    assert disks.refused_where_nothing_can_be_written(disk)


def test_a_run_on_a_full_disk_is_resumed_once_there_is_space(disk: Path, uninterrupted: Path, forks: Forks) -> None:
    assert disks.filled_and_resumed(disk, uninterrupted, forks)
