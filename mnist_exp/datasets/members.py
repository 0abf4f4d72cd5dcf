"""The hashes of files in an archive, which are not published: computed once from an archive whose own hash is right.

They are recorded under the hash of the archive. A file that has a recorded hash is the one in that archive, wherever it is
and whenever it was changed; so a record is never out of date. Without a record, the archive is hashed again.
"""

import contextlib
import hashlib
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from mnist_exp.datasets.description import OfferedFile
from mnist_exp.errors import UserError
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import open_regular, read_json

RECORD = "members.json"


def recorded(archive: OfferedFile, directories: Iterable[Path]) -> dict[str, str]:
    """Return the known hashes of files in an archive by their path in it, from records in directories and in the cache."""
    known: dict[str, str] = {}
    for directory in (files.user_cache(), *directories):
        hashes = read_json(directory / RECORD).get(str(archive.sha256))
        if isinstance(hashes, dict):
            known |= {path: sha256 for path, sha256 in hashes.items() if isinstance(sha256, str)}
    return known


def record(archive: OfferedFile, hashes: Mapping[str, str], directory: Path) -> None:
    """Add hashes to the record in a directory."""
    content = read_json(directory / RECORD)
    before = content.get(str(archive.sha256))
    content[str(archive.sha256)] = (before if isinstance(before, dict) else {}) | dict(hashes)
    with files.writing(directory / RECORD):
        directory.mkdir(parents=True, exist_ok=True)
    files.write_json(directory / RECORD, content)


def record_from(path: Path, archive: OfferedFile, wanted: Mapping[str, int]) -> dict[str, str]:
    """Return the hashes of files in an archive, and record them in the cache.

    Args:
        path: of a ZIP file.
        archive: its size and hash.
        wanted: paths in the archive → the most bytes that the files may have.

    Raises:
        ValueError: it is not the archive, or does not contain the files.
        OSError: it cannot be read.
    """
    check(path, archive)
    hashes = {name: hashlib.sha256(read_member(path, name, limit)).hexdigest() for name, limit in wanted.items()}
    with contextlib.suppress(UserError):
        record(archive, hashes, files.user_cache())
    return hashes


def check(path: Path, offered: OfferedFile) -> None:
    """Check the size and the hash of a file as it is offered.

    Raises:
        ValueError: another size or hash, with both.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    if offered.bytes not in (None, size):
        raise ValueError(f"has {size:,} bytes, expected {offered.bytes:,}")
    for name, expected in (("sha256", offered.sha256), ("md5", offered.md5)):
        if expected is not None:
            with open_regular(path) as file:
                found = hashlib.file_digest(file, lambda: hashlib.new(name, usedforsecurity=False)).hexdigest()  # noqa: B023
            if found != expected:
                label = {"sha256": "SHA-256", "md5": "MD5"}[name]
                raise ValueError(f"{label} is {found}, expected {expected}")


def read_member(path: Path, name: str, limit: int) -> bytes:
    """Return a file of an archive; nothing is written, so that no name in it can lead out of a directory.

    Raises:
        ValueError: the archive does not contain it, it is damaged, or has more than `limit` bytes.
        OSError: the archive cannot be read.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            entry = archive.getinfo(name)
            if entry.file_size > limit:
                raise ValueError(f"{name} has {entry.file_size:,} bytes, expected at most {limit:,}")
            with archive.open(entry) as stream:
                content = stream.read(limit + 1)
    except KeyError:
        raise ValueError(f"does not contain {name}") from None
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError(f"cannot be read as a ZIP archive ({error})") from None
    if len(content) > limit:
        raise ValueError(f"{name} has more than {limit:,} bytes")
    return content
