"""Own data in four formats: the same data, whatever the format, the listing or the cache."""

import hashlib
import os
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_exp.datasets import decoding, image_cache, npz_file, own
from mnist_exp.datasets.classes import natural
from mnist_exp.datasets.dataset import Dataset, check_test_images
from mnist_exp.errors import InputError
from mnist_exp.machine import memory
from tests import own_data
from tests.own_data import settings, small, write


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mnist-exp" / "datasets"


def same(first: Dataset, second: Dataset) -> bool:
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in image_cache.ARRAYS)


@pytest.mark.parametrize("channels", [1, 3])
def test_all_formats_give_the_same_data_and_the_same_hash(tmp_path: Path, channels: int) -> None:
    arrays = small(channels=channels)
    sets = [own.load(settings(kind, write(kind, tmp_path / kind, arrays))) for kind in own_data.KINDS]
    assert all(same(each, sets[0]) for each in sets)
    assert len({each.sha256 for each in sets}) == 1
    assert np.array_equal(sets[0].train_images, arrays[0])
    assert np.array_equal(sets[0].test_labels, arrays[3])
    assert sets[0].train_images.dtype == sets[0].train_labels.dtype == np.uint8
    assert not any(each.train_images.flags.writeable or each.test_images.flags.writeable for each in sets)
    assert sets[0].class_names == ("0", "1", "2")
    facts = own.facts(sets[0])
    assert (facts.image_shape, facts.classes, facts.train_images) == ((6, 6, channels), 3, 24)


def test_the_hash_covers_pixels_labels_names_and_their_order(tmp_path: Path) -> None:
    def sha256(train, labels, test, test_labels, **changes: object) -> str:
        path = write("npz", tmp_path / "x", (train, labels, test, test_labels))
        return own.load(settings("npz", path, **changes)).sha256

    train, labels, test, test_labels = small()
    other = train.copy()
    other[3, 2, 1] ^= 1
    (tmp_path / "names").write_text("\ufeffzero\none\ntwo\n", encoding="utf-8")
    hashes = [
        sha256(train, labels, test, test_labels),
        sha256(other, labels, test, test_labels),
        sha256(train, np.roll(labels, 1), test, test_labels),
        sha256(train[::-1], labels[::-1], test, test_labels),
        sha256(train, labels, test, test_labels, class_names=str(tmp_path / "names")),
        sha256(train, labels, test[:-3], test_labels[:-3]),
    ]
    assert len(set(hashes)) == len(hashes)
    assert sha256(train, labels, test, test_labels) == hashes[0]


def test_files_and_classes_are_in_natural_order() -> None:
    names = ["class 10", "class 2", "Class 1", "b", "A", "a", "class 02"]
    assert sorted(names, key=natural) == ["A", "a", "b", "Class 1", "class 2", "class 02", "class 10"]


@pytest.mark.parametrize("kind", own_data.KINDS)
def test_test_images_are_drawn_by_class_where_there_are_none(tmp_path: Path, kind: str) -> None:
    train, labels, test, test_labels = small()
    path = write(kind, tmp_path / "x", (train, labels, test, test_labels))
    match kind:
        case "npz":
            np.savez(path, x_train=train, y_train=labels)
        case "folder":
            shutil.rmtree(path / "test")
        case "idx":
            for file in path.glob("t10k-*"):
                file.unlink()
        case "csv":
            path /= "train.csv"
    data = own.load(settings(kind, path, test_share=0.25))
    assert np.bincount(data.test_labels).tolist() == [2, 2, 2]
    assert np.bincount(data.train_labels).tolist() == [6, 6, 6]
    both = {image.tobytes() for image in (*data.train_images, *data.test_images)}
    assert both == {image.tobytes() for image in train}
    for image, label in zip(data.test_images, data.test_labels, strict=True):
        assert (train[labels == label] == image).all((1, 2, 3)).any()
    again = own.load(settings(kind, path, test_share=0.25, test_seed=1))
    assert not same(again, data)
    few = own.load(settings(kind, path, test_share=0.001))
    assert np.bincount(few.test_labels).tolist() == [1, 1, 1]


def test_duplicates_of_training_and_test_images_are_reported(tmp_path: Path) -> None:
    train, labels, test, test_labels = small()
    test[0], test[1], test[5] = train[4], train[9], train[0]  # labels 0, 1 for 0, 0 for 1
    data = own.load(settings("folder", write("folder", tmp_path / "x", (train, labels, test, test_labels))))
    assert data.warnings == (
        "3 of 12 test images have the pixels of a training image, 2 of them with another label: test/0/0.png = "
        "train/0/4.png, test/0/1.png = train/1/9.png, test/1/5.png = train/0/0.png",
    )
    data = own.load(settings("npz", write("npz", tmp_path / "y", (train, labels, test, test_labels))))
    assert "test image 0 = training image 4" in data.warnings[0]


def test_a_data_set_of_a_thousand_classes_has_wide_labels(tmp_path: Path) -> None:
    labels = np.arange(2000) // 2
    images = np.zeros((2000, 2, 2, 1), np.uint8)
    data = own.load(settings("npz", write("npz", tmp_path / "x", (images, labels, images[::2], labels[::2]))))
    assert data.train_labels.dtype == np.uint16
    assert data.train_labels[-1] == 999
    assert len(data.class_names) == 1000


@pytest.mark.parametrize("kind", own_data.KINDS)
def test_unchanged_data_come_from_the_cache(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = settings(kind, write(kind, tmp_path / "x"))
    first = own.load(source)
    monkeypatch.setattr(own.READERS[kind], "read", None)
    again = own.load(source)
    assert same(again, first)
    others = [field.name for field in fields(Dataset) if field.name not in image_cache.ARRAYS]
    assert [getattr(again, name) for name in others] == [getattr(first, name) for name in others]
    assert isinstance(again.train_images.base, np.memmap)  # not in memory
    assert not again.train_images.flags.writeable


def test_a_changed_picture_is_noticed_and_replaces_the_entry(tmp_path: Path, cache: Path) -> None:
    source = settings("folder", write("folder", tmp_path / "x"))
    first, picture = own.load(source), tmp_path / "x" / "train" / "0" / "0.png"
    times, size = picture.stat(), picture.stat().st_size
    pixels = np.array(Image.open(picture))
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(picture)
    picture.write_bytes(picture.read_bytes().ljust(size, b"\0"))
    os.utime(picture, ns=(times.st_atime_ns, times.st_mtime_ns))  # as with `cp -p`
    second = own.load(source)
    assert second.sha256 != first.sha256
    assert len(list(cache.iterdir())) == 1
    (tmp_path / "x" / "train" / "0" / "1.png").unlink()
    assert len(own.load(source).train_labels) == 23


def test_a_new_folder_without_images_is_noticed(tmp_path: Path) -> None:
    source = settings("folder", write("folder", tmp_path / "x"))
    own.load(source)
    (tmp_path / "x" / "train" / "0" / ".DS_Store").write_text("x")  # changes the time of the folder, and nothing else
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own.READERS["folder"], "read", None)
        own.load(source)
    for part in ("train", "test"):
        (tmp_path / "x" / part / "new").mkdir()
    with pytest.raises(InputError, match="no training images of class new"):
        own.load(source)


@pytest.mark.parametrize("damage", ["flip", "truncate", "facts", "remove", "array"])
def test_a_damaged_entry_is_read_again(tmp_path: Path, cache: Path, damage: str) -> None:
    source = settings("npz", write("npz", tmp_path / "x"))
    first = own.load(source)
    (entry,) = cache.iterdir()
    file = entry / "train_images.npy"
    content = bytearray(file.read_bytes())
    match damage:
        case "flip":
            content[-1] ^= 1
            file.write_bytes(content)
        case "truncate":
            file.write_bytes(content[:-100])
        case "facts":
            (entry / image_cache.FACTS).write_text("{")
        case "remove":
            shutil.rmtree(cache)
        case "array":
            np.save(file, np.zeros((2, 2)))
    again = own.load(source)
    assert same(again, first)
    assert again.sha256 == first.sha256
    assert len(list(cache.iterdir())) == 1


def test_without_a_place_for_the_cache_the_data_are_still_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cache").write_text("a file")
    data = own.load(settings("npz", write("npz", tmp_path / "x")))
    assert len(data.train_labels) == 24
    assert "are not cached" in capsys.readouterr().err


def test_an_entry_that_another_process_stores_meanwhile_is_kept(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = settings("npz", write("npz", tmp_path / "x"))
    data, remove = own.load(source), shutil.rmtree
    (entry,) = cache.iterdir()
    monkeypatch.setattr(image_cache.shutil, "rmtree", lambda path, **_: path == entry or remove(path))
    image_cache.store(source, "state", data)
    assert list(cache.iterdir()) == [entry]
    assert capsys.readouterr().err == ""


def test_what_cannot_be_read_is_left_out_and_listed(tmp_path: Path) -> None:
    path = write("folder", tmp_path / "x")
    (path / "train" / "1" / "8.png").write_bytes(b"")
    damaged = path / "test" / "2" / "10.png"
    damaged.write_bytes(damaged.read_bytes()[:60])  # its header is whole, its pixels are not
    (path / "train" / "1" / "notes.txt").write_text("x")
    (path / "train" / "1" / ".DS_Store").write_text("x")
    (path / "train" / "2" / "Thumbs.db").write_text("x")
    data = own.load(settings("folder", path))
    train, labels, test, _ = small()
    assert np.array_equal(data.train_images, np.delete(train, 8, 0))
    assert np.array_equal(data.test_images, np.delete(test, 10, 0))
    assert np.array_equal(data.train_labels, np.delete(labels, 8))
    ignored, unread = data.warnings
    assert ignored == "1 file without a name of PNG, JPEG, BMP, GIF, TIFF or WebP, not used: train/1/notes.txt"
    assert "train/1/8.png is empty, test/2/10.png is damaged or cannot be opened (" in unread


def test_many_threads_and_one_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("folder", tmp_path / "x", small(300))
    first = own.load(settings("folder", path))
    monkeypatch.setattr(decoding, "MAX_THREADS", 1)
    assert own.load(settings("folder", path, test_seed=5)).sha256 == first.sha256


def test_the_cache_counts_every_file_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    one = image_cache.state([str(tmp_path / "a"), str(tmp_path / "missing")])
    (tmp_path / "missing").write_text("")
    assert image_cache.state([str(tmp_path / "a"), str(tmp_path / "missing")]) != one
    assert len(one) == len(hashlib.sha256().hexdigest())


@pytest.mark.parametrize(("count", "classes", "most"), [(134_000, 1000, 133_754), (5_000_001, 10, 5_000_000)])
def test_more_predictions_than_a_run_can_read_again_are_refused(count: int, classes: int, most: int) -> None:
    check_test_images("set", most, classes)
    with pytest.raises(InputError, match=rf"{count:,} test images of {classes:,} classes: .* MB at most") as caught:
        check_test_images("set", count, classes)
    assert caught.value.remedy.startswith(f"use at most {most:,} test images")


def test_the_memory_is_compared_before_labels_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 400)
    monkeypatch.setattr(npz_file.StoredArray, "blocks", lambda _: pytest.fail("takes memory"))
    with pytest.raises(InputError, match=r"24 images of 6×6×1 take .* GB of memory are available"):
        own.load(settings("npz", write("npz", tmp_path)))
