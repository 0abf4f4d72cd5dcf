"""What every data set is, and how its training images are divided."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Choice = Callable[[np.ndarray, int], np.ndarray]  # so many of these


@dataclass(frozen=True)
class Mislabelled:
    """The test images whose label most people rejected who were asked.

    `votes` has, for the index of each, how many of them chose which label, the most first; None stands for those who chose
    none that they were offered. `source` says who asked.
    """

    source: str
    votes: Mapping[int, Mapping[int | None, int]]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels as they come from the files, and which of these labels are known to be wrong, if anybody has asked.

    Images are uint8 of shape (n, height, width, channels), labels uint8 of shape (n,), indices into `class_names`.
    `sha256` identifies the whole content; `file_sha256` its files, uncompressed.
    """

    name: str
    sha256: str
    file_sha256: Mapping[str, str]
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    mislabelled: Mislabelled | None


@dataclass(frozen=True, eq=False)
class Split:
    """Indices into the training images, ascending."""

    train: np.ndarray
    validation: np.ndarray

    @property
    def sha256(self) -> str:
        """Of which images are held out."""
        return hashlib.sha256(np.ascontiguousarray(self.validation).tobytes()).hexdigest()


def split(labels: np.ndarray, limit: int | None, validation: int, seed: int | None) -> Split:
    """A stratified subset of `limit` images, and of those a stratified `validation` share.

    The same arguments give the same split on every machine.

    Args:
        labels: uint8, shape (n,).
        limit: how many of the n images to use in all; None for all.
        validation: how many of those to hold out.
        seed: of the draw; None for no draw, but the first images of each class, and of those the last to hold out. Images
            that lie together are often of one source, such as a writer: those held out are then of other ones.
    """
    used, held_out_of_them = (_first, _last) if seed is None else (_drawn([seed, 0]), _drawn([seed, 1]))
    everything = np.arange(len(labels))
    chosen = everything if limit is None else _stratified(everything, labels, limit, used)
    held_out = _stratified(chosen, labels, validation, held_out_of_them)
    return Split(train=np.setdiff1d(chosen, held_out, assume_unique=True), validation=held_out)


def _first(indices: np.ndarray, count: int) -> np.ndarray:
    return indices[:count]


def _last(indices: np.ndarray, count: int) -> np.ndarray:
    return indices[len(indices) - count :]


def _drawn(seed: Sequence[int]) -> Choice:
    generator = np.random.default_rng(seed)
    return lambda indices, count: generator.choice(indices, count, replace=False)


def _stratified(indices: np.ndarray, labels: np.ndarray, count: int, choose: Choice) -> np.ndarray:
    """Choose `count` of the indices so that each class has its share, rounded by largest remainders."""
    classes, sizes = np.unique(labels[indices], return_counts=True)
    shares = sizes * count / len(indices)
    quotas = np.floor(shares).astype(int)
    most_short = np.argsort(quotas - shares, kind="stable")[: count - quotas.sum()]
    quotas[most_short] += 1
    chosen = [choose(indices[labels[indices] == one], quota) for one, quota in zip(classes, quotas, strict=True)]
    return np.sort(np.concatenate(chosen))
