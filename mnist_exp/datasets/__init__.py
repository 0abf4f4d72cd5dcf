"""Data sets by name."""

from collections.abc import Callable
from functools import cache

from mnist_exp.datasets import mnist
from mnist_exp.datasets.dataset import Dataset

LOADERS: dict[str, Callable[[], Dataset]] = {"mnist": mnist.load}


@cache
def load(name: str) -> Dataset:
    """Load and verify a data set, once in a process.

    Raises:
        IntegrityError: a file is missing or damaged.
    """
    return LOADERS[name]()
