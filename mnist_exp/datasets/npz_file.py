"""A user's own NPZ file with the arrays x_train, y_train, x_test and y_test, as Keras names them; never unpickled."""

import math
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mnist_exp.datasets.content import Content, Part, check_exists, reading
from mnist_exp.datasets.idx import format_shape
from mnist_exp.datasets.resizing import Shape, check_memory, gather, rows_per_block
from mnist_exp.datasets.sources import OwnSet
from mnist_exp.datasets.streams import RESTORE, fill
from mnist_exp.errors import InputError, IntegrityError
from mnist_exp.machine.arrays import read_header
from mnist_exp.machine.plain_data import describe, open_regular
from mnist_exp.terminal.messages import join_some

DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError, KeyError, TypeError)
SAVE = (
    "save it with numpy.savez(FILE, x_train=…, y_train=…, x_test=…, y_test=…); without the last two, test images are drawn"
)
PIXELS = (
    "allowed: integers from 0 to 255, or floats that are all from 0 to 1 (multiplied by 255) or all whole, from 0 to 255"
)
LABELS = "allowed: one integer for each image, from 0 to 999"


class NpzFile:
    """The file."""

    def __init__(self, source: OwnSet) -> None:
        """Check that there is a file.

        Raises:
            InputError: there is none.
        """
        self.source = source
        self.path = Path(source.path)
        check_exists(self.path, False, "an NPZ file")
        self.files = [source.path]

    def read(self) -> Content:
        """Read the arrays.

        Raises:
            InputError: an array is missing, or is not one of images or labels.
            IntegrityError: the file is damaged.
        """
        with reading(self.path):
            file = open_regular(self.path)
        with file:
            try:
                with zipfile.ZipFile(file) as archive:
                    return self._content(archive)
            except DAMAGED as error:
                raise IntegrityError(
                    f"{self.path}: is not an NPZ file, or is damaged ({describe(error)})", RESTORE
                ) from None

    def _content(self, archive: zipfile.ZipFile) -> Content:
        present = [name.removesuffix(".npy") for name in archive.namelist()]
        has_test = "x_test" in present or "y_test" in present
        needed = ["x_train", "y_train", *(["x_test", "y_test"] if has_test else [])]
        if missing := [name for name in needed if name not in present]:
            has = join_some(sorted(present), 8) or "nothing"
            raise InputError(f"{self.path}: has no array {', '.join(missing)}, but {has}", SAVE)
        train = self._part(archive, "train")
        return Content(train, self._part(archive, "test") if has_test else None)

    def _part(self, archive: zipfile.ZipFile, role: str) -> Part:
        x, y = StoredArray(self.path, archive, f"x_{role}"), StoredArray(self.path, archive, f"y_{role}")
        if len(x.shape) not in (3, 4) or x.dtype.kind not in "buif":
            allowed = "allowed: images, (n, height, width) or (n, height, width, channels)"
            raise InputError(
                f"{self.path}: x_{role} has {x.dtype} values of the shape {format_shape(x.shape) or '()'}", allowed
            )
        if y.shape not in ((x.shape[0],), (x.shape[0], 1)) or not x.shape[0]:
            has = format_shape(y.shape) or "()"
            raise InputError(f"{self.path}: y_{role} has the shape {has}, but x_{role} has {x.shape[0]:,} images", LABELS)
        if y.dtype.kind not in "ui":
            raise InputError(f"{self.path}: y_{role} has {y.dtype} values", f"{LABELS}; use y_{role}.astype(int)")
        shape = (x.shape[1], x.shape[2], x.shape[3] if len(x.shape) == 4 else 1)
        images = gather(self.source, x.shape[0], shape, x.pixels(shape))  # first: it checks what the memory can contain
        labels = np.concatenate([*y.blocks()]).reshape(-1)
        if labels.min() < 0 or labels.max() >= 2**31:
            raise InputError(f"{self.path}: y_{role} has values from {labels.min()} to {labels.max()}", LABELS)
        return Part(images, labels.astype(np.int64))


class StoredArray:
    """An array in an archive, read in blocks: its header states its size, which must be that of its member."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, name: str) -> None:
        """Read the header.

        Raises:
            InputError: the array contains Python objects.
            ValueError, and the classes in DAMAGED: it is damaged.
        """
        self.path, self.archive, self.name = path, archive, name
        self.member = archive.getinfo(f"{name}.npy")
        with archive.open(self.member) as content:
            header = read_header(content)
        self.shape, self.dtype, self.is_fortran, self.start = header
        self.nbytes = math.prod(header.shape) * header.dtype.itemsize
        if self.dtype.hasobject:
            advice = "save numbers: images as uint8, labels as integers"
            raise InputError(f"{path}: {name} contains Python objects, which are never loaded", advice)
        if header.file_size != self.member.file_size:
            raise ValueError(f"{name} has {self.member.file_size:,} bytes, but its header states {header.file_size:,}")

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield the rows in order."""
        if self.is_fortran:  # the first axis varies fastest: its rows are nowhere together
            check_memory(
                self.path, f"{self.name}, {format_shape(self.shape)} of {self.dtype} in Fortran order,", self.nbytes
            )
            with self.archive.open(self.member) as content:
                yield np.lib.format.read_array(content, allow_pickle=False)
            return
        count, *shape = self.shape
        step = rows_per_block(math.prod(shape) * self.dtype.itemsize)
        with self.archive.open(self.member) as content:
            content.seek(self.start)
            for start in range(0, count, step):
                block = np.empty((min(step, count - start), *shape), self.dtype)
                if not fill(content, block):  # type: ignore[arg-type]
                    raise ValueError(f"{self.name} ends too early")
                yield block
            content.read(1)  # at its end, the checksum is compared

    def pixels(self, shape: Shape) -> Iterator[np.ndarray]:
        """Yield the rows as uint8 images of this shape.

        Raises:
            InputError: a value is not one of a pixel.
        """
        factor = self._factor()
        for block in self.blocks():
            values = block if factor == 1 else np.round(block * factor)
            yield values.astype(np.uint8).reshape(-1, *shape)

    def _factor(self) -> int:
        """Return what the values are multiplied by to be pixels: 255 or 1.

        Raises:
            InputError: they are not those of pixels.
        """
        if self.dtype == np.uint8:
            return 1
        if self.dtype.kind == "b":
            return 255
        lowest, highest, is_whole = math.inf, -math.inf, True
        for block in self.blocks():
            lowest, highest = min(lowest, block.min()), max(highest, block.max())  # NaN stays
            if not np.isfinite(block).all():
                raise InputError(f"{self.path}: {self.name} contains NaN or infinity", PIXELS)
            is_whole = is_whole and (self.dtype.kind != "f" or bool((block == np.floor(block)).all()))
        if self.dtype.kind == "f" and lowest >= 0 and highest <= 1:
            return 255
        if not lowest >= 0 or not highest <= 255 or not is_whole:
            fractions = "" if is_whole else ", not all of them whole"
            raise InputError(f"{self.path}: {self.name} has values from {lowest:g} to {highest:g}{fractions}", PIXELS)
        return 1
