"""A user's own IDX files, named as those of MNIST."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from mnist_exp.datasets import idx
from mnist_exp.datasets.content import Content, Part, check_exists, reading
from mnist_exp.datasets.resizing import gather, rows_per_block
from mnist_exp.datasets.sources import OwnSet
from mnist_exp.datasets.streams import RESTORE, fill, opened
from mnist_exp.errors import InputError, IntegrityError

NAME = re.compile(r"(train|t10k|test)-(images|labels)[-.]idx\d-(ubyte|int)(\.gz)?")
EXPECTED = (
    "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, "
    "with .gz or without; without the last two, test images are drawn"
)
BYTES = np.dtype(np.uint8)


class IdxFiles:
    """The files in a directory."""

    def __init__(self, source: OwnSet) -> None:
        """Find the files.

        Raises:
            InputError: a file is missing, or two have the same content.
        """
        self.source = source
        directory = Path(source.path)
        check_exists(directory, True, "a directory with the files of MNIST")
        self.found: dict[str, Path] = {}
        with reading(directory):
            matches = [match for path in sorted(directory.iterdir()) if (match := NAME.fullmatch(path.name))]
        for match in matches:
            role = f"{'train' if match[1] == 'train' else 'test'} {match[2]}"
            if role in self.found:
                both = f"{self.found[role].name} and {match[0]}"
                raise InputError(f"{directory}: two files of {role}: {both}", "remove one of them")
            self.found[role] = directory / match[0]
        needed = ["train images", "train labels"]
        if any(role.startswith("test") for role in self.found):
            needed += ["test images", "test labels"]
        if missing := [role for role in needed if role not in self.found]:
            raise InputError(f"{directory}: no file of {', '.join(missing)}", f"expected: {EXPECTED}")
        self.files = [str(path) for path in self.found.values()]

    def read(self) -> Content:
        """Read the files.

        Raises:
            InputError: they do not fit together.
            IntegrityError: a file is damaged.
        """
        train = self._part("train")
        return Content(train, self._part("test") if "test images" in self.found else None)

    def _part(self, role: str) -> Part:
        """Read images and labels; their headers are compared before anything takes memory."""
        path, label_path = self.found[f"{role} images"], self.found[f"{role} labels"]
        with opened(path) as stream, opened(label_path) as label_stream:
            header, label_header = _header(path, stream), _header(label_path, label_stream)
            if header.dtype != BYTES or len(header.shape) not in (3, 4):
                _refuse(path, header, "images of unsigned bytes, (n, height, width) or (n, height, width, channels)")
            if len(label_header.shape) != 1:
                _refuse(label_path, label_header, "one label for each image, (n,)")
            count, height, width, channels = (*header.shape, 1)[:4]
            if not count or label_header.shape != (count,):
                cause = f"{path}: has {count:,} images for {label_header.shape[0]:,} labels"
                raise InputError(cause, "use files of the same set")
            shape = height, width, channels
            images = gather(self.source, count, shape, _blocks(path, stream, count, shape))
            (labels,) = _blocks(label_path, label_stream, count, (), label_header.dtype)
            return Part(images, labels.astype(np.int64))


def _header(path: Path, stream: BinaryIO) -> idx.Header:
    start = stream.read(4)
    try:
        return idx.header(start + stream.read(4 * start[3] if len(start) == 4 else 0))
    except ValueError as error:
        raise IntegrityError(f"{path}: {error}", RESTORE) from None


def _refuse(path: Path, header: idx.Header, allowed: str) -> NoReturn:
    raise InputError(f"{path}: has {header.dtype.name} values, {idx.format_shape(header.shape)}", f"allowed: {allowed}")


def _blocks(
    path: Path, stream: BinaryIO, count: int, shape: tuple[int, ...], dtype: np.dtype[Any] = BYTES
) -> Iterator[np.ndarray]:
    """Yield all values, labels in one block; then check that the file ends."""
    step = rows_per_block(math.prod(shape)) if shape else count
    for start in range(0, count, step):
        block = np.empty((min(step, count - start), *shape), dtype)
        if not fill(stream, block):
            raise IntegrityError(f"{path}: ends before the {count:,} items that its header states", RESTORE)
        if start + step >= count and stream.read(1):
            raise IntegrityError(f"{path}: is longer than the {count:,} items that its header states", RESTORE)
        yield block
