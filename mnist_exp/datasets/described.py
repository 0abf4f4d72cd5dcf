"""Data sets that a description defines: their files as arrays."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mnist_exp.datasets import finding, idx, places
from mnist_exp.datasets.dataset import Dataset, check_test_images
from mnist_exp.datasets.description import DataFile, Description, Part
from mnist_exp.datasets.finding import Content
from mnist_exp.datasets.idx import Buffer
from mnist_exp.datasets.mislabelled import STUDIES
from mnist_exp.datasets.sources import DescribedSet
from mnist_exp.errors import InputError


def load(source: DescribedSet) -> Dataset:
    """Find, verify and read the files.

    Raises:
        InputError: files are not on this machine, or do not have the described shape or labels.
        IntegrityError: a file is damaged.
    """
    described = source.description
    check_test_images(source.name, described.test.used_count, len(described.class_names))

    def read(file: DataFile) -> Content:
        return finding.read(source, file, from_copy=True)

    with ThreadPoolExecutor(4) as threads:  # zlib and hashlib release the interpreter's lock
        train_images, train_labels, test_images, test_labels = contents = list(threads.map(read, described.files))
    if source.roots or places.included(source.name) is None:
        finding.remember(source, contents)
    for file, found in zip(described.files, contents, strict=True):
        if not finding.has_expected_header(described, file, found.content):
            cause = f"{found.path}: is not described right: it contains {_describe(found.content)}"
            raise InputError(cause, f"correct the description of the data set {source.name} in its YAML file")
    return Dataset(
        name=source.name,
        sha256=hashlib.sha256("".join(found.sha256 for found in contents).encode()).hexdigest(),
        file_sha256={file.content_path: found.sha256 for file, found in zip(described.files, contents, strict=True)},
        train_images=_images(described, described.train, train_images),
        train_labels=_labels(source, described.train, train_labels),
        test_images=_images(described, described.test, test_images),
        test_labels=_labels(source, described.test, test_labels),
        class_names=described.class_names,
        mislabelled=STUDIES.get(test_images.sha256),
        train_groups=_groups(described, described.train, train_labels),
        test_groups=_groups(described, described.test, test_labels),
        ink=described.ink,
        handwriting=described.handwriting,
    )


def _describe(content: Buffer) -> str:
    try:
        found = idx.header(content)
    except ValueError as error:
        return f"no array: it {error}"
    return f"{idx.format_shape(found.shape)} values of type {found.dtype.name}"


def _images(described: Description, part: Part, found: Content) -> np.ndarray:
    """Return the images used, uint8 (n, height, width, channels)."""
    height, width, channels = described.image_shape
    stored = (width, height) if described.transposed else (height, width)
    images = _parse(found).reshape(part.count, *stored, channels)[part.used]
    return images.swapaxes(1, 2) if described.transposed else images


def _groups(described: Description, part: Part, found: Content) -> np.ndarray | None:
    """Return the groups of the images used, int32 (n,); None if the labels have no column for them."""
    if described.group_column is None:
        return None
    return np.ascontiguousarray(_parse(found)[part.used, described.group_column], np.int32)


def _labels(source: DescribedSet, part: Part, found: Content) -> np.ndarray:
    """Return the labels used as indices of classes, uint8 or uint16 (n,)."""
    described, labels = source.description, _parse(found)[part.used]
    if described.label_column is not None:
        labels = labels[:, described.label_column]
    first, count = described.labels_from, len(described.class_names)
    if labels.min() < first or labels.max() >= first + count:
        cause = f"{found.path}: labels from {labels.min()} to {labels.max()}, but the description has {count} from {first}"
        raise InputError(cause, f"correct labels_from or class_names of the data set {source.name} in its YAML file")
    if first == 0 and labels.dtype == np.uint8:
        return labels
    labels = (labels.astype(np.int64) - first).astype(np.uint8 if count <= 256 else np.uint16)
    labels.flags.writeable = False
    return labels


def _parse(found: Content) -> np.ndarray:
    try:
        return idx.parse(found.content)
    except ValueError as error:
        raise InputError(f"{found.path}: {error}", "fetch the file again, or correct its hash in the YAML file") from None
