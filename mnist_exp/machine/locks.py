"""Advisory locks of files, which the system releases when their process ends; and processes, where there are no locks."""

import contextlib
import errno
import fcntl
import json
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mnist_exp.errors import UserError
from mnist_exp.machine import files
from mnist_exp.terminal import messages

POLL_SECONDS = 0.1
READER_SECONDS = 0.5  # a process that only asks whether a file is locked also locks it, for microseconds
UNSUPPORTED = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})  # on some network file systems


@contextlib.contextmanager
def locked(path: Path, timeout: float = 0.0, in_use: Callable[[], UserError] | None = None) -> Iterator[None]:
    """Lock a file, created if necessary, until the process exits in any way, and write this process into it.

    Waits up to `timeout` seconds for another process to release it. Where the file system has no locks, it warns once.

    Raises:
        BlockingIOError: another process has locked it; or the error that `in_use` returns.
        EnvironmentFailure: it cannot be opened.
    """
    deadline = time.monotonic() + max(timeout, READER_SECONDS)
    while True:
        with files.writing(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_same_file(descriptor, path):
                break
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                if in_use is not None:
                    raise in_use() from None
                raise
            time.sleep(POLL_SECONDS)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                os.close(descriptor)
                raise
            _warn_once(error.strerror or str(error))
            break
        os.close(descriptor)  # another process has locked the file, or has removed or replaced it meanwhile
    try:
        with contextlib.suppress(OSError):  # on a full disk
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps(this_process()).encode())
        yield
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool | None:
    """Return whether a process has locked a file; None if that is unknown: there is no such file, or there are no locks."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


@contextlib.contextmanager
def also_locked(path: Path) -> Iterator[None]:
    """Lock a second file, created if necessary, whose content is kept: it still excludes others if the first is removed.

    Raises:
        EnvironmentFailure: it cannot be opened.
    """
    with files.writing(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    try:
        with contextlib.suppress(OSError):  # the first lock decides
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def is_same_file(descriptor: int, path: Path) -> bool:
    """Return whether a path still leads to an open file, which another process may have removed or replaced."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def this_process() -> dict[str, Any]:
    """Return what identifies this process: its ID, its host, and when it started, since IDs are used again."""
    return {"pid": os.getpid(), "host": socket.gethostname(), "process_started": _start(os.getpid())}


def exists(process: Mapping[str, Any]) -> bool | None:
    """Return whether the process that `this_process` described still exists; None for one of another machine."""
    pid, host = process.get("pid"), process.get("host")
    if not isinstance(pid, int) or not isinstance(host, str) or pid <= 0:
        return False
    if host != socket.gethostname():
        return None
    try:
        with contextlib.suppress(PermissionError):  # the process of another user
            os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    return process.get("process_started") in (None, _start(pid))


def _start(pid: int) -> str | None:
    """Return the boot and the clock tick in which a process started, as reported by Linux; None elsewhere."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return f"{boot} {fields[19]}"


@cache
def _warn_once(cause: str) -> None:
    messages.warning(f"this file system has no locks ({cause}): do not train a run with two processes at once")
