"""The IDX format: a magic number for type and number of dimensions, the dimensions, the values.

Source: http://yann.lecun.com/exdb/mnist/, "FILE FORMATS FOR THE MNIST DATABASE".
"""

import math
import mmap
import struct
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Buffer = bytes | mmap.mmap
GZIP_WINDOW = 31  # zlib's number for a gzip header and the largest window
GZIP = b"\x1f\x8b"  # the first bytes of a compressed file
TYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype(np.uint8), 0x0C: np.dtype(">i4")}
MAX_DIMENSIONS = 4
MAX_HEADER = 4 + 4 * MAX_DIMENSIONS


class Header(NamedTuple):
    """The start of an IDX file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """The bytes of the header."""
        return 4 + 4 * len(self.shape)

    @property
    def file_size(self) -> int:
        """The bytes of the whole uncompressed file."""
        return self.size + math.prod(self.shape) * self.dtype.itemsize


def decompress(content: bytes, limit: int) -> bytes:
    """Return uncompressed content, or as much of it as shows that it is larger than `limit` bytes: a bomb takes no memory.

    Of a file that is not complete, it returns the content that is there.

    Args:
        content: compressed with gzip, or not.
        limit: bytes.

    Raises:
        ValueError: it cannot be decompressed, or is followed by other content.
    """
    if content[:2] != GZIP:
        return content[: limit + 1]
    parts, size = [], 0
    while content and size <= limit:  # a gzip file may have several members
        stream = zlib.decompressobj(GZIP_WINDOW)
        try:
            parts.append(stream.decompress(content, limit + 1 - size))
        except zlib.error as error:
            raise ValueError(f"cannot be decompressed ({error})") from None
        size += len(parts[-1])
        content = stream.unused_data
        if content and content[:2] != GZIP:
            if content.strip(b"\0"):
                raise ValueError("cannot be decompressed (other bytes follow)")
            break
    return parts[0] if len(parts) == 1 else b"".join(parts)


def header(content: Buffer) -> Header:
    """Return the header at the start of uncompressed content.

    Raises:
        ValueError: it is not that of an IDX file of unsigned bytes or 32-bit integers.
    """
    if len(content) < 4:
        raise ValueError("is too short for an IDX file")
    zero, code, dimensions = struct.unpack_from(">HBB", content)
    if zero or code not in TYPES or not 1 <= dimensions <= MAX_DIMENSIONS:
        raise ValueError(f"is not an IDX file of unsigned bytes or 32-bit integers (magic number 0x{content[:4].hex()})")
    if len(content) < 4 + 4 * dimensions:
        raise ValueError("is too short for its IDX header")
    return Header(TYPES[code], struct.unpack_from(f">{dimensions}I", content, 4))


def parse(content: Buffer) -> np.ndarray:
    """Return the array in uncompressed content, without a copy: read-only, uint8 or big-endian int32.

    Raises:
        ValueError: it is not an IDX file, or its size is not that of its header.
    """
    found = header(content)
    if len(content) != found.file_size:
        dimensions = format_shape(found.shape)
        raise ValueError(f"has {len(content):,} bytes, but an IDX file of {dimensions} values has {found.file_size:,}")
    return np.frombuffer(content, found.dtype, offset=found.size).reshape(found.shape)


def format_shape(shape: Sequence[int]) -> str:
    """Return a shape as text: 60000×28×28."""
    return "×".join(map(str, shape))
