"""Uncompressed copies of large files in the user's cache: read at once, and shared by all processes that map them.

A copy is hashed each time it is mapped, so that a damaged one is never used. All may be deleted at any time.
"""

import contextlib
import hashlib
import mmap
from pathlib import Path

from mnist_exp.errors import UserError
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import open_regular

LEAST = 64_000_000  # bytes of content; a smaller file is decompressed in less than half a second


def find(key: str) -> tuple[mmap.mmap, str] | None:
    """Return the mapped copy of a file and its SHA-256.

    Args:
        key: the published hash of the file, or of its content.
    """
    for path in _directory().glob(f"{key}-*.idx"):
        with contextlib.suppress(OSError, ValueError):
            with open_regular(path) as file:
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            if (found := hashlib.sha256(content).hexdigest()) == path.stem.partition("-")[2]:
                return content, found
            content.close()
    return None


def store(key: str, content: bytes | mmap.mmap, sha256: str) -> None:
    """Store the verified content of a large file; where that is not possible, it is decompressed again each time."""
    path = _directory() / f"{key}-{sha256}.idx"
    if len(content) < LEAST or isinstance(content, mmap.mmap):
        return
    with contextlib.suppress(UserError, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, content)


def _directory() -> Path:
    return files.user_cache() / "datasets"
