"""Which images of a folder have the same source, such as a writer: from their names, or from a CSV file."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mnist_exp.datasets.classes import SHOWN
from mnist_exp.datasets.content import CHECK
from mnist_exp.errors import InputError
from mnist_exp.machine.plain_data import LISTS, read_bytes
from mnist_exp.terminal.messages import join_some, pluralize

GROUP = "GROUP"  # stands for the name of the group in a pattern
MAX_STARS = 3  # of a pattern: with more, a name of many equal characters takes minutes


def numbers(rule: str, names: Sequence[str]) -> np.ndarray:
    """Return the number of the group of each image, int32 (n,), from 0 in the order of the groups' names.

    Args:
        rule: the setting `dataset.groups`: a pattern with GROUP, or the path of a CSV file.
        names: of the images, relative to their folder.

    Raises:
        InputError: the rule cannot be used, or gives an image no group.
    """
    groups = _listed(Path(rule), names) if rule.lower().endswith(".csv") else _matched(rule, names)
    if without := [name for name, group in zip(names, groups, strict=True) if group is None]:
        cause = f"dataset.groups={rule}: no group for {pluralize(len(without), 'image')}: {join_some(without, SHOWN)}"
        raise InputError(cause, "each image needs a group; use another pattern, or list all images in the file")
    return np.unique(np.array(groups, str), return_inverse=True)[1].astype(np.int32)


def _matched(rule: str, names: Sequence[str]) -> list[str | None]:
    if rule.count(GROUP) != 1 or rule.count("*") > MAX_STARS:
        cause = f"dataset.groups={rule}: is neither a CSV file nor a pattern"
        raise InputError(cause, f"write a pattern with {GROUP} once, such as {GROUP}_*.png; or name a file.csv")
    text = re.escape(rule).replace(re.escape(GROUP), "([^/]+?)").replace(r"\*", "[^/]*")
    pattern = re.compile(text)
    found = [pattern.fullmatch(name if "/" in rule else name.rpartition("/")[2]) for name in names]
    return [None if match is None else match[1] for match in found]


def _listed(path: Path, names: Sequence[str]) -> list[str | None]:
    try:
        rows = list(csv.reader(io.StringIO(read_bytes(path, LISTS.size).decode("utf-8-sig"))))
    except OSError as error:
        raise InputError(f"dataset.groups={path}: cannot be read: {error.strerror}", CHECK) from None
    except (ValueError, csv.Error) as error:
        raise InputError(f"dataset.groups={path}: is not a CSV file in UTF-8: {error}", CHECK) from None
    group_of: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        if row and (len(row) != 2 or not row[1].strip()):
            cause = f"dataset.groups={path}: line {number} has not two columns"
            raise InputError(cause, "write the file of an image, relative to dataset.path, and its group: a/1.png,anna")
        if row:
            group_of[row[0].strip()] = row[1].strip()
    return [group_of.get(name) for name in names]
