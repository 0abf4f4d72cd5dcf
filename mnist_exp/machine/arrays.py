"""Arrays of untrusted .npz archives, with limits on what they take: a small file can unpack to any size."""

import math
import zipfile
from typing import Any, BinaryIO, NamedTuple

import numpy as np

MAX_BYTES = 2**29  # of the predictions of a run, for whose test images this is checked before it is trained
KINDS = "biuf"  # of numbers; other arrays may contain objects, or elements of no size


class Header(NamedTuple):
    """The start of a stored array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool
    size: int  # bytes of the header

    @property
    def file_size(self) -> int:
        """The bytes of header and array."""
        return self.size + math.prod(self.shape) * self.dtype.itemsize


def read_header(content: Any) -> Header:
    """Read the header at the start of an .npy stream.

    Raises:
        ValueError, and other classes of NumPy: it is damaged.
    """
    version = np.lib.format.read_magic(content)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read(content)
    if any(length < 0 for length in shape):
        raise ValueError("a length is negative")
    return Header(shape, dtype, is_fortran, content.tell())


def read_arrays(file: BinaryIO, limit: float) -> dict[str, np.ndarray]:
    """Read all arrays of an archive, without unpickling.

    Args:
        file: the archive.
        limit: bytes of all its arrays together.

    Raises:
        ValueError, and many classes of zipfile, zlib and NumPy: it is damaged, or takes more.
    """
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if (size := sum(member.file_size for member in members)) > limit:
            raise ValueError(f"its arrays take {size:,} bytes, more than {limit:,}")
        return {member.filename.removesuffix(".npy"): _read_array(archive, member) for member in members}


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """Read an array whose header states the size that it has: NumPy allocates what the header states."""
    with archive.open(member) as content:
        header = read_header(content)
        if header.dtype.kind not in KINDS or header.file_size != member.file_size:
            expected = f"{header.file_size:,} of {header.dtype}"
            raise ValueError(f"{member.filename} has {member.file_size:,} bytes, but should have {expected}")
        content.seek(0)
        return np.lib.format.read_array(content, allow_pickle=False)
