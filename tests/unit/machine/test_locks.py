"""Locks: exclusive, released with their process, and optional where a file system has none."""

import errno
import fcntl
import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mnist_exp.errors import EnvironmentFailure
from mnist_exp.machine import locks
from mnist_exp.machine.plain_data import read_json


def test_a_lock_is_exclusive_and_contains_its_process(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    assert locks.is_locked(lock) is None
    with locks.locked(lock):
        assert locks.is_locked(lock) is True
        assert read_json(lock) == locks.this_process()
        with pytest.raises(BlockingIOError), locks.locked(lock):
            pass
    assert locks.is_locked(lock) is False
    with locks.locked(lock):
        pass


def test_readers_do_not_keep_a_process_from_a_lock(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    lock.touch()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            locks.is_locked(lock)
            time.sleep(0.001)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(100):
            with locks.locked(lock):  # raises BlockingIOError if a reader holds it
                assert locks.is_locked(lock)
    finally:
        stop.set()
        reader.join()


def test_the_file_that_is_locked_is_the_one_at_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process removes the file between opening and locking it."""
    lock = tmp_path / ".lock"
    flock, attempts = fcntl.flock, list[int]()

    def remove_first(descriptor: int, operation: int) -> None:
        attempts.append(operation)
        if len(attempts) == 1:
            lock.unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with locks.locked(lock):
        assert len(attempts) == 2
        assert locks.is_locked(lock) is True


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_costs_one_warning(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    locks._warn_once.cache_clear()
    for name in ("a", "b"):
        with locks.locked(tmp_path / name):
            assert locks.is_locked(tmp_path / name) is None
    assert capsys.readouterr().err.count("this file system has no locks") == 1


def test_a_link_or_a_pipe_is_not_a_lock(tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    (tmp_path / "link").symlink_to("target")
    with pytest.raises(EnvironmentFailure), locks.locked(tmp_path / "link"):
        pass
    assert (tmp_path / "target").read_bytes() == b""
    os.mkfifo(tmp_path / "pipe")
    assert locks.is_locked(tmp_path / "link") is None
    assert locks.is_locked(tmp_path / "pipe") is None


def test_a_process_is_known_by_its_start_since_ids_are_used_again() -> None:
    own = locks.this_process()
    assert locks.exists(own) is True
    assert locks.exists(json.loads(json.dumps(own))) is True
    assert locks.exists(own | {"process_started": "earlier 1"}) is False
    assert locks.exists(own | {"process_started": []}) is False
    assert locks.exists(own | {"pid": 1}) is False
    assert locks.exists(own | {"pid": 1, "process_started": None}) is True  # as written by an earlier version
    assert locks.exists(own | {"host": "another machine"}) is None


@pytest.mark.parametrize("pid", [None, "1", [], 0, -1, 2**70, 1.5])
def test_an_invalid_process_does_not_exist(pid: object) -> None:
    assert locks.exists({"pid": pid, "host": socket.gethostname()}) is False
    assert locks.exists({"pid": pid}) is False
