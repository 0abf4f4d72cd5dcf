"""What defines a user's own data set, and what a reader returns: images and labels, before they are a `Dataset`."""

import contextlib
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from mnist_exp.errors import InputError

CHECK = "check the file and its permissions"


@dataclass(eq=False)
class Part:
    """The training images or the test images."""

    images: np.ndarray  # uint8 (n, height, width, channels), writable
    labels: np.ndarray  # int64 (n,)
    names: Sequence[str] = ()  # of the images, for messages; empty: their numbers are used
    groups: np.ndarray | None = None  # int32 (n,), the group of each image


@dataclass(eq=False)
class Content:
    """The images and labels of a data set as its files have them."""

    train: Part
    test: Part | None  # None: some training images are drawn
    class_names: tuple[str, ...] | None = None  # None: the files have only numbers
    warnings: list[str] = field(default_factory=list)


class Reader(Protocol):
    """The files of a data set, found but not read; the constructor of each kind takes an `OwnSet`."""

    @property
    def files(self) -> Sequence[str]:
        """All files that decide the content."""

    def read(self) -> Content:
        """Read the files.

        Raises:
            InputError: the data cannot be used.
            IntegrityError: a file is damaged.
        """


@contextlib.contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turn an OSError of this block into an error that names its file, or `path`.

    Raises:
        InputError: instead of the OSError.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"{error.filename or path}: cannot be read: {error.strerror or error}", CHECK) from None


def check_exists(path: Path, is_directory: bool | None, expected: str) -> None:
    """Raise an error unless a path exists, and is a directory or is not one.

    Args:
        path: of the user.
        is_directory: whether it must be one; None: it may be one.
        expected: what it should be, such as "an NPZ file".

    Raises:
        InputError: it does not exist, cannot be read, or is of the other kind.
    """
    with reading(path):
        try:
            found = stat.S_ISDIR(path.stat().st_mode)
        except FileNotFoundError:
            raise InputError(f"{path}: does not exist", f"set dataset.path to {expected}") from None
    if is_directory is not None and found != is_directory:
        wrong = "is a directory" if found else "is not a directory"
        raise InputError(f"{path}: {wrong}", f"set dataset.path to {expected}")
