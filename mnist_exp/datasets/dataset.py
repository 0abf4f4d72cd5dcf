"""The data set as arrays, and its split into training and validation images."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mnist_exp.errors import InputError
from mnist_exp.machine.arrays import MAX_BYTES

MAX_TEST_IMAGES = 5_000_000  # summary.json has a bit for each, and is at most 1 MiB
HEADERS = 2**20  # bytes of a file with predictions, besides the arrays
Choose = Callable[[np.ndarray, int], np.ndarray]  # indices and count → that many of the indices


@dataclass(frozen=True)
class Mislabelled:
    """The test images whose label most raters of a study rejected."""

    source: str  # the study
    votes: Mapping[int, Mapping[int | None, int]]  # index of the image → label → raters, the most first; None: no label fits


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels as in the files, and the test labels that are known to be wrong, if a study exists.

    Images are uint8 (n, height, width, channels), labels uint8 or uint16 (n,), indices into `class_names`.
    """

    name: str
    sha256: str  # of the whole content
    file_sha256: Mapping[str, str]  # of each file, uncompressed
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    mislabelled: Mislabelled | None
    warnings: tuple[str, ...] = ()  # of a user's own data: what was left out, and what may make results wrong
    train_groups: np.ndarray | None = None  # int32 (n,): images with the same number have the same source, such as a writer
    test_groups: np.ndarray | None = None
    ink: bool = False  # whether grey images are ink on paper, from 0 for paper to 255 for ink, and are shown dark on light
    handwriting: bool = False  # whether the images are handwriting in the form of MNIST's

    def displayed(self, images: np.ndarray) -> np.ndarray:
        """Return images of the set as a picture shows them: those with one channel are ink on paper, others have three."""
        return images if self.ink or images.shape[-1] == 3 else np.repeat(images, 3, axis=-1)


def check_test_images(name: str, count: int, classes: int) -> None:
    """Check that a run can store its predictions for the test images, and read them again.

    Raises:
        InputError: there are too many.
    """
    image = 4 * classes + 6  # bytes: probabilities in float32, label and group
    most = min(MAX_TEST_IMAGES, (MAX_BYTES - HEADERS) // image)
    if count > most:
        needed = (
            f"their predictions take {count * image / 1e6:,.0f} MB, but a run stores {most * image / 1e6:,.0f} MB at most"
        )
        raise InputError(
            f"{name}: {count:,} test images of {classes:,} classes: {needed}",
            f"use at most {most:,} test images; those that are drawn follow dataset.test_share",
        )


@dataclass(frozen=True, eq=False)
class Split:
    """Indices into the training images, ascending."""

    train: np.ndarray
    validation: np.ndarray

    @property
    def sha256(self) -> str:
        """The SHA-256 of the indices of the validation images."""
        return hashlib.sha256(np.ascontiguousarray(self.validation).tobytes()).hexdigest()


def split(
    labels: np.ndarray, limit: int | None, validation: int, seed: int | None, groups: np.ndarray | None = None
) -> Split:
    """Return a stratified subset of `limit` images, of which a stratified subset of `validation` images is held out.

    The same arguments give the same split on every machine.

    Args:
        labels: uint8 (n,).
        limit: number of images to use, validation images included; None for all.
        validation: number of validation images.
        seed: of the draw; None takes the first images of each class, and the last of those as validation images. Where
            images next to each other have the same source, fewer of them then share a source with training images. In
            MNIST that is not a split by writer: of 5,000 images 36 % are by writers who are also trained on.
        groups: of the images, int (n,), to hold out whole groups: as many as come nearest to `validation` images, drawn
            without regard to the classes. None holds out images.

    Raises:
        InputError: the groups cannot be divided, or no training image of a class is left.
    """
    indices = np.arange(len(labels))
    if limit is not None:
        indices = _stratified(indices, labels, limit, _draw([seed, 0]) if seed is not None else _first)
    if groups is not None and seed is not None and validation:
        held_out = whole_groups(indices, labels, groups, validation, seed)
    else:
        held_out = _stratified(indices, labels, validation, _draw([seed, 1]) if seed is not None else _last)
    return Split(train=np.setdiff1d(indices, held_out, assume_unique=True), validation=held_out)


def whole_groups(indices: np.ndarray, labels: np.ndarray, groups: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draw whole groups of images, as many as come nearest to `count` images.

    Args:
        indices: of the images to draw from.
        labels, groups: of all images, int (n,).

    Raises:
        InputError: there is only one group, or no image of a class is left.
    """
    names, sizes = np.unique(groups[indices], return_counts=True)
    order = np.random.default_rng([seed, 1]).permutation(len(names))
    held_out = np.cumsum(sizes[order])[:-1]  # images, by the number of groups
    if not len(held_out):
        remedy = (
            "use smaller groups; or divide them: dataset.split=drawn for validation, dataset.groups=null for test images"
        )
        raise InputError("the images are all of one group, which cannot be divided", remedy)
    chosen = names[order[: int(np.abs(held_out - count).argmin()) + 1]]
    is_held_out = np.isin(groups[indices], chosen)
    if missing := sorted(set(np.unique(labels[indices])) - set(np.unique(labels[indices][~is_held_out]))):
        cause = f"whole groups are drawn, and no training image of class {missing[0]} is left"
        raise InputError(cause, "choose another dataset.split_seed or dataset.test_seed, or draw fewer images")
    return indices[is_held_out]


def _first(indices: np.ndarray, count: int) -> np.ndarray:
    return indices[:count]


def _last(indices: np.ndarray, count: int) -> np.ndarray:
    return indices[len(indices) - count :]


def _draw(seed: list[int]) -> Choose:
    generator = np.random.default_rng(seed)
    return lambda indices, count: generator.choice(indices, count, replace=False)


def _stratified(indices: np.ndarray, labels: np.ndarray, count: int, choose: Choose) -> np.ndarray:
    """Choose `count` of the indices, of each class its share, rounded by largest remainders."""
    classes, sizes = np.unique(labels[indices], return_counts=True)
    shares = sizes * count / len(indices)
    quotas = np.floor(shares).astype(int)
    largest_remainders = np.argsort(quotas - shares, kind="stable")[: count - quotas.sum()]
    quotas[largest_remainders] += 1
    chosen = [choose(indices[labels[indices] == one], quota) for one, quota in zip(classes, quotas, strict=True)]
    return np.sort(np.concatenate(chosen))
