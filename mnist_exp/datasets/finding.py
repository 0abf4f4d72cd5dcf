"""The files of a described data set: found in their directories by name or by content, and verified.

Whatever is returned has been hashed after it was read, in this process.
"""

import contextlib
import hashlib
import mmap
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from mnist_exp.datasets import copies, idx, members, places
from mnist_exp.datasets.description import DataFile, Description
from mnist_exp.datasets.sources import DescribedSet
from mnist_exp.errors import InputError, IntegrityError, UserError
from mnist_exp.machine.plain_data import open_regular

MAX_LABEL_COLUMNS = 64
PEEK = 65_536  # bytes of a compressed file that contain its IDX header


class Content(NamedTuple):
    """The verified content of a file."""

    content: bytes | mmap.mmap  # uncompressed
    sha256: str  # of the uncompressed content
    path: Path  # of the file, or of the archive that contains it


def read(source: DescribedSet, file: DataFile, from_copy: bool = False) -> Content:
    """Return the content of a file.

    Args:
        source: the data set.
        file: one of its files.
        from_copy: whether an uncompressed copy in the cache may be read instead of a file that is there.

    Raises:
        InputError: the file is not on this machine.
        IntegrityError: a file has its name but other content.
    """
    faults: list[str] = []
    hashes = {} if source.description.archive is None else members.recorded(source.description.archive, source.directories)
    expected = file if file.path not in hashes else file.model_copy(update={"sha256": hashes[file.path]})
    key = expected.content_sha256 or expected.sha256 or expected.md5
    is_large = size_limit(source.description, file) >= copies.LEAST
    if from_copy and key and is_large and (path := locate(source, file)) and (copy := copies.find(key)):
        return Content(*copy, path)
    for path, is_named in _candidates(source, expected):
        try:
            return verified(source.description, expected, path)
        except (ValueError, OSError) as error:
            reason = f"cannot be read ({error.strerror})" if isinstance(error, OSError) else str(error)
            faults += [f"{path}: {reason}"] if is_named else []
    for path in _archives(source):
        try:
            return _from_archive(source, file, path)
        except (ValueError, OSError) as error:
            faults.append(f"{path}: {error}")
    raise _error(source, file, faults)


def remember(source: DescribedSet, contents: Iterable[Content]) -> None:
    """Store copies of the large files of a data set in the cache."""
    hashes = {} if source.description.archive is None else members.recorded(source.description.archive, source.directories)
    for file, found in zip(source.description.files, contents, strict=True):
        if key := file.content_sha256 or hashes.get(file.path) or file.sha256 or file.md5:
            copies.store(key, found.content, found.sha256)


def locate(source: DescribedSet, file: DataFile) -> Path | None:
    """Return where a file probably is, without reading all of it; None if it is not on this machine."""
    return next((path for path, _ in _candidates(source, file)), None) or next(_archives(source), None)


def missing(source: DescribedSet) -> UserError | None:
    """Return an error that says how to get the files, unless all of them are on this machine."""
    absent = next((file for file in source.description.files if locate(source, file) is None), None)
    return None if absent is None else _error(source, absent, [])


def size_limit(described: Description, file: DataFile) -> int:
    """Return the most bytes that an uncompressed file can have."""
    part = described.part_of(file)
    if file.path == part.images.path:
        height, width, channels = described.image_shape
        return idx.MAX_HEADER + part.count * height * width * channels
    return idx.MAX_HEADER + part.count * (1 if described.label_column is None else 4 * MAX_LABEL_COLUMNS)


def stored_limit(described: Description, file: DataFile) -> int:
    """Return the most bytes that a file can have as it is offered."""
    return file.bytes or _compressed_limit(described, file)


def _compressed_limit(described: Description, file: DataFile) -> int:
    """Return the most bytes that a file can have, however it was compressed."""
    return size_limit(described, file) * 101 // 100 + 1024


def has_expected_header(described: Description, file: DataFile, content: bytes | mmap.mmap) -> bool:
    """Return whether uncompressed content begins like a file."""
    try:
        found = idx.header(content)
    except ValueError:
        return False
    part = described.part_of(file)
    height, width, channels = described.image_shape
    if file.path == part.images.path:
        stored = (width, height) if described.transposed else (height, width)
        shapes = [(part.count, *stored), (part.count, *stored, 1)] if channels == 1 else [(part.count, *stored, channels)]
        return found.shape in shapes and found.dtype == idx.TYPES[0x08]
    if described.label_column is None:
        return found.shape == (part.count,)
    columns = found.shape[1] if len(found.shape) == 2 else 0
    last = max(described.label_column, described.group_column or 0)
    return found.shape[0] == part.count and last < columns <= MAX_LABEL_COLUMNS


def _candidates(source: DescribedSet, file: DataFile) -> Iterator[tuple[Path, bool]]:
    """Yield files that may be the wanted one, and whether they have its name."""
    in_package = not source.roots and places.included(source.name) is not None
    names = dict.fromkeys((file.path, file.content_path, file.name, file.name.removesuffix(".gz")))
    named = [directory / name for directory in source.directories for name in names]
    yield from ((path, True) for path in named if path.is_file())
    for directory in [] if in_package else source.directories:
        for path in places.regular_files(directory):
            if path not in named and _begins_like(source, file, path):
                yield path, path.name in names


def _begins_like(source: DescribedSet, file: DataFile, path: Path) -> bool:
    try:
        with open_regular(path) as stream:
            start = idx.decompress(stream.read(PEEK), idx.MAX_HEADER)
    except (OSError, ValueError):
        return False
    return has_expected_header(source.description, file, start)


def verified(described: Description, file: DataFile, path: Path) -> Content:
    """Read a file and check a published hash.

    Raises:
        ValueError: it has another hash, with both.
        OSError: it cannot be read.
    """
    limit = size_limit(described, file)
    with open_regular(path) as stream:
        stored = stream.read(_compressed_limit(described, file) + 1)
    expected = file.content_sha256 or file.sha256 or file.md5
    if expected is None:
        raise ValueError("cannot be verified without the archive that contains it")
    try:
        content = idx.decompress(stored, limit)
    except ValueError as error:
        raise ValueError(f"{error}, expected SHA-256 {expected}") from None
    found = hashlib.sha256(content).hexdigest()
    if file.content_sha256 is not None:
        actual = found
    elif file.sha256 is not None:
        actual = hashlib.sha256(stored).hexdigest()
    else:
        actual = hashlib.md5(stored, usedforsecurity=False).hexdigest()
    if actual != expected:
        raise ValueError(
            f"is damaged, or is another file: {'MD5' if len(actual) == 32 else 'SHA-256'} is {actual}, expected {expected}"
        )
    return Content(content, found, path)


def _archives(source: DescribedSet) -> Iterator[Path]:
    """Yield files that may be the archive: those with its name or its size."""
    archive = source.description.archive
    if archive is None:
        return
    for directory in source.directories:
        for path in places.regular_files(directory):
            with contextlib.suppress(OSError):
                if path.name == archive.name or path.stat().st_size == archive.bytes:
                    yield path


def _from_archive(source: DescribedSet, file: DataFile, path: Path) -> Content:
    """Return the content of a file of an archive, which is hashed once to learn the hashes of all files of the data set.

    Raises:
        ValueError: it is not the archive, or the file in it is damaged.
        OSError: it cannot be read.
    """
    described = source.description
    if described.archive is None:
        raise ValueError("is not part of the data set")
    known = members.recorded(described.archive, source.directories)
    if file.path not in known:
        wanted = {one.path: stored_limit(described, one) for one in described.files}
        known = members.record_from(path, described.archive, wanted)
    stored = members.read_member(path, file.path, stored_limit(described, file))
    if (found := hashlib.sha256(stored).hexdigest()) != known[file.path]:
        raise ValueError(f"{file.path} is damaged: SHA-256 is {found}, expected {known[file.path]}")
    content = idx.decompress(stored, size_limit(described, file))
    return Content(content, hashlib.sha256(content).hexdigest(), path)


def _error(source: DescribedSet, file: DataFile, faults: Iterable[str]) -> UserError:
    in_package = not source.roots and places.included(source.name) is not None
    expected = file.content_sha256 or file.sha256 or file.md5
    if in_package:
        path = source.directories[0] / file.name
        text = next(iter(faults), f"{path}: cannot be read ({os.strerror(2)}), expected SHA-256 {expected}")
        return IntegrityError(text, "install mnist-exp again")
    if fault := next(iter(faults), None):
        return IntegrityError(fault, f"replace the file, or fetch it: mnist-exp data fetch {source.name}")
    where = ", ".join(map(str, source.directories))
    cause = f"dataset={source.name}: {file.name} is not on this machine (searched: {where})"
    fetch = f"fetch it: mnist-exp data fetch {source.name}; or add dataset.fetch=true"
    return InputError(cause, f"{fetch}; or name a directory that contains the files: dataset.root=DIR")
