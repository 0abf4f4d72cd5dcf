"""Files of a user, compressed with gzip or not, read in parts: their headers decide how much is read."""

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from mnist_exp.datasets.content import reading
from mnist_exp.datasets.idx import GZIP
from mnist_exp.errors import IntegrityError
from mnist_exp.machine.plain_data import describe, open_regular

RESTORE = "copy or download it again"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading; it is decompressed if its first bytes are those of gzip.

    Raises:
        InputError: it cannot be opened.
        IntegrityError: it cannot be decompressed.
    """
    with reading(path):
        file = open_regular(path)
    with file:
        is_compressed = file.peek(2)[:2] == GZIP
        try:
            with contextlib.nullcontext(file) if not is_compressed else gzip.GzipFile(fileobj=file) as stream:
                yield cast("BinaryIO", stream)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise IntegrityError(f"{path}: cannot be decompressed ({describe(error)})", RESTORE) from None


def fill(stream: BinaryIO, array: np.ndarray) -> bool:
    """Read the bytes of a contiguous array; return whether there were enough."""
    view, filled = memoryview(array.data).cast("B"), 0
    while filled < len(view):
        count = stream.readinto(view[filled:])  # type: ignore[attr-defined]
        if not count:
            return False
        filled += count
    return True
