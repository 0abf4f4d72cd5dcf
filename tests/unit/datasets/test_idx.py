"""The IDX reader accepts only the file with the expected SHA-256."""

import gzip
import hashlib
import re
import shutil
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mnist_exp import datasets
from mnist_exp.datasets import idx, places
from mnist_exp.datasets.described import load
from mnist_exp.datasets.finding import read
from mnist_exp.errors import IntegrityError


def encode(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@given(arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, max_side=6)))
def test_an_encoded_array_is_read(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    path, content = tmp_path_factory.mktemp("idx") / "x.gz", encode(array)
    path.write_bytes(gzip.compress(content))
    assert np.array_equal(idx.parse(idx.decompress(path.read_bytes(), len(content))), array)
    assert np.array_equal(idx.parse(idx.decompress(content, len(content))), array)


@given(st.binary(max_size=64))
def test_any_other_content_is_rejected(content: bytes) -> None:
    packed = gzip.compress(content)
    if content[:2] != b"\0\0":
        for stored in (content, packed):
            with pytest.raises(ValueError, match=r"IDX|cannot be decompressed"):
                idx.parse(idx.decompress(stored, 100))
    with pytest.raises(ValueError, match=r"too short|has .* bytes|magic number"):
        idx.parse(encode(np.zeros((3, 2), np.uint8)) + content + b"x")


def test_the_embedded_digits_are_the_published_ones(digits) -> None:
    assert digits.train_images.shape == (60_000, 28, 28, 1)
    assert digits.test_images.shape == (10_000, 28, 28, 1)
    assert digits.train_images.dtype == digits.test_labels.dtype == np.uint8
    assert np.bincount(digits.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert not digits.train_images.flags.writeable
    assert digits.train_images.mean() == pytest.approx(33.318, abs=1e-3)  # as published everywhere: 0.1307 × 255


DIGITS = datasets.shipped()["mnist"]
HASHES = {file.content_path: str(file.content_sha256) for file in DIGITS.description.files}


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the files as included in the package."""
    shutil.copytree(places.PACKAGE / "mnist", tmp_path / "mnist")
    monkeypatch.setattr(places, "PACKAGE", tmp_path)
    return tmp_path / "mnist"


def damage_flip(path: Path) -> None:
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[-1] ^= 1
    path.write_bytes(gzip.compress(bytes(content), 1))


def damage_truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def damage_extend(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"\0" * 1_000_000, 1))


def damage_garbage(path: Path) -> None:
    path.write_bytes(b"no gzip file")


@pytest.mark.parametrize("damage", [damage_flip, damage_truncate, damage_extend, damage_garbage, Path.unlink])
def test_the_error_for_a_damaged_file_contains_both_hashes(copies: Path, damage) -> None:
    name = "t10k-labels-idx1-ubyte"
    path = copies / f"{name}.gz"
    damage(path)
    with pytest.raises(IntegrityError) as caught:
        load(DIGITS)
    assert caught.value.exit_code == 3
    assert str(path) in caught.value.cause
    assert HASHES[name] in caught.value.cause
    assert len(set(re.findall("[0-9a-f]{64}", caught.value.cause))) == (1 if damage is Path.unlink else 2)
    if damage is damage_flip:
        assert hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest() in caught.value.cause


def test_a_decompression_bomb_is_not_decompressed(copies: Path) -> None:
    path = copies / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + bytes(200_000_000)))
    tracemalloc.start()
    with pytest.raises(IntegrityError):
        read(DIGITS, DIGITS.description.test.labels)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
