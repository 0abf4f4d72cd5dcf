"""Files that are at every moment whole, old or new, even after a power cut; and failures that say where and what to do."""

import contextlib
import csv
import fcntl
import io
import json
import os
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from mnist_exp.errors import EnvironmentFailure

POLL_SECONDS = 0.1
UNFINISHED = ".unfinished."  # how the name of a file begins while it is written


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure of the file system into an error that names `path`.

    Raises:
        EnvironmentFailure: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        missing = isinstance(error, FileNotFoundError) and not path.parent.exists()
        mend = f"make the directory {path.parent}" if missing else "free space or mend permissions there"
        raise EnvironmentFailure(
            f"{path}: cannot be written: {error.strerror or error}", f"{mend}, or choose another place"
        ) from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to, with the same suffix, which then takes the place of `path`.

    Raises:
        EnvironmentFailure: it cannot be written; the old file is still there.
    """
    temporary = path.with_name(f"{UNFINISHED}{path.name}")
    with writing(path):
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        sync_directory(path.parent)


@contextlib.contextmanager
def locked(path: Path, patience: float = 0.0) -> Iterator[None]:
    """Hold a file, made if need be, for this process alone; the system lets go of it when the process ends, however it ends.

    Args:
        path: the file; it must not be replaced while it is held.
        patience: seconds to wait for another process to let go of it.

    Raises:
        BlockingIOError: another process holds it.
        EnvironmentFailure: it cannot be opened.
    """
    with writing(path):
        file = path.open("a")
    with file:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(POLL_SECONDS)
        yield


def remove_unfinished(directory: Path) -> None:
    """Remove what a process that was killed left half-written in a directory that is now this process's alone."""
    with writing(directory):
        for path in directory.glob(f"{UNFINISHED}*"):
            path.unlink()


def sync_directory(directory: Path) -> None:
    """Make a rename in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: Path, content: bytes) -> None:
    """Write a file.

    Raises:
        EnvironmentFailure: it cannot be written; the old content is still there.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    """Write JSON that people can read, without NaN."""
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
    write(path, (text + "\n").encode())


def write_table(path: Path, rows: Iterable[Any], row_type: type) -> None:
    """Write dataclass instances of one type as CSV, None as an empty field; floats keep all their digits."""
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(row_type)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(row) for row in rows)
    write(path, text.getvalue().encode())


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a compressed .npz archive, as `numpy.savez_compressed` does, but in half its time and hardly larger."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
    write(path, content.getvalue())
