"""The IDX format: a magic number for type and number of dimensions, the dimensions, the bytes.

Source: http://yann.lecun.com/exdb/mnist/, "FILE FORMATS FOR THE MNIST DATABASE".
"""

import hashlib
import math
import zlib
from pathlib import Path

import numpy as np

from mnist_exp.errors import IntegrityError

GZIP_WINDOW = 31  # zlib's number for a gzip header and the largest window
REINSTALL = "install mnist-exp again"


def read(path: Path, sha256: str, shape: tuple[int, ...]) -> np.ndarray:
    """Read a gzip-compressed IDX file of unsigned bytes; its SHA-256 verifies the header too.

    Args:
        path: the compressed file.
        sha256: expected, of the uncompressed bytes.
        shape: expected.

    Returns:
        uint8, read-only.

    Raises:
        IntegrityError: the file is missing, cannot be decompressed, or has another SHA-256.
    """
    header = 4 + 4 * len(shape)
    size = header + math.prod(shape)
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
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
