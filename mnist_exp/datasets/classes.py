"""The classes of a user's own data: their names, their order, and whether the labels fit them."""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnist_exp.datasets.content import CHECK, Content, Part
from mnist_exp.datasets.sources import OwnSet
from mnist_exp.errors import InputError
from mnist_exp.machine.plain_data import read_bytes
from mnist_exp.terminal.messages import CONTROL, join_some

MAX_CLASSES = 1000
MAX_NAME = 100  # characters
SHOWN = 5  # examples in a message
NUMBERS = re.compile(r"([0-9]+)")


def natural(text: str) -> tuple[Any, ...]:
    """Return a key that sorts names as people do: numbers by value, then letters without regard to case."""
    parts = NUMBERS.split(text)  # text and digits by turns
    return (*((int(part), len(part)) if index % 2 else part.casefold() for index, part in enumerate(parts)), text)


def normalize(name: str) -> str:
    """Return a name with composed characters: systems differ in how they store an é."""
    return unicodedata.normalize("NFC", name)


def named(source: OwnSet, content: Content) -> tuple[str, ...]:
    """Return the names of the classes, from a file, from the data, or the labels as text; check all labels by them.

    Raises:
        InputError: the names or the labels cannot be used.
    """
    found = max(int(part.labels.max()) for part in (content.train, content.test) if part is not None and len(part.labels))
    if source.class_names is not None:
        names = _read(Path(source.class_names))
        if content.class_names is not None and len(names) != len(content.class_names):
            raise InputError(
                f"dataset.class_names={source.class_names}: has {len(names)} names for {len(content.class_names)} folders",
                "write one name on each line, in the order of the folders: " + join_some(content.class_names, SHOWN),
            )
    else:
        if content.class_names is None:
            _check_count(source, found + 1)  # before that many names take memory
        names = content.class_names or tuple(map(str, range(found + 1)))
    _check_count(source, len(names))
    if content.class_names is None or source.class_names is not None:
        _check_names(source.class_names or source.path, names, "write")
    else:
        _check_names(source.path, names, "rename the folder, or give other names with dataset.class_names=FILE: write")
    _check_labels(source, "training", content.train, names)
    if content.test is not None:
        _check_labels(source, "test", content.test, names)
    return names


def _read(path: Path) -> tuple[str, ...]:
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text in UTF-8"
        raise InputError(f"dataset.class_names={path}: {reason}", CHECK) from None
    return tuple(normalize(line.strip()) for line in text.rstrip().split("\n"))


def _check_count(source: OwnSet, count: int) -> None:
    if not 2 <= count <= MAX_CLASSES:
        classes = "1 class" if count == 1 else f"{count:,} classes"
        raise InputError(f"{source.path}: has {classes}", f"allowed: 2 to {MAX_CLASSES:,} classes")


def _check_names(place: str, names: Sequence[str], advice: str) -> None:
    """Refuse names that would break a table or a page, or that do not distinguish classes."""
    for index, name in enumerate(names):
        if not name or len(name) > MAX_NAME or (control := CONTROL.search(name)):
            why = f"{len(name)} characters"
            if name and len(name) <= MAX_NAME and control:
                why = f"the control character U+{ord(control[0]):04X}"
            raise InputError(
                f"{place}: the name of class {index} has {why}: {name[:MAX_NAME]!a}",
                f"{advice} 1 to {MAX_NAME} characters on one line",
            )
    if len(set(names)) < len(names):
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise InputError(f"{place}: two classes have the name {twice}", f"{advice} a different name for each class")


def _check_labels(source: OwnSet, which: str, part: Part, names: Sequence[str]) -> None:
    """Refuse labels beyond the classes, and classes without images."""
    lowest, highest = (int(part.labels.min()), int(part.labels.max())) if len(part.labels) else (0, 0)
    if lowest < 0 or highest >= len(names):
        raise InputError(
            f"{source.path}: the {which} labels are from {lowest} to {highest}, but there are {len(names)} classes",
            f"allowed: labels from 0 to {len(names) - 1}",
        )
    counts = np.bincount(part.labels, minlength=len(names))
    if not counts.all():
        empty = [name for name, count in zip(names, counts, strict=True) if not count]
        raise InputError(
            f"{source.path}: no {which} images of {join_some([f'class {name}' for name in empty], SHOWN)}",
            "add images of each class that can be read, or remove its folder"
            if source.kind == "folder"
            else "add images of each class, or remove the class; labels count from 0",
        )
