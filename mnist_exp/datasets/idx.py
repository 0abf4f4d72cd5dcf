"""The IDX format: a magic number for type and number of dimensions, the dimensions, the bytes.

Source: http://yann.lecun.com/exdb/mnist/, "FILE FORMATS FOR THE MNIST DATABASE".
"""

import hashlib
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from mnist_exp.errors import IntegrityError

UNSIGNED_BYTE = 0x08
GZIP_WINDOW = 31  # zlib's number for a gzip header and the largest window
REINSTALL = "install mnist-exp again"


def read(path: Path, sha256: str, shape: tuple[int, ...]) -> np.ndarray:
    """Decompress, verify and parse a gzip-compressed IDX file.

    Args:
        path: the compressed file.
        sha256: expected, of the uncompressed bytes.
        shape: expected.

    Returns:
        uint8, read-only.

    Raises:
        IntegrityError: the file is missing, cannot be decompressed, or has another SHA-256.
    """
    size = 4 + 4 * len(shape) + math.prod(shape)
    try:
        # One byte more than expected shows that a file is too long, and limits the memory for a decompression bomb.
        content = zlib.decompressobj(GZIP_WINDOW).decompress(path.read_bytes(), size + 1)
    except OSError as error:
        raise IntegrityError(f"{path}: cannot be read ({error.strerror}), expected SHA-256 {sha256}", REINSTALL) from None
    except zlib.error as error:
        raise IntegrityError(f"{path}: cannot be decompressed ({error}), expected SHA-256 {sha256}", REINSTALL) from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise IntegrityError(f"{path}: is damaged: SHA-256 is {found}, expected {sha256}", REINSTALL)
    return parse(content, shape)


def parse(content: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """Parse uncompressed IDX bytes, which must be unsigned bytes of that shape."""
    header = struct.pack(f">HBB{len(shape)}I", 0, UNSIGNED_BYTE, len(shape), *shape)
    if content[: len(header)] != header or len(content) != len(header) + math.prod(shape):
        raise IntegrityError(f"not an IDX file of unsigned bytes of shape {shape}", REINSTALL)
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)
