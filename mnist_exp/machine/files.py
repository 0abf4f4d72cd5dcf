"""Files that are always complete, old or new, even after a power cut; errors that name the file and a remedy."""

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from mnist_exp.errors import EnvironmentFailure
from mnist_exp.machine.plain_data import open_regular

UNFINISHED = ".unfinished."  # prefix of a file's name while it is written
FULL_DISK = "No space left on device"  # in messages of TensorFlow, which raises no OSError
ABANDONED_SECONDS = 60.0  # a temporary file that has not changed for so long belongs to a process that was killed
NO_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}  # from a file system that has no fsync of a file or a directory


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError of this block into an error that names `path`.

    Raises:
        EnvironmentFailure: instead of the OSError.
    """
    try:
        yield
    except BrokenPipeError:  # not a fault of the file: the reader of a pipe has closed it
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC:
            remedy = "free disk space"
        elif isinstance(error, FileNotFoundError) and not path.parent.exists():
            remedy = f"create the directory {path.parent}"
        else:
            remedy = "check the file and its permissions"
        cause = f"{path}: cannot be written: {error.strerror or error}"
        raise EnvironmentFailure(cause, f"{remedy}, or choose another directory") from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path with the same suffix to write to; at the end of the block that file replaces `path`.

    The temporary name is unique, so that two processes may write the same file: the last one's is kept, whole.

    Raises:
        EnvironmentFailure: it cannot be written; the old file still exists.
    """
    temporary = path.with_name(f"{UNFINISHED}{secrets.token_hex(8)}{path.suffix}")
    with writing(path):
        try:
            yield temporary
            with temporary.open("rb") as file:
                sync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        sync_directory(path.parent)


def exists(path: Path) -> bool:
    """Return whether a path exists; False also where that cannot be known, such as in a directory without permission."""
    return os.path.exists(path)  # noqa: PTH110  (Path.exists raises PermissionError)


def sync_directory(directory: Path) -> None:
    """Make a rename in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def sync(descriptor: int) -> None:
    """Wait until a file or a directory is on the disk, where its file system can do that."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise


def remove_abandoned(directory: Path) -> None:
    """Remove temporary files of processes that were killed while they wrote to a directory."""
    for temporary in directory.glob(f"{UNFINISHED}*"):
        with contextlib.suppress(FileNotFoundError):  # its process has just renamed it
            if time.time() - temporary.lstat().st_mtime > ABANDONED_SECONDS:
                temporary.unlink()


def write(path: Path, content: bytes) -> None:
    """Replace the content of a file.

    Raises:
        EnvironmentFailure: it cannot be written; the old content still exists.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def check_output(path: Path) -> None:
    """Check, before long work, that `write_output` can write a file.

    Raises:
        EnvironmentFailure: it cannot be written.
    """
    with writing(path):
        parent = Path(os.path.realpath(path)).parent
        os.stat(f"{parent}/")  # noqa: PTH116  (a path without its slash exists also if it is a file)
        if not os.access(path if path.exists() else parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def write_output(path: Path, content: bytes) -> None:
    """Write a file of the user's choice, as a shell's `>` does: it may be a link, a pipe or a device, and keeps its mode.

    A regular file is replaced, so that it is whole at every moment. What is more than a plain file of this user, with one
    name, is written into.

    Raises:
        EnvironmentFailure: it cannot be written.
        BrokenPipeError: it is a pipe whose reader has closed it.
    """
    with writing(path):
        target = Path(os.path.realpath(path)) if path.is_symlink() else path
        try:
            found = path.stat()
        except FileNotFoundError:
            write(target, content)
            return
        is_plain = stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == os.geteuid()
        if is_plain and os.access(target, os.W_OK) and os.access(target.parent, os.W_OK | os.X_OK):
            with replacing(target) as temporary:
                temporary.write_bytes(content)
                shutil.copymode(target, temporary)
        else:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_TRUNC), "wb") as file:
                file.write(content)


def provide_temporary_directory(directory: Path) -> None:
    """Where the system's places for temporary files cannot be written, let this process and its children use `directory`."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        os.environ["TMPDIR"] = str(directory.resolve())


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON, in ASCII, which no terminal takes for a command; NaN is a ValueError."""
    write(path, f"{json.dumps(content, indent=2, allow_nan=False)}\n".encode())


def user_cache() -> Path:
    """Return the directory for files of this program that may be deleted at any time; it may not exist yet."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111  (Path's fails without a home)
    return Path(cache) / "mnist-exp"


def write_table(path: Path, rows: Iterable[Any], row_type: type) -> None:
    """Write dataclass instances of one type as CSV: None as an empty field, floats with all digits."""
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(row_type)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(row) for row in rows)
    write(path, text.getvalue().encode())


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a compressed .npz archive."""
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def array_sha256(*arrays: np.ndarray) -> str:
    """Return the SHA-256 over the bytes of the arrays, in order, in hexadecimal digits."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
