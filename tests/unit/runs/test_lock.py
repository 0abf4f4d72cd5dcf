"""Whether the process of a run still exists: its lock decides, or where there is none, its start."""

import contextlib
import errno
import fcntl
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mnist_exp.errors import InputError, IntegrityError
from mnist_exp.machine import files, locks
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs.lock import lock_run
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import read_record, write_status


@contextlib.contextmanager
def locked_by_an_earlier_version(run: Run) -> Iterator[None]:
    """Earlier versions locked the log, and recorded no start of the process."""
    status = {key: value for key, value in read_json(run.status).items() if key != "process_started"}
    files.write_json(run.status, status | {"pid": 1})
    with run.log.open("a") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        yield


@pytest.mark.parametrize(
    "process",
    [{}, {"pid": 1}, {"host": "another container"}, {"pid": os.getppid(), "process_started": None}],
    ids=["this process", "PID 1", "another host", "another program"],
)
def test_the_lock_decides_whether_a_run_is_running(process: dict[str, Any], tmp_path: Path) -> None:
    run = Run(tmp_path)
    write_status(run, "running")
    files.write_json(run.status, read_json(run.status) | process)
    with locks.locked(run.lock):
        assert read_record(tmp_path).status == "running"
    assert read_record(tmp_path).status == "interrupted"


def test_without_a_lock_file_the_process_decides(tmp_path: Path) -> None:
    """As between the first status of a run and its lock."""
    run = Run(tmp_path)
    write_status(run, "running")
    assert read_record(tmp_path).status == "running"
    files.write_json(run.status, read_json(run.status) | {"pid": 1})
    assert read_record(tmp_path).status == "interrupted"


def test_a_run_that_ends_while_it_is_read_is_not_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path)
    write_status(run, "running")
    run.lock.touch()
    is_locked = locks.is_locked

    def end_first(path: Path) -> bool | None:
        write_status(run, "failed", 1, "the cause", "the remedy")
        return is_locked(path)

    monkeypatch.setattr(locks, "is_locked", end_first)
    assert read_record(tmp_path).cause == "the cause"


def test_the_lock_of_an_earlier_version_counts(tmp_path: Path) -> None:
    run = Run(tmp_path)
    write_status(run, "running")
    with locked_by_an_earlier_version(run):
        assert read_record(tmp_path).status == "running"
        with pytest.raises(InputError, match="is being written by process 1 on "), lock_run(run):
            pass
    assert read_record(tmp_path).status == "interrupted"
    with lock_run(run):
        assert read_record(tmp_path).status == "running"


def test_a_removed_lock_does_not_let_a_second_process_in(tmp_path: Path) -> None:
    run = Run(tmp_path)
    write_status(run, "running")
    parent = os.getppid()
    living = {"pid": parent, "process_started": locks._start(parent)}
    files.write_json(run.status, read_json(run.status) | living)
    message = rf"is being written by process {parent} on {re.escape(socket.gethostname())}"
    with pytest.raises(InputError, match=message), lock_run(run):
        pass
    files.write_json(run.status, read_json(run.status) | living | {"process_started": "earlier"})
    with lock_run(run):
        assert run.lock.exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_run_without_locks_is_trained_and_read(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    run = Run(tmp_path)
    with lock_run(run):
        write_status(run, "running")
        assert read_record(tmp_path).status == "running"
    files.write_json(run.status, read_json(run.status) | {"process_started": "earlier"})
    assert read_record(tmp_path).status == "interrupted"
    with lock_run(run):
        pass


def test_a_run_whose_files_are_links_or_pipes_is_not_written(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.directory.mkdir()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "file").write_text("kept")
    for path in run.written_in_place:
        path.symlink_to(tmp_path / "foreign" / "file")
        with pytest.raises(IntegrityError, match=f"{re.escape(str(path))}: is a symbolic link"), lock_run(run):
            pass
        path.unlink()
        os.mkfifo(path)  # which would make the program wait for ever
        with pytest.raises(IntegrityError, match=f"{re.escape(str(path))}: is not a regular file"), lock_run(run):
            pass
        path.unlink()
    run.checkpoints.mkdir()
    entry = run.checkpoints / "epoch_000009"
    for place, cause in ((entry.symlink_to, "is a symbolic link"), (lambda _: os.mkfifo(entry), "is not a regular file")):
        place(tmp_path / "foreign")
        with pytest.raises(IntegrityError, match=f"epoch_000009: {cause}"), lock_run(run):
            pass
        entry.unlink()
    run.status.symlink_to(tmp_path / "foreign" / "file")
    with lock_run(run):
        write_status(run, "running")  # replaces the link
    assert not run.status.is_symlink()
    assert (tmp_path / "foreign" / "file").read_text() == "kept"
    (tmp_path / "link").symlink_to(run.directory)  # of the user
    with lock_run(Run(tmp_path / "link")):
        pass
