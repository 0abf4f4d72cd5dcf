"""Own data that cannot be used: each kind has one clear error, and leaves nothing behind."""

import gzip
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_exp.datasets import own
from mnist_exp.errors import InputError, IntegrityError, UserError
from mnist_exp.machine import memory
from tests.own_data import encode_idx, settings, small, write
from tests.unit.permissions import enforced

TRAIN, LABELS, TEST, TEST_LABELS = small()
Case = tuple[str, str, type[UserError], str, str]  # name, kind, class, part of the cause, part of the remedy
CASES: list[tuple[Case, Callable[[Path], dict[str, object] | None]]] = []


def case(kind: str, error: type[UserError], cause: str, remedy: str) -> Callable[..., Callable[..., None]]:
    """Register a case: its function damages good data, at `dataset.path`, and may return settings."""

    def register(damage: Callable[[Path], dict[str, object] | None]) -> Callable[[Path], dict[str, object] | None]:
        CASES.append(((damage.__name__, kind, error, cause, remedy), damage))
        return damage

    return register  # type: ignore[return-value]


def save(path: Path, **arrays: np.ndarray) -> None:
    """Replace arrays of an NPZ file; None removes one."""
    good = {"x_train": TRAIN, "y_train": LABELS, "x_test": TEST, "y_test": TEST_LABELS}
    np.savez(path, **{name: array for name, array in (good | arrays).items() if array is not None})


# --- paths ---


@case("folder", InputError, "does not exist", "set dataset.path to a directory")
def a_missing_folder(path: Path) -> dict[str, object]:
    return {"path": path / "nothing"}


@case("npz", InputError, "does not exist", "set dataset.path to an NPZ file")
def a_missing_file(path: Path) -> None:
    path.unlink()


@case("folder", InputError, "is not a directory", "set dataset.path to a directory")
def a_file_for_a_folder(path: Path) -> dict[str, object]:
    return {"path": path / "train" / "0" / "0.png"}


@case("npz", InputError, "is a directory", "set dataset.path to an NPZ file")
def a_directory_for_a_file(path: Path) -> dict[str, object]:
    return {"path": path.parent}


@case("folder", InputError, "Permission denied", "check the file and its permissions")
def a_folder_without_permission(path: Path) -> None:
    (path / "train" / "1").chmod(0)


@case("npz", InputError, "Permission denied", "check the file and its permissions")
def a_file_without_permission(path: Path) -> None:
    path.chmod(0)


@case("csv", InputError, "is not a regular file", "check the file and its permissions")
def a_pipe(path: Path) -> None:
    (path / "train.csv").unlink()
    os.mkfifo(path / "train.csv")


@case("folder", InputError, "is a link to a folder that contains it", "remove the link")
def a_link_to_its_own_folder(path: Path) -> None:
    (path / "train" / "0" / "again").symlink_to(path / "train" / "0")


@case("folder", InputError, "is in 50 folders within a class", "move its images to the class")
def folders_that_are_too_deep(path: Path) -> None:
    path.joinpath("train", "0", *"x" * 51).mkdir(parents=True)


@case("folder", InputError, "symbolic links", "check the file and its permissions")
def links_to_each_other(path: Path) -> None:
    (path / "train" / "0" / "a").symlink_to(path / "train" / "0" / "b")
    (path / "train" / "0" / "b").symlink_to(path / "train" / "0" / "a")


# --- folders and classes ---


@case("folder", InputError, "contains no folders", "a folder for each class")
def an_empty_folder(path: Path) -> dict[str, object]:
    (path / "empty").mkdir()
    return {"path": path / "empty"}


@case("folder", InputError, "in no class, such as train/x.png", "a folder for each class")
def an_image_in_no_class(path: Path) -> None:
    (path / "train" / "0" / "0.png").rename(path / "train" / "x.png")


@case("folder", InputError, "has test/ but no train/", "train/ and test/")
def images_for_the_test_only(path: Path) -> None:
    (path / "train").rename(path / "training")


@case("folder", InputError, "no training images of class 1", "add images of each class")
def an_empty_class(path: Path) -> None:
    for file in (path / "train" / "1").iterdir():
        file.unlink()


@case("folder", InputError, "has 1 class", "2 to 1,000 classes")
def one_class(path: Path) -> dict[str, object]:
    (path / "one" / "cat").mkdir(parents=True)
    (path / "train" / "0" / "0.png").rename(path / "one" / "cat" / "0.png")
    (path / "train" / "0" / "1.png").rename(path / "one" / "cat" / "1.png")
    return {"path": path / "one"}


@case("folder", InputError, "has 1,001 classes", "2 to 1,000 classes")
def too_many_classes(path: Path) -> dict[str, object]:
    for index in range(1001):
        (path / "many" / str(index)).mkdir(parents=True)
    return {"path": path / "many"}


@case("folder", InputError, "dog in test/, but not in train/", "train/ has 0, 1, 2")
def a_class_of_test_images_only(path: Path) -> None:
    (path / "test" / "dog").mkdir()


@case("folder", InputError, "cat, dog, horse in test/, but not in train/", "use the same folders in both")
def no_class_in_both(path: Path) -> None:
    for name, new in zip("012", ("cat", "dog", "horse"), strict=True):
        (path / "test" / name).rename(path / "test" / new)


@case("folder", InputError, "no test images of class 2", "add them to test/")
def a_class_without_test_images(path: Path) -> None:
    for file in (path / "test" / "2").iterdir():
        file.unlink()
    (path / "test" / "2").rmdir()


@case("folder", InputError, "control character U+000A: '0\\n1'", "rename the folder")
def a_name_of_two_lines(path: Path) -> None:
    for part in ("train", "test"):
        (path / part / "0").rename(path / part / "0\n1")


@case("folder", InputError, "control character U+202E", "dataset.class_names=FILE")
def a_name_that_is_written_backwards(path: Path) -> None:
    for part in ("train", "test"):
        (path / part / "0").rename(path / part / "\u202egnp")


@case("folder", InputError, "train: two folders have the name é", "move their images into one")
def a_name_in_two_spellings(path: Path) -> None:
    (path / "train" / "0").rename(path / "train" / "é")
    (path / "train" / "1").rename(path / "train" / "e\u0301")


@case("folder", InputError, "control character U+DCFF", "rename the folder")
def a_name_that_is_no_text(path: Path) -> None:
    for part in ("train", "test"):
        (path / part / "0").rename(path / part / "\udcff")


@case("folder", InputError, "one image of class 1, and no test images", "one for training and one for the test")
def a_class_of_one_image(path: Path) -> dict[str, object]:
    for file in sorted((path / "train" / "1").iterdir())[1:]:
        file.unlink()
    return {"path": path / "train"}


@case("folder", InputError, "has 2 names for 3 folders", "in the order of the folders: 0, 1, 2")
def too_few_names(path: Path) -> dict[str, object]:
    (path / "names").write_text("a\nb\n")
    return {"class_names": str(path / "names")}


@case("npz", InputError, "two classes have the name a", "a different name for each class")
def a_name_twice(path: Path) -> dict[str, object]:
    path.with_name("names").write_text("a\nb\na\n")
    return {"class_names": str(path.with_name("names"))}


@case("npz", InputError, "is not text in UTF-8", "check the file and its permissions")
def names_that_are_no_text(path: Path) -> dict[str, object]:
    path.with_name("names").write_bytes(b"\xff\xfe\0a")
    return {"class_names": str(path.with_name("names"))}


# --- image files ---


def damaged_pictures(path: Path, content: bytes) -> dict[str, object]:
    (path / "train" / "0" / "0.png").write_bytes(content)
    return {"max_unreadable": 0}


@case("folder", IntegrityError, "train/0/0.png is empty", "dataset.max_unreadable=N")
def an_image_of_0_bytes(path: Path) -> dict[str, object]:
    return damaged_pictures(path, b"")


@case("folder", IntegrityError, "1 image cannot be read, more than the 0 of dataset.max_unreadable", "repair or remove")
def text_for_an_image(path: Path) -> dict[str, object]:
    return damaged_pictures(path, b"no image\x1b[31m")


@case("folder", IntegrityError, "is damaged or cannot be opened (", "repair or remove")
def half_an_image(path: Path) -> dict[str, object]:
    return damaged_pictures(path, (path / "train" / "0" / "0.png").read_bytes()[:60])


@case("folder", IntegrityError, "No such file or directory", "repair or remove")
def a_broken_link(path: Path) -> dict[str, object]:
    (path / "train" / "0" / "0.png").unlink()
    (path / "train" / "0" / "0.png").symlink_to(path / "nothing")
    return {"max_unreadable": 0}


@case("folder", IntegrityError, "is not a regular file", "repair or remove")
def a_pipe_for_an_image(path: Path) -> dict[str, object]:
    (path / "train" / "0" / "0.png").unlink()
    os.mkfifo(path / "train" / "0" / "0.png")
    return {"max_unreadable": 0}


@case("folder", IntegrityError, "11 images cannot be read, more than the 10", "dataset.max_unreadable=N")
def more_damaged_images_than_allowed(path: Path) -> None:
    for file in sorted((path / "train").rglob("*.png"))[:11]:
        file.write_bytes(b"")


def png_header(height: int, width: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


@case("folder", IntegrityError, "train/0/0.png has 10,000×10,000 pixels, more than 67,108,864", "repair or remove")
def a_bomb_of_pixels(path: Path) -> dict[str, object]:
    return damaged_pictures(path, png_header(10_000, 10_000))


@case("folder", IntegrityError, "(", "repair or remove")  # Pillow's own limit is met first
def a_larger_bomb_of_pixels(path: Path) -> dict[str, object]:
    return damaged_pictures(path, png_header(100_000, 100_000))


@case("folder", IntegrityError, "has one pixel", "repair or remove")
def an_image_of_one_pixel(path: Path) -> dict[str, object]:
    Image.new("L", (1, 1)).save(path / "train" / "0" / "0.png")
    return {"max_unreadable": 0, "size": (8, 8)}


@case("folder", IntegrityError, "has 32 bits for each pixel", "repair or remove")
def an_image_of_floats(path: Path) -> dict[str, object]:
    Image.new("F", (6, 6)).save(path / "train" / "0" / "0.tiff")
    return {"max_unreadable": 0}


@case(
    "folder", InputError, "the images have 2 sizes: 35 images of 6×6 (train/0/1.png), 1 image of 9×4", "dataset.size=[6,6]"
)
def images_of_two_sizes(path: Path) -> None:
    Image.new("L", (4, 9)).save(path / "train" / "0" / "0.png")


@case("folder", InputError, "the images have 36 sizes", "for example dataset.size=64")  # not one that few images have
def images_of_many_sizes(path: Path) -> None:
    for number, file in enumerate(sorted(path.rglob("*.png"))):
        Image.new("L", (70, 70 + number)).save(file)


@case("npz", InputError, "the images are 300×2, larger than 256×256", "dataset.size=64")
def images_that_are_too_large(path: Path) -> None:
    save(path, x_train=np.zeros((24, 300, 2), np.uint8))


@case("npz", InputError, "take 0.4 GB, but only 0.3 GB of memory are available", "choose a smaller dataset.size")
def more_than_the_memory(path: Path) -> dict[str, object]:
    save(path, x_train=np.broadcast_to(np.uint8(0), (6000, 2, 2)), y_train=np.arange(6000) % 3)
    return {"size": (256, 256), "memory": 300_000_000}


# --- IDX files ---


def write_idx(path: Path, content: bytes, name: str = "t10k-labels-idx1-ubyte") -> None:
    (path / name).write_bytes(content)


@case("idx", InputError, "no file of test labels", "expected: train-images-idx3-ubyte")
def a_missing_idx_file(path: Path) -> None:
    (path / "t10k-labels-idx1-ubyte").unlink()


@case("idx", InputError, "two files of test labels", "remove one of them")
def an_idx_file_twice(path: Path) -> None:
    write_idx(path, encode_idx(TEST_LABELS), "t10k-labels-idx1-ubyte.gz")


@case("idx", IntegrityError, "magic number 0x00000d03", "copy or download it again")
def a_wrong_magic_number(path: Path) -> None:
    write_idx(path, b"\0\0\x0d\3" + bytes(12))


@case("idx", IntegrityError, "ends before the 12 items", "copy or download it again")
def a_truncated_idx_file(path: Path) -> None:
    write_idx(path, encode_idx(TEST_LABELS)[:-1])


@case("idx", IntegrityError, "is longer than the 12 items", "copy or download it again")
def an_idx_file_that_is_too_long(path: Path) -> None:
    write_idx(path, encode_idx(TEST_LABELS) + b"\0")


@case("idx", IntegrityError, "is too short", "copy or download it again")
def an_idx_file_of_0_bytes(path: Path) -> None:
    write_idx(path, b"")


@case("idx", IntegrityError, "cannot be decompressed", "copy or download it again")
def a_truncated_gzip_file(path: Path) -> None:
    name = "train-images-idx3-ubyte.gz"
    write_idx(path, (path / name).read_bytes()[:-20], name)


@case("idx", InputError, "has 12 images for 11 labels", "files of the same set")
def idx_files_of_different_lengths(path: Path) -> None:
    write_idx(path, encode_idx(TEST_LABELS[:-1]))


@case("idx", InputError, "has uint8 values, 12×2", "one label for each image")
def idx_labels_of_two_columns(path: Path) -> None:
    write_idx(path, encode_idx(np.zeros((12, 2))))


@case("idx", InputError, "of memory are available", "use fewer images")
def a_bomb_in_an_idx_file(path: Path) -> None:
    count = 2**28
    write_idx(path, struct.pack(">HBBI", 0, 8, 1, count) + bytes(9), "train-labels-idx1-ubyte")
    write_idx(path, gzip.compress(struct.pack(">HBB3I", 0, 8, 3, count, 250, 250)), "train-images-idx3-ubyte.gz")


# --- NPZ files ---


@case("npz", IntegrityError, "is not an NPZ file, or is damaged", "copy or download it again")
def text_for_an_npz_file(path: Path) -> None:
    path.write_text("no archive")


@case("npz", IntegrityError, "is not an NPZ file, or is damaged", "copy or download it again")
def an_npz_file_of_0_bytes(path: Path) -> None:
    path.write_bytes(b"")


@case("npz", IntegrityError, "is not an NPZ file, or is damaged", "copy or download it again")
def a_flipped_byte_in_an_npz_file(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)


@case("npz", InputError, "has no array x_train, y_train, but images, labels", "numpy.savez(FILE, x_train=")
def other_names_of_arrays(path: Path) -> None:
    np.savez(path, images=TRAIN, labels=LABELS)


@case("npz", InputError, "has no array y_test", "numpy.savez(FILE, x_train=")
def a_missing_array(path: Path) -> None:
    save(path, y_test=None)


@case("npz", InputError, "x_train contains Python objects, which are never loaded", "save numbers")
def an_array_of_objects(path: Path) -> None:
    save(path, x_train=np.array([{}] * 24))


@case("npz", InputError, "y_train has the shape 23, but x_train has 24 images", "one integer for each image")
def arrays_of_different_lengths(path: Path) -> None:
    save(path, y_train=LABELS[:-1])


@case("npz", InputError, "y_train has float64 values", "use y_train.astype(int)")
def labels_of_floats(path: Path) -> None:
    save(path, y_train=LABELS.astype(float))


@case("npz", InputError, "the training labels are from 0 to 2, but there are 2 classes", "labels from 0 to 1")
def labels_beyond_the_classes(path: Path) -> dict[str, object]:
    path.with_name("names").write_text("a\nb\n")
    return {"class_names": str(path.with_name("names"))}


@case("npz", InputError, "y_test has values from -1 to 1", "from 0 to 999")
def negative_labels(path: Path) -> None:
    save(path, y_test=TEST_LABELS - 1)


@case("npz", InputError, "no training images of class 0", "labels count from 0")
def labels_that_count_from_1(path: Path) -> None:
    save(path, y_train=LABELS + 1, y_test=TEST_LABELS + 1)


@case("npz", InputError, "has 1,000,003 classes", "2 to 1,000 classes")
def a_very_large_label(path: Path) -> None:
    save(path, y_train=LABELS + 1_000_000 * (LABELS == 2))


@case("npz", InputError, "x_train contains NaN or infinity", "floats that are all from 0 to 1")
def pixels_that_are_no_number(path: Path) -> None:
    save(path, x_train=np.where(TRAIN[0, 0, 0, 0] == TRAIN, np.nan, TRAIN / 255))


@case("npz", InputError, "x_train has values from -0.5 to 0.5, not all of them whole", "floats that are all from 0 to 1")
def pixels_of_another_range(path: Path) -> None:
    save(path, x_train=np.linspace(-0.5, 0.5, TRAIN.size).reshape(TRAIN.shape))


@case("npz", InputError, "x_train has values from 0 to 65535", "integers from 0 to 255")
def pixels_of_16_bits(path: Path) -> None:
    save(path, x_train=np.linspace(0, 65_535, TRAIN.size).astype(np.uint16).reshape(TRAIN.shape))


@case("npz", InputError, "the images are 6×6×2", "1 (grey) or 3 (RGB)")
def images_of_two_channels(path: Path) -> None:
    save(path, x_train=np.zeros((24, 6, 6, 2), np.uint8))


@case("npz", InputError, "x_train has uint8 values of the shape 24×36", "(n, height, width)")
def flat_images(path: Path) -> None:
    save(path, x_train=TRAIN.reshape(24, 36))


@case("npz", InputError, "the images are 1×1×1", "more than one pixel")
def images_of_one_pixel(path: Path) -> None:
    save(path, x_train=np.zeros((24, 1, 1), np.uint8))


@case("npz", InputError, "the training images are 6×6×1, the test images 5×6×1", "give them one size")
def images_of_two_shapes(path: Path) -> None:
    save(path, x_test=TEST[:, 1:])


@case("npz", IntegrityError, "its header states", "copy or download it again")
def a_bomb_of_an_npz_file(path: Path) -> None:
    save(path)
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (24, 40000, 40000, 3), }".ljust(117) + b"\n"
    with zipfile.ZipFile(path, "a") as archive:
        names = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in names.items():
            archive.writestr(name, b"\x93NUMPY\1\0v\0" + header if name == "x_train.npy" else content)


# --- CSV files ---


def replace_line(path: Path, number: int, change: Callable[[str], str]) -> None:
    lines = (path / "train.csv").read_text().splitlines()
    lines[number - 1] = change(lines[number - 1])
    (path / "train.csv").write_text("\n".join(lines) + "\n")


@case("csv", InputError, "has no train.csv", "a directory with train.csv and test.csv")
def a_directory_without_a_csv_file(path: Path) -> None:
    (path / "train.csv").rename(path / "digits.csv")


@case("csv", InputError, "contains no images", "a label from 0 to 999, then pixels")
def a_csv_file_of_0_bytes(path: Path) -> None:
    (path / "train.csv").write_text("")


@case("csv", InputError, "contains no images", "a label from 0 to 999, then pixels")
def a_csv_file_of_a_header(path: Path) -> None:
    (path / "train.csv").write_text("label,pixel\n")


@case("csv", InputError, "train.csv, line 7: has 36 values, but the first line has 37", "separated by commas")
def ragged_lines(path: Path) -> None:
    replace_line(path, 7, lambda line: line.rpartition(",")[0])


@case("csv", InputError, "train.csv, line 4: pixel 36 is 'x'", "pixels from 0 to 255")
def text_for_a_pixel(path: Path) -> None:
    replace_line(path, 4, lambda line: line.rpartition(",")[0] + ",x")


@case("csv", InputError, "train.csv, line 4: pixel 36 is '-3'", "pixels from 0 to 255")
def a_negative_pixel(path: Path) -> None:
    replace_line(path, 4, lambda line: line.rpartition(",")[0] + ",-3")


@case("csv", InputError, "train.csv, line 4: pixel 36 is '0.5'", "pixels from 0 to 255")
def a_fraction_of_a_pixel(path: Path) -> None:
    replace_line(path, 4, lambda line: line.rpartition(",")[0] + ",0.5")


@case("csv", InputError, "train.csv, line 4: pixel 36 is '99999999999999999999", "pixels from 0 to 255")
def a_huge_pixel(path: Path) -> None:
    replace_line(path, 4, lambda line: line.rpartition(",")[0] + "," + "9" * 5000)


@case("csv", InputError, "train.csv, line 4: the label is 'cat'", "a label from 0 to 999")
def text_for_a_label(path: Path) -> None:
    replace_line(path, 4, lambda line: "cat," + line.partition(",")[2])


@case("csv", InputError, "train.csv, line 4: the label is '1000'", "a label from 0 to 999")
def a_label_beyond_all_classes(path: Path) -> None:
    replace_line(path, 4, lambda line: "1000," + line.partition(",")[2])


@case("npz", InputError, "has 1,073,741,825 classes", "allowed: 2 to 1,000 classes")
def labels_of_more_classes_than_fit_into_memory(path: Path) -> None:
    save(path, y_train=np.where(np.arange(len(LABELS)), LABELS, 2**30))


@case("csv", InputError, "train.csv, line 9: has 1 value, separated by other characters", "separated by commas")
def a_line_with_semicolons(path: Path) -> None:
    replace_line(path, 9, lambda line: line.replace(",", ";"))


@case("csv", InputError, "train.csv, line 3: is longer than", "a label from 0 to 999")
def a_huge_line(path: Path) -> None:
    replace_line(path, 3, lambda line: line + ",0" * 800_000)


@case("csv", InputError, "has 35 pixels on a line, which is not the number of a square image", "dataset.size=[28,20]")
def images_that_are_not_square(path: Path) -> None:
    lines = (path / "train.csv").read_text().splitlines()
    (path / "train.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))


@pytest.mark.parametrize(("expected", "damage"), CASES, ids=[expected[0] for expected, _ in CASES])
def test_each_kind_of_bad_data_has_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: Case, damage: Callable[[Path], dict[str, object] | None]
) -> None:
    _, kind, error, cause, remedy = expected
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = write(kind, tmp_path / "data")
    changes = damage(path) or {}
    if "memory" in changes:
        available = changes.pop("memory")
        monkeypatch.setattr(memory, "available_bytes", lambda: available)
    before = sorted(tmp_path.rglob("*"))
    with enforced(), pytest.raises(error) as caught:
        own.load(settings(kind, Path(str(changes.pop("path", path))), **changes))
    assert type(caught.value) is error
    assert cause in caught.value.cause
    assert remedy in caught.value.remedy
    assert "\n" not in caught.value.cause.replace(str(tmp_path), "")
    assert sorted(tmp_path.rglob("*")) == before


def test_at_least_thirty_kinds_are_tested() -> None:
    assert len(CASES) >= 30
