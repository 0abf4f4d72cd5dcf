"""The IDX format: a magic number that gives the type and the number of dimensions, the dimensions, the bytes.

Source: http://yann.lecun.com/exdb/mnist/, "FILE FORMATS FOR THE MNIST DATABASE".
"""

import contextlib
import hashlib
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from mnist_exp.errors import IntegrityError

UNSIGNED_BYTE = 0x08
GZIP_WINDOW = 31  # zlib's number for a gzip header and the largest window
PORTION = 65_536  # bytes; what lies before a damaged portion can still be told
REINSTALL = "install mnist-exp again"


def read(path: Path, sha256: str, shape: tuple[int, ...]) -> np.ndarray:
    """Decompress, verify and parse one gzip-compressed IDX file.

    Args:
        path: the compressed file.
        sha256: of the uncompressed bytes.
        shape: the dimensions it must have.

    Returns:
        A uint8 array of that shape, read-only.

    Raises:
        IntegrityError: the file is missing, cannot be decompressed, or is not the one expected.
    """
    size = 4 + 4 * len(shape) + math.prod(shape)
    try:
        content = _decompressed(path.read_bytes(), size)
    except OSError as error:
        cause = f"{path}: cannot be read ({error.strerror}); found no content, expected SHA-256 {sha256}"
        raise IntegrityError(cause, REINSTALL) from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise IntegrityError(f"{path}: the content is damaged: found SHA-256 {found}, expected {sha256}", REINSTALL)
    return parse(content, shape)


def _decompressed(compressed: bytes, size: int) -> bytes:
    """The content as far as it can be decompressed, and no further than one byte behind the expected size."""
    decompressor, portions, left = zlib.decompressobj(GZIP_WINDOW), [], size + 1
    with contextlib.suppress(zlib.error):
        for start in range(0, len(compressed), PORTION):
            portions.append(decompressor.decompress(compressed[start : start + PORTION], left))
            left -= len(portions[-1])
            if not left:  # zlib would read a limit of 0 as no limit
                break
    return b"".join(portions)


def parse(content: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """The array in uncompressed IDX bytes, which must be of unsigned bytes and of that shape."""
    header = struct.pack(f">HBB{len(shape)}I", 0, UNSIGNED_BYTE, len(shape), *shape)
    if content[: len(header)] != header or len(content) != len(header) + math.prod(shape):
        raise IntegrityError(f"not an IDX file of unsigned bytes of shape {shape}", REINSTALL)
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)
