"""Data sets that a description defines: found, verified by their hashes, read."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mnist_exp.datasets import idx, places
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.datasets.description import DataFile, Description, Part
from mnist_exp.datasets.facts import Facts
from mnist_exp.datasets.mislabelled import STUDIES
from mnist_exp.errors import InputError, IntegrityError, UserError

MAX_LABEL_COLUMNS = 64


@dataclass(frozen=True)
class DescribedSet:
    """A name, a description, and where to look for the files."""

    name: str
    description: Description
    roots: tuple[str, ...] = ()  # directories; empty: the usual places
    fetch: bool = False  # whether missing files are downloaded


def facts(source: DescribedSet) -> Facts:
    """Return the facts, which are all in the description."""
    described = source.description
    return Facts(described.image_shape, len(described.class_names), described.train.used_count, described.fingerprint)


def load(source: DescribedSet) -> Dataset:
    """Find, verify and read the files.

    Raises:
        InputError: files are not on this machine.
        IntegrityError: a file is damaged.
    """
    described = source.description
    with ThreadPoolExecutor() as threads:  # zlib and hashlib release the interpreter's lock
        contents = list(threads.map(lambda file: read(source, file), described.files))
    hashes = [sha256 for _, sha256 in contents]
    train_images, train_labels, test_images, test_labels = (content for content, _ in contents)
    names = [file.content_name for file in described.files]
    return Dataset(
        name=source.name,
        sha256=hashlib.sha256("".join(hashes).encode()).hexdigest(),
        file_sha256=dict(zip(names, hashes, strict=True)),
        train_images=_images(described, described.train, train_images),
        train_labels=_labels(described, described.train, train_labels),
        test_images=_images(described, described.test, test_images),
        test_labels=_labels(described, described.test, test_labels),
        class_names=described.class_names,
        mislabelled=STUDIES.get(hashes[2]),
    )


def read(source: DescribedSet, file: DataFile) -> tuple[bytes, str]:
    """Return the uncompressed content of a file and its SHA-256, verified.

    Raises:
        InputError: the file is not on this machine.
        IntegrityError: it is damaged.
    """
    faults: list[UserError] = []
    for path in _candidates(source, file):
        try:
            return _verified(source, file, path)
        except IntegrityError as error:
            faults.append(error)
    raise faults[0] if faults else _missing(source, file)


def _candidates(source: DescribedSet, file: DataFile) -> Iterator[Path]:
    for directory in places.directories(source.name, source.roots):
        for name in dict.fromkeys((file.name, file.content_name)):
            if (directory / name).is_file():
                yield directory / name


def _verified(source: DescribedSet, file: DataFile, path: Path) -> tuple[bytes, str]:
    expected = file.content_sha256 or file.sha256 or file.md5
    try:
        stored = path.read_bytes()
        content = idx.decompress(stored, _limit(source.description, file))
    except OSError as error:
        cause = f"{path}: cannot be read ({error.strerror}), expected SHA-256 {expected}"
        raise IntegrityError(cause, _restore(source)) from None
    except ValueError as error:
        raise IntegrityError(f"{path}: {error}, expected SHA-256 {expected}", _restore(source)) from None
    found = hashlib.sha256(content).hexdigest()
    if file.content_sha256 is not None:
        is_right, shown = found == file.content_sha256, found
    elif file.sha256 is not None:
        shown = hashlib.sha256(stored).hexdigest()
        is_right = shown == file.sha256
    else:
        shown = hashlib.md5(stored, usedforsecurity=False).hexdigest()
        is_right = shown == file.md5
    if not is_right:
        raise IntegrityError(f"{path}: is damaged: SHA-256 is {shown}, expected {expected}", _restore(source))
    return content, found


def _limit(described: Description, file: DataFile) -> int:
    """Return the most bytes that the uncompressed file can have."""
    part = described.train if file in (described.train.images, described.train.labels) else described.test
    if file == part.images:
        return idx.MAX_HEADER + part.count * int(np.prod(described.image_shape))
    return idx.MAX_HEADER + part.count * (1 if described.label_column is None else 4 * MAX_LABEL_COLUMNS)


def _restore(source: DescribedSet) -> str:
    return (
        "install mnist-exp again" if places.included(source.name) else f"fetch it again: mnist-exp data fetch {source.name}"
    )


def _missing(source: DescribedSet, file: DataFile) -> UserError:
    if not source.roots and (directory := places.included(source.name)):
        expected = file.content_sha256 or file.sha256
        cause = f"{directory / file.name}: cannot be read (No such file or directory), expected SHA-256 {expected}"
        return IntegrityError(cause, _restore(source))
    where = ", ".join(map(str, places.directories(source.name, source.roots)))
    cause = f"dataset={source.name}: {file.name} is not on this machine (looked in {where})"
    return InputError(cause, f"fetch it: mnist-exp data fetch {source.name}; or name its directory: dataset.root=DIR")


def _images(described: Description, part: Part, content: bytes) -> np.ndarray:
    """Return the images used, uint8 (n, height, width, channels)."""
    images = idx.parse(content)
    height, width, channels = described.image_shape
    stored = (width, height) if described.transposed else (height, width)
    images = images.reshape(part.count, *stored, channels)[part.used]
    return images.swapaxes(1, 2) if described.transposed else images


def _labels(described: Description, part: Part, content: bytes) -> np.ndarray:
    """Return the labels used as indices of classes, uint8 or uint16 (n,)."""
    labels = idx.parse(content)
    if described.label_column is not None:
        labels = labels[:, described.label_column]
    if described.labels_from == 0 and labels.dtype == np.uint8:
        return labels[part.used]
    dtype = np.uint8 if len(described.class_names) <= 256 else np.uint16
    labels = (labels[part.used].astype(np.int64) - described.labels_from).astype(dtype)
    labels.flags.writeable = False
    return labels
