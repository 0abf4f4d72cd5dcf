"""Arrays of untrusted archives: what they take is checked before it is allocated."""

import io
import zipfile

import numpy as np
import pytest

from mnist_exp.machine.arrays import read_arrays


def header(shape: tuple[int, ...], kind: str = "<f4") -> bytes:
    """The header of an array."""
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": kind, "fortran_order": False, "shape": shape})
    return content.getvalue()


def archive(content: bytes, compression: int = zipfile.ZIP_STORED) -> io.BytesIO:
    """An archive of one array."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as written:
        written.writestr("x/y.npy", content)
    return file


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read(save: object) -> None:
    file, arrays = (
        io.BytesIO(),
        {"a/b": np.arange(6, dtype=np.int64).reshape(2, 3).T, "c": np.float32(1.5), "d": np.zeros(0)},
    )
    save(file, **arrays)  # type: ignore[operator]
    found = read_arrays(file, 10_000)
    assert list(found) == list(arrays)
    assert all(np.array_equal(found[name], array) and found[name].dtype == array.dtype for name, array in arrays.items())


@pytest.mark.parametrize(
    ("file", "cause"),
    [
        (archive(bytes(100_000), zipfile.ZIP_DEFLATED), "its arrays take 100,000 bytes, more than 10,000"),
        (archive(header((10**15, 10))), r"has 128 bytes, but should have 40,000,000,000,000,128 of float32"),
        (archive(header((2,)) + bytes(12)), "has 140 bytes, but should have 136"),
        (archive(header((10**15,), "<U0")), "of <U0"),
        (archive(header((1,), "|O") + bytes(8)), "of object"),
    ],
    ids=["zip bomb", "shape", "more bytes", "no size", "objects"],
)
def test_what_takes_more_than_it_states_is_refused(file: io.BytesIO, cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        read_arrays(file, 10_000)
