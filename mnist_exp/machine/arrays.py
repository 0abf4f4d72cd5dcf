"""Arrays of untrusted .npz archives, with limits on what they take: a small file can unpack to any size."""

import math
import zipfile
from typing import BinaryIO

import numpy as np

KINDS = "biuf"  # of numbers; other arrays may contain objects, or elements of no size


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
        version = np.lib.format.read_magic(content)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(content)
        stated = content.tell() + math.prod(shape) * dtype.itemsize
        if dtype.kind not in KINDS or stated != member.file_size:
            raise ValueError(f"{member.filename} has {member.file_size:,} bytes, but should have {stated:,} of {dtype}")
        content.seek(0)
        return np.lib.format.read_array(content, allow_pickle=False)
