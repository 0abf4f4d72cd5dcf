"""Training and test images: drawn where there are no test images, and compared with each other."""

import hashlib

import numpy as np

from mnist_exp.datasets.classes import SHOWN
from mnist_exp.datasets.content import Part
from mnist_exp.datasets.dataset import whole_groups
from mnist_exp.datasets.resizing import take_in_place
from mnist_exp.datasets.sources import OwnSet
from mnist_exp.errors import InputError
from mnist_exp.terminal.messages import join_some, pluralize

ONE_GROUP = "are of one group: intervals and tests do not say anything about new groups"


def draw(source: OwnSet, part: Part, class_names: tuple[str, ...]) -> tuple[Part, Part]:
    """Draw a share of each class as test images; return the training images and the test images.

    Of images in groups, whole groups are drawn, without regard to the classes. Otherwise, each class keeps at least one
    image on each side. The order of the images stays. The training images are moved within their array, so that only the
    test images take more memory.

    Raises:
        InputError: a class has a single image, or the groups cannot be divided.
    """
    count = len(part.labels)
    if part.groups is None:
        test = _stratified(source, part, class_names)
    else:
        test = whole_groups(np.arange(count), part.labels, part.groups, round(count * source.test_share), source.test_seed)
    train = np.setdiff1d(np.arange(count), test, assume_unique=True)

    def names(indices: np.ndarray) -> list[str]:
        return [part.names[index] for index in indices] if part.names else []

    def groups(indices: np.ndarray) -> np.ndarray | None:
        return None if part.groups is None else part.groups[indices]

    test_part = Part(part.images[test], part.labels[test], names(test), groups(test))
    return Part(take_in_place(part.images, train), part.labels[train], names(train), groups(train)), test_part


def _stratified(source: OwnSet, part: Part, class_names: tuple[str, ...]) -> np.ndarray:
    """Draw a share of each class, at least one image, and leave at least one."""
    generator = np.random.default_rng(source.test_seed)
    counts = np.bincount(part.labels, minlength=len(class_names))
    if (single := np.flatnonzero(counts < 2)).size:
        raise InputError(
            f"{source.path}: one image of class {class_names[single[0]]}, and no test images",
            "add images: each class needs one for training and one for the test",
        )
    quotas = np.clip(np.round(counts * source.test_share), 1, counts - 1).astype(int)
    members = (np.flatnonzero(part.labels == label) for label in range(len(class_names)))
    chosen = [generator.choice(indices, quota, replace=False) for indices, quota in zip(members, quotas, strict=True)]
    return np.sort(np.concatenate(chosen))


def doubtful_groups(train: Part, test: Part) -> list[str]:
    """Return warnings about groups that have training images and test images, and about a single group of test images."""
    if train.groups is None or test.groups is None:
        return []
    both, all_groups = np.intersect1d(train.groups, test.groups), np.union1d(train.groups, test.groups)
    text = f"{len(both):,} of {pluralize(len(all_groups), 'group')} have training images and test images"
    warnings = [f"{text}: the test error says little about new groups"] if len(both) else []
    return [*warnings, f"all test images {ONE_GROUP}"] if len(np.unique(test.groups)) == 1 else warnings


def duplicates(train: Part, test: Part) -> list[str]:
    """Return a warning about test images whose pixels are also those of a training image, if there are any."""
    first: dict[bytes, int] = {}  # training image with these pixels
    for index, image in enumerate(train.images):
        first.setdefault(digest(image), index)
    pairs = [(index, first.get(digest(image))) for index, image in enumerate(test.images)]
    found = [(index, other) for index, other in pairs if other is not None]
    if not found:
        return []
    differing = sum(test.labels[index] != train.labels[other] for index, other in found)
    label = f", {differing:,} of them with another label" if differing else ""
    names = [f"{_name(test, 'test', index)} = {_name(train, 'training', other)}" for index, other in found]
    of_all = pluralize(len(test.labels), "test image")
    return [f"{len(found):,} of {of_all} have the pixels of a training image{label}: {join_some(names, SHOWN)}"]


def digest(image: np.ndarray) -> bytes:
    """Return a hash of the pixels of an image."""
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()


def _name(part: Part, which: str, index: int) -> str:
    return part.names[index] if part.names else f"{which} image {index}"
