"""A user's own CSV files: a label and the pixels of an image on each line, with or without a header line."""

import math
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np

from mnist_exp.datasets.content import Content, Part, check_exists
from mnist_exp.datasets.resizing import Shape, gather
from mnist_exp.datasets.sources import MAX_SIDE, OwnSet
from mnist_exp.datasets.streams import opened
from mnist_exp.errors import InputError
from mnist_exp.terminal.messages import pluralize

LINES = 500  # read at a time
MAX_LINE = MAX_SIDE * MAX_SIDE * 3 * 6  # characters
BOM = b"\xef\xbb\xbf"
MAX_LABEL = 999
SHOWN = 20  # characters of a wrong value
INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
NUMBER = re.compile(r"\s*\"?\s*[+-]?[\d.]")
EXPECTED = "allowed on each line: a label from 0 to 999, then pixels from 0 to 255, separated by commas"


class CsvFiles:
    """A file, or the files train.csv and test.csv in a directory; each may be compressed with gzip."""

    def __init__(self, source: OwnSet) -> None:
        """Find the files.

        Raises:
            InputError: there is none.
        """
        self.source = source
        path = Path(source.path)
        check_exists(path, None, "a CSV file, or a directory with train.csv and test.csv")
        self.train: Path = path
        self.test: Path | None = None
        if path.is_dir():
            found = {
                role: [path / name for name in (f"{role}.csv", f"{role}.csv.gz") if (path / name).exists()]
                for role in ("train", "test")
            }
            if not found["train"]:
                raise InputError(f"{path}: has no train.csv", "allowed: a file, or a directory with train.csv and test.csv")
            self.train, self.test = found["train"][0], next(iter(found["test"]), None)
        self.files = [str(file) for file in (self.train, self.test) if file is not None]

    def read(self) -> Content:
        """Read the files.

        Raises:
            InputError: a line is not one of a label and pixels.
            IntegrityError: a file cannot be decompressed.
        """
        return Content(self._part(self.train), self._part(self.test) if self.test is not None else None)

    def _part(self, path: Path) -> Part:
        with opened(path) as stream:
            header, columns, count = _measure(path, stream)
        shape = self._shape(path, columns - 1)
        labels: list[np.ndarray] = []

        def blocks(stream: BinaryIO) -> Iterator[np.ndarray]:
            lines = islice(_lines(path, stream), header, None)
            while block := list(islice(lines, LINES)):
                values = _parse(path, block, columns)
                labels.append(values[:, 0].copy())
                yield values[:, 1:].astype(np.uint8).reshape(-1, *shape)

        with opened(path) as stream:
            images = gather(self.source, count, shape, blocks(stream))
        return Part(images, np.concatenate(labels))

    def _shape(self, path: Path, pixels: int) -> Shape:
        """Return the shape of images of that many values: that of the settings, or a square."""
        for channels in (1, 3):
            if self.source.size is not None and math.prod(self.source.size) * channels == pixels:
                return (*self.source.size, channels)
            side = math.isqrt(pixels // channels)
            if side * side * channels == pixels > 0:
                return side, side, channels
        raise InputError(
            f"{path}: has {pixels:,} pixels on a line, which is not the number of a square image, grey or RGB",
            "write a label and the pixels on each line; or set their height and width, such as dataset.size=[28,20]",
        )


def _lines(path: Path, stream: BinaryIO) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty, with their numbers."""
    number = 0
    while line := stream.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise InputError(f"{path}, line {number}: is longer than {MAX_LINE:,} characters", EXPECTED)
        if number == 1:
            line = line.removeprefix(BOM)
        if text := line.decode("latin-1").strip():
            yield number, text


def _measure(path: Path, stream: BinaryIO) -> tuple[int, int, int]:
    """Return the number of header lines, of columns, and of images."""
    lines = _lines(path, stream)
    _, first = next(lines, (0, ""))
    header = 0 if NUMBER.match(first) else 1
    _, row = next(lines, (0, "")) if header else (0, first)
    if not row:
        raise InputError(f"{path}: contains no images", EXPECTED)
    return header, row.count(",") + 1, 1 + sum(1 for _ in lines)


def _parse(path: Path, lines: list[tuple[int, str]], columns: int) -> np.ndarray:
    """Return the values of some lines, int64 (n, columns)."""
    try:
        values = np.loadtxt([text for _, text in lines], np.int64, delimiter=",", comments=None, quotechar='"', ndmin=2)
    except (ValueError, OverflowError):
        _report(path, lines, columns)
    pixels = values[:, 1:]
    if (
        values.shape[1] != columns
        or not 0 <= values[:, 0].min() <= values[:, 0].max() <= MAX_LABEL
        or pixels.min() < 0
        or pixels.max() > 255
    ):
        _report(path, lines, columns)
    return values


def _report(path: Path, lines: list[tuple[int, str]], columns: int) -> NoReturn:
    """Raise an error that names the first wrong value in some lines, one of which is wrong."""
    for number, text in lines:
        values = text.split(",")
        if len(values) != columns:
            hint = ", separated by other characters" if len(values) == 1 else ""
            cause = f"has {pluralize(len(values), 'value')}{hint}, but the first line has {columns:,}"
            raise InputError(f"{path}, line {number}: {cause}", EXPECTED)
        for column, value in enumerate(values):
            digits = value.strip(' "')
            if not INTEGER.fullmatch(digits) or not 0 <= int(digits) <= (255 if column else MAX_LABEL):
                what = f"pixel {column}" if column else "the label"
                raise InputError(f"{path}, line {number}: {what} is {value[:SHOWN]!r}", EXPECTED)
    raise InputError(f"{path}, line {lines[0][0]} or later: is not a line of numbers", EXPECTED)
