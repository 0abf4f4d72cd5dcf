"""The files of a described data set are found where they are, under any name, and never used unverified."""

import gzip
import io
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from mnist_exp import datasets
from mnist_exp.datasets import copies, finding, idx, members, places
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.datasets.described import load
from mnist_exp.errors import InputError, IntegrityError
from mnist_exp.machine import files
from tests.unit.datasets.tiny import (
    ARRAYS,
    CONTENTS,
    NAMES,
    SHAPE,
    STORED,
    described,
    encode,
    sha256,
    source,
    write_files,
)

pytestmark = pytest.mark.usefixtures("own_places")


def gzip_or_raw(content: bytes, limit: int) -> bytes:
    return (gzip.decompress(content) if content[:2] == idx.GZIP else content)[: limit + 1]


def assert_right(data: Dataset) -> None:
    assert np.array_equal(data.train_images[..., 0], ARRAYS[0])
    assert np.array_equal(data.test_labels, ARRAYS[3])
    assert data.sha256 == sha256("".join(map(sha256, CONTENTS)).encode())


STORED_AS = {
    "as offered": STORED,
    "uncompressed": dict(zip((name.removesuffix(".gz") for name in NAMES), CONTENTS, strict=True)),
    "compressed again": {name: gzip.compress(content, 1) for name, content in zip(NAMES, CONTENTS, strict=True)},
    "under other names": dict(zip("abcd", CONTENTS, strict=True)),
    "in directories": {f"some/where/{number}.bin": stored for number, stored in enumerate(STORED.values())},
    "as other libraries store them": {f"Tiny/raw/{name}": stored for name, stored in STORED.items()},
    "in two gzip members": {
        name: gzip.compress(content[:20]) + gzip.compress(content[20:])
        for name, content in zip(NAMES, CONTENTS, strict=True)
    },
}


@pytest.mark.parametrize("files_in_place", STORED_AS.values(), ids=STORED_AS)
def test_files_are_used_where_they_are(tmp_path: Path, files_in_place: dict[str, bytes]) -> None:
    root = write_files(tmp_path / "root", {"README": b"x", "empty": b"", **files_in_place})
    for _ in range(2):  # the second time with the cache
        assert_right(load(source(described(), root)))
    assert sorted(path.name for path in root.rglob("*") if path.is_file()) == sorted(
        name.rpartition("/")[2] for name in ("README", "empty", *files_in_place)
    )


def test_several_directories_are_searched(tmp_path: Path) -> None:
    first = write_files(tmp_path / "1", dict(list(STORED.items())[:2]))
    second = write_files(tmp_path / "2", dict(list(STORED.items())[2:]))
    assert_right(load(source(described(), first, second)))
    with pytest.raises(InputError, match="is not on this machine") as caught:
        load(source(described(), first))
    assert "mnist-exp data fetch tiny" in caught.value.remedy


def test_the_usual_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "SYSTEM", tmp_path / "system")
    write_files(tmp_path / "system" / "tiny")
    assert_right(load(source(described())))
    monkeypatch.delenv("MNIST_EXP_DATA")
    monkeypatch.setenv("XDG_DATA_HOME", "/x")
    assert places.data_directory() == Path("/x/mnist-exp")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/you")
    assert places.data_directory() == Path("/home/you/.local/share/mnist-exp")
    monkeypatch.setenv("MNIST_EXP_DATA", "some/../data")  # found files have absolute paths
    assert places.data_directory() == Path.cwd() / "data"


@pytest.mark.skipif(not Path("/usr/share/datasets/fashion-mnist").is_dir(), reason="needs Debian's dataset-fashion-mnist")
def test_the_package_of_debian_is_found_by_itself() -> None:
    fashion = datasets.shipped()["fashion_mnist"]
    data = load(fashion)
    assert np.bincount(data.train_labels).tolist() == [6000] * 10
    assert data.train_images.mean() == pytest.approx(72.940, abs=1e-3)  # as published: 0.2860 × 255
    assert data.class_names[9] == "Ankle boot"
    paths = {finding.read(fashion, file).path for file in fashion.description.files}
    assert {str(path.parent) for path in paths} == {"/usr/share/datasets/fashion-mnist"}


# What is wrong


def damaged(name: str) -> dict[str, bytes]:
    content = bytearray(gzip.decompress(STORED[name]))
    content[-1] ^= 1
    return STORED | {name: gzip.compress(bytes(content))}


def test_a_damaged_file_is_reported_with_both_hashes(tmp_path: Path) -> None:
    root = write_files(tmp_path, damaged(NAMES[2]))
    with pytest.raises(IntegrityError) as caught:
        load(source(described(), root))
    assert str(root / NAMES[2]) in caught.value.cause
    assert sha256(CONTENTS[2]) in caught.value.cause
    assert "SHA-256 is" in caught.value.cause


def test_a_right_file_under_another_name_replaces_a_damaged_one(tmp_path: Path) -> None:
    root = write_files(tmp_path / "root", damaged(NAMES[2]) | {"copy": STORED[NAMES[2]]})
    assert_right(load(source(described(), root)))


def test_a_file_that_has_changed_since_it_was_read_is_never_used(tmp_path: Path) -> None:
    root = write_files(tmp_path / "root")
    load(source(described(), root))
    path = root / NAMES[2]
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    with path.open("r+b") as file:  # same size, inode and time
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    with pytest.raises(IntegrityError):
        load(source(described(), root))


def test_a_file_that_was_found_outside_the_directories_is_not_used(tmp_path: Path) -> None:
    load(source(described(), write_files(tmp_path / "first")))
    (tmp_path / "second").mkdir()
    with pytest.raises(InputError, match="not on this machine"):
        load(source(described(), tmp_path / "second"))


def test_without_a_published_hash_of_the_content_the_offered_file_is_recognised(tmp_path: Path) -> None:
    description = described()
    for part in ("train", "test"):
        for kind in ("images", "labels"):
            description[part] = description[part] | {
                kind: {key: value for key, value in description[part][kind].items() if key != "content_sha256"}
            }
    assert_right(load(source(description, write_files(tmp_path / "a", dict(zip("abcd", STORED.values(), strict=True))))))
    with pytest.raises(InputError, match="not on this machine"):
        load(source(description, write_files(tmp_path / "b", dict(zip("abcd", CONTENTS, strict=True)))))


@pytest.mark.parametrize("in_place", [STORED, {"all.zip": b""}], ids=["files", "archive"])
def test_a_large_file_is_read_from_an_uncompressed_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_place: dict[str, bytes]
) -> None:
    monkeypatch.setattr(copies, "LEAST", 700)  # bytes: only the training images are larger
    root = write_files(tmp_path / "root", in_place if in_place == STORED else {"all.zip": ARCHIVE})
    wanted = source(described() if in_place == STORED else in_archive(), root)
    assert_right(load(wanted))
    (copy,) = (files.user_cache() / "datasets").iterdir()
    with monkeypatch.context() as patched:
        decompressed: list[int] = []

        def decompress(content: bytes, limit: int) -> bytes:
            decompressed.append(limit)
            return gzip_or_raw(content, limit)

        patched.setattr(idx, "decompress", decompress)
        data = load(wanted)
        assert_right(data)
        assert max(decompressed) < 700  # not the training images
    assert not data.train_images.flags.writeable
    content = bytearray(copy.read_bytes())
    content[-1] ^= 1
    copy.write_bytes(content)
    assert_right(load(wanted))  # a damaged copy is replaced
    assert sha256(copy.read_bytes()) == copy.stem.partition("-")[2]
    for path in root.iterdir():
        path.unlink()
    with pytest.raises(InputError, match="not on this machine"):  # a copy alone is no data set
        load(wanted)


# What a description says


def with_contents(description: dict[str, Any], contents: Sequence[bytes]) -> dict[str, Any]:
    """A description of other contents of the files."""
    hashes = iter(map(sha256, contents))
    for part in ("train", "test"):
        for kind in ("images", "labels"):
            file = {"path": description[part][kind]["path"], "content_sha256": next(hashes)}
            description[part] = description[part] | {kind: file}
    return description


def test_transposed_images_labels_from_1_and_a_part_of_the_test_images(tmp_path: Path) -> None:
    stored = [array.swapaxes(1, 2) if array.ndim == 3 else array + 1 for array in ARRAYS]
    contents = [encode(np.ascontiguousarray(array)) for array in stored]
    description = with_contents(described(transposed=True, labels_from=1), contents)
    description["test"]["use"] = [2, 6]
    data = load(source(description, write_files(tmp_path / "root", dict(zip(NAMES, contents, strict=True)))))
    assert np.array_equal(data.train_images[..., 0], ARRAYS[0])
    assert data.train_images.shape == (36, *SHAPE, 1)
    assert np.array_equal(data.train_labels, ARRAYS[1])
    assert np.array_equal(data.test_images[..., 0], ARRAYS[2][2:])
    assert np.array_equal(data.test_labels, ARRAYS[3][2:])
    assert data.train_labels.dtype == np.uint8


def test_the_class_is_a_column_of_integers(tmp_path: Path) -> None:
    columns = [np.stack([labels, np.full(len(labels), 70_000)], axis=1).astype(np.int32) for labels in ARRAYS[1::2]]
    contents = [CONTENTS[0], encode(columns[0]), CONTENTS[2], encode(columns[1])]
    files_in_place = dict(zip(NAMES, map(gzip.compress, contents), strict=True))
    description = with_contents(described(label_column=0), contents)
    data = load(source(description, write_files(tmp_path / "root", files_in_place)))
    assert np.array_equal(data.train_labels, ARRAYS[1])
    assert data.train_labels.dtype == np.uint8
    assert not data.train_labels.flags.writeable
    with pytest.raises(InputError, match="it contains 36×2 values of type int32"):
        load(source(description | {"group_column": 2}, tmp_path / "root"))
    with pytest.raises(ValidationError, match="group_column needs label_column"):
        source(described(group_column=0))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"labels_from": 1}, "labels from 0 to 2, but the description has 3 from 1"),
        ({"class_names": ["a", "b"]}, "labels from 0 to 2, but the description has 2 from 0"),
        ({"image_shape": [4, 5, 1]}, "it contains 36×5×4 values of type uint8"),
        ({"label_column": 1}, "it contains 36 values of type uint8"),
        ({"label_column": 0, "group_column": 9}, "it contains 36 values of type uint8"),
    ],
)
def test_a_description_that_does_not_fit_its_files(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(InputError) as caught:
        load(source(described(**changes), write_files(tmp_path / "root")))
    assert reason in caught.value.cause
    assert "YAML file" in caught.value.remedy


def test_what_defines_the_data_is_in_the_fingerprint_and_nothing_else() -> None:
    def fingerprint(**changes: object) -> str:
        return datasets.facts(source(described(**changes))).fingerprint

    assert fingerprint() == fingerprint(addresses=[], licence="MIT", attribution="x", directory="other")
    others = [fingerprint(transposed=True), fingerprint(labels_from=1), fingerprint(class_names=["a", "b", "d"])]
    assert len({fingerprint(), *others}) == 4


# An archive


def archive_of(contents: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return stream.getvalue()


ARCHIVE = archive_of({"../../evil": b"x", "/evil": b"x", **{f"gzip/{name}": stored for name, stored in STORED.items()}})


def in_archive(archive: bytes = ARCHIVE, address: str = "http://127.0.0.1:1/") -> dict[str, Any]:
    offered = {"path": "all.zip", "bytes": len(archive), "sha256": sha256(archive)}
    description = described(address, archive=offered)
    for part in ("train", "test"):
        kinds = {kind: {"path": f"gzip/{description[part][kind]['path']}"} for kind in ("images", "labels")}
        description[part] = description[part] | kinds
    return description


def test_an_archive_is_read_in_place_and_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_files(tmp_path / "root", {"renamed.zip": ARCHIVE})
    assert_right(load(source(in_archive(), root)))
    checks: list[Path] = []
    monkeypatch.setattr(members, "check", lambda path, _: checks.append(path))
    assert_right(load(source(in_archive(), root)))
    assert checks == []
    assert [path.name for path in root.iterdir()] == ["renamed.zip"]


def test_files_of_a_known_archive_are_used_without_it(tmp_path: Path) -> None:
    load(source(in_archive(), write_files(tmp_path / "root", {"all.zip": ARCHIVE})))
    extracted = write_files(tmp_path / "extracted", {f"gzip/{name}": stored for name, stored in STORED.items()})
    assert_right(load(source(in_archive(), extracted)))
    (files.user_cache() / members.RECORD).unlink()
    with pytest.raises(IntegrityError, match="without the archive"):
        load(source(in_archive(), extracted))


def test_another_archive_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    other = archive_of({f"gzip/{name}": stored for name, stored in damaged(NAMES[0]).items()})
    root = write_files(tmp_path / "root", {"all.zip": other})
    with pytest.raises(IntegrityError, match=f"expected {len(ARCHIVE):,}|expected {sha256(ARCHIVE)}"):
        load(source(in_archive(), root))
    load(source(in_archive(), write_files(tmp_path / "right", {"all.zip": ARCHIVE})))  # its hashes are known from now on
    with pytest.raises(IntegrityError, match=f"is damaged: SHA-256 is {sha256(damaged(NAMES[0])[NAMES[0]])}"):
        load(source(in_archive(), root))


def test_an_archive_that_lacks_a_file_or_is_a_bomb(tmp_path: Path) -> None:
    lacking = archive_of({"gzip/train-images.gz": STORED["train-images.gz"]})
    with pytest.raises(IntegrityError, match="does not contain gzip/train-labels"):
        load(source(in_archive(lacking), write_files(tmp_path / "1", {"all.zip": lacking})))
    bomb = archive_of({f"gzip/{name}": bytes(3_000_000) for name in NAMES})
    with pytest.raises(IntegrityError, match="has 3,000,000 bytes, expected at most"):
        load(source(in_archive(bomb), write_files(tmp_path / "2", {"all.zip": bomb})))
    no_archive = b"PK" + bytes(100)
    with pytest.raises(IntegrityError, match="ZIP archive"):
        load(source(in_archive(no_archive), write_files(tmp_path / "3", {"all.zip": no_archive})))
