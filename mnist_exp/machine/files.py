"""Files that are always complete, old or new, even after a power cut; errors that name the file and a remedy."""

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from mnist_exp.errors import EnvironmentFailure

UNFINISHED = ".unfinished."  # prefix of a file's name while it is written


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError of this block into an error that names `path`.

    Raises:
        EnvironmentFailure: instead of the OSError.
    """
    try:
        yield
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

    Raises:
        EnvironmentFailure: it cannot be written; the old file still exists.
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


def exists(path: Path) -> bool:
    """Return whether a path exists; False also where that cannot be known, such as in a directory without permission."""
    return os.path.exists(path)  # noqa: PTH110  (Path.exists raises PermissionError)


def sync_directory(directory: Path) -> None:
    """Make a rename in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: Path, content: bytes) -> None:
    """Replace the content of a file.

    Raises:
        EnvironmentFailure: it cannot be written; the old content still exists.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON; NaN is a ValueError."""
    write(path, f"{json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)}\n".encode())


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
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def array_sha256(*arrays: np.ndarray) -> str:
    """Return the SHA-256 over the bytes of the arrays, in order, in hexadecimal digits."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
