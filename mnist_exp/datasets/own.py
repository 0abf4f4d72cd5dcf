"""A user's own images: a folder, IDX files, an NPZ file or CSV files → a data set."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from mnist_exp.datasets import classes, image_cache, parts
from mnist_exp.datasets.content import Content, Reader
from mnist_exp.datasets.csv_file import CsvFiles
from mnist_exp.datasets.dataset import Dataset, check_test_images
from mnist_exp.datasets.facts import Facts
from mnist_exp.datasets.folder import Folder
from mnist_exp.datasets.idx import format_shape
from mnist_exp.datasets.idx_files import IdxFiles
from mnist_exp.datasets.npz_file import NpzFile
from mnist_exp.datasets.sources import OwnSet
from mnist_exp.errors import InputError
from mnist_exp.terminal import messages

READERS: Mapping[str, Callable[[OwnSet], Reader]] = {"folder": Folder, "idx": IdxFiles, "npz": NpzFile, "csv": CsvFiles}


def facts(dataset: Dataset) -> Facts:
    """Return the facts of a loaded data set, for checks; its fingerprint is the hash of its content."""
    height, width, channels = dataset.train_images.shape[1:]
    return Facts(
        (height, width, channels),
        dataset.class_names,
        len(dataset.train_labels),
        dataset.sha256,
        dataset.train_groups is not None,
    )


def load(source: OwnSet) -> Dataset:
    """Load the data, from the cache if the files have not changed.

    Raises:
        InputError: the data cannot be used.
        IntegrityError: a file is damaged.
    """
    reader = READERS[source.kind](source)
    names = [name for name in (source.class_names, source.groups_file) if name is not None]
    state = image_cache.state([*reader.files, *names])
    dataset = image_cache.load(source, state)
    if dataset is None:
        with messages.spinner(f"reading {source.path}, once: the images are cached"):
            dataset = _dataset(source, reader.read())
            image_cache.store(source, state, dataset)
    check_test_images(source.path, len(dataset.test_labels), len(dataset.class_names))
    return dataset


def _dataset(source: OwnSet, content: Content) -> Dataset:
    """Check classes and sizes, draw test images where there are none, and compare them with the training images."""
    class_names = classes.named(source, content)
    train, test = content.train, content.test
    if test is None:
        train, test = parts.draw(source, train, class_names)
    if train.images.shape[1:] != test.images.shape[1:]:
        shapes = [format_shape(part.images.shape[1:]) for part in (train, test)]
        raise InputError(
            f"{source.path}: the training images are {shapes[0]}, the test images {shapes[1]}",
            "use the same channels for both, and give them one size: for example dataset.size=32",
        )
    for part in (train, test):
        part.images.setflags(write=False)
    dtype = np.uint8 if len(class_names) <= 256 else np.uint16
    dataset = Dataset(
        name=source.kind,
        sha256="",
        file_sha256={},
        train_images=train.images,
        train_labels=train.labels.astype(dtype),
        test_images=test.images,
        test_labels=test.labels.astype(dtype),
        class_names=class_names,
        mislabelled=None,
        warnings=(*content.warnings, *parts.duplicates(train, test), *parts.doubtful_groups(train, test)),
        train_groups=train.groups,
        test_groups=test.groups,
    )
    return replace(dataset, sha256=image_cache.content_sha256(dataset))
