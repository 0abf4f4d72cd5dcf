"""Which files had which content when they were last read: where to look first. What is read is always verified."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mnist_exp.errors import UserError
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_json

CACHE = "dataset_files.json"  # path → size, time of change, inode, SHA-256 of the uncompressed content
MAX_CACHED = 1000


def store(found: Iterable[tuple[Path, str]]) -> None:
    """Add files and the SHA-256 of their contents; where that cannot be written, they are looked for again each time."""
    cache = files.user_cache() / CACHE
    known = read_json(cache)
    entries = {os.path.abspath(path): _entry(path, sha256) for path, sha256 in found}  # noqa: PTH100
    if all(known.get(path) == entry for path, entry in entries.items()):
        return
    others = [(path, entry) for path, entry in known.items() if path not in entries]
    with contextlib.suppress(UserError, OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(cache, dict(others[-MAX_CACHED:]) | entries)


def cached(sha256: str | None, directories: Iterable[Path]) -> list[Path]:
    """Return the files in directories that had the wanted content when they were last read, and have not changed since."""
    if sha256 is None:
        return []
    entries = read_json(files.user_cache() / CACHE)
    found = [Path(path) for path, entry in entries.items() if isinstance(entry, list) and entry[-1:] == [sha256]]
    roots = [os.path.abspath(directory) + os.sep for directory in directories]  # noqa: PTH100  (a link is not followed)
    inside = [path for path in found if any(str(path).startswith(root) for root in roots)]
    return [path for path in inside if entries[str(path)] == _entry(path, sha256)]


def _entry(path: Path, sha256: str) -> list[Any] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ino, sha256]
