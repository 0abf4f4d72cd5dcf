"""The lock of a run: which process trains it, and whether that process still exists."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mnist_exp.errors import InputError
from mnist_exp.machine import files, locks
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs.run import Run, refuse_special_files


@contextlib.contextmanager
def lock_run(run: Run, timeout: float = 0.0) -> Iterator[None]:
    """Lock the run for this process; wait up to `timeout` seconds for another process to release it.

    Raises:
        InputError: another process has locked it.
        IntegrityError: one of its files is a link.
        EnvironmentFailure: its lock cannot be opened.
    """
    refuse_special_files(*run.written_in_place, *run.checkpoints.glob("*"))
    status = read_json(run.status)
    if status.get("status") != "running" or status.get("pid") == os.getpid():
        status = {}
    with exclusive(run.lock, run.log, "is being written by", status, timeout):
        with files.writing(run.directory):
            files.remove_abandoned(run.directory)
        yield


@contextlib.contextmanager
def exclusive(
    lock: Path, earlier_lock: Path, state: str, process: Mapping[str, Any], timeout: float = 0.0
) -> Iterator[None]:
    """Lock the lock file of a directory, which only one process may use.

    Args:
        lock: the lock file of the directory.
        earlier_lock: the log, which earlier versions locked.
        state: of the directory while another process uses it, for the message.
        process: status.json of that other process, if there is one.
        timeout: seconds to wait for another process to release the lock.

    Raises:
        InputError: another process has locked it.
        EnvironmentFailure: the file cannot be opened.
    """
    # Where the file was removed, is of an earlier version, or cannot be locked, it does not exclude that process.
    if locks.is_locked(lock) is None and _is_in_use(lock, earlier_lock, process):
        raise _in_use_error(lock.parent, state, process)
    with locks.locked(lock, timeout, lambda: _in_use_error(lock.parent, state, read_json(lock))):
        yield


def is_alive(lock: Path, earlier_lock: Path, process: Mapping[str, Any]) -> bool:
    """Return whether the process that uses a directory still exists.

    The lock decides. Where that is not known, the process decides, and one of another machine counts as alive.

    Args:
        lock: the lock file of the directory.
        earlier_lock: the log, which earlier versions locked.
        process: status.json as that process wrote it, or nothing.
    """
    return _is_in_use(lock, earlier_lock, process) is not False


def _is_in_use(lock: Path, earlier_lock: Path, process: Mapping[str, Any]) -> bool | None:
    """Return whether a process uses a directory; None if only another machine knows."""
    is_current = "process_started" in process or os.path.lexists(lock)
    held = locks.is_locked(lock if is_current else earlier_lock)
    return locks.exists(process) if held is None else held


def _in_use_error(directory: Path, state: str, process: Mapping[str, Any]) -> InputError:
    owner = f"process {process['pid']} on {process.get('host')}" if process.get("pid") else "another process"
    return InputError(f"{directory}: {state} {owner}", "wait for it, or stop it first")
