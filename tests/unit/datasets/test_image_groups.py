"""The groups of a folder's images: by a pattern of their names, or by a CSV file."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_exp.datasets import image_cache, image_groups, own
from mnist_exp.datasets.content import Part
from mnist_exp.datasets.parts import ONE_GROUP, doubtful_groups
from mnist_exp.errors import InputError
from tests.own_data import settings

pytestmark = pytest.mark.usefixtures("own_places")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of images by five writers, four of each."""
    generator = np.random.default_rng(1)
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for writer in ("anna", "bo_1", "carl", "dora", "eve"):
            for number in range(4):
                image = Image.fromarray(generator.integers(0, 256, (6, 6), np.uint8))
                image.save(tmp_path / "data" / name / f"{writer}_{number}.png")
    return tmp_path / "data"


NAMES = ["a/anna_0.png", "a/bo_1_0.png", "b/anna_1.png"]


@pytest.mark.parametrize(
    ("rule", "groups"),
    [("GROUP_*.png", [0, 1, 0]), ("GROUP/*", [0, 0, 1]), ("*/GROUP_*", [0, 1, 0]), ("*_GROUP.png", [0, 0, 1])],
)
def test_patterns(rule: str, groups: list[int]) -> None:
    assert image_groups.numbers(rule, NAMES).tolist() == groups


@pytest.mark.parametrize("rule", ["GROUP_?.png", "GROUP_[0-9].png", "GROUP.jpg"])  # only * stands for any characters
def test_an_image_without_a_group_is_reported(rule: str) -> None:
    with pytest.raises(InputError, match=r"no group for 3 images: a/anna_0\.png"):
        image_groups.numbers(rule, NAMES)


@pytest.mark.parametrize("rule", ["*.png", "GROUP_GROUP.png", "GROUP" + "_*" * 4])
def test_a_pattern_has_one_group(rule: str) -> None:
    with pytest.raises(InputError, match="is neither a CSV file nor a pattern"):
        image_groups.numbers(rule, NAMES)


def test_whole_groups_are_drawn_as_test_images_and_held_out(folder: Path) -> None:
    data = own.load(settings("folder", folder, groups="GROUP_*.png"))
    assert data.train_groups is not None
    assert data.test_groups is not None
    assert (len(data.test_groups), len(data.train_groups)) == (8, 32)  # a fifth: one writer of five
    assert not set(data.test_groups) & set(data.train_groups)
    assert own.facts(data).has_groups
    cached = own.load(settings("folder", folder, groups="GROUP_*.png"))
    assert all(
        np.array_equal(getattr(cached, name), getattr(data, name)) for name in (*image_cache.ARRAYS, *image_cache.GROUPS)
    )
    without = own.load(settings("folder", folder))
    assert without.train_groups is None
    assert without.sha256 != data.sha256


def test_groups_from_a_file(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "groups.csv"
    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*.png"))]
    file.write_text("\ufeff" + "".join(f"{name}, {index % 3}\n" for index, name in enumerate(names)), encoding="utf-8")
    first = own.load(settings("folder", folder, groups=str(file)))
    assert first.train_groups is not None
    assert set(first.train_groups) | set(first.test_groups) == {0, 1, 2}  # type: ignore[arg-type]
    file.write_text("".join(f"{name},{index % 2}\n" for index, name in enumerate(names)))
    second = own.load(settings("folder", folder, groups=str(file)))  # the file has changed
    assert second.train_groups is not None
    assert len(set(second.train_groups)) == 1
    file.write_text("".join(f"{name},x\n" for name in names[1:]))
    with pytest.raises(InputError, match=f"no group for 1 image: {names[0]}"):
        own.load(settings("folder", folder, groups=str(file)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a/anna_0.png\n", "line 1 has not two columns"),
        (b"\xff\xfe\n", "is not a CSV file in UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used(content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "groups.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        image_groups.numbers(str(tmp_path / "groups.csv"), NAMES)


def test_a_group_in_training_and_test_is_reported(folder: Path, tmp_path: Path) -> None:
    for part in ("train", "test"):
        (tmp_path / "parts" / part).mkdir(parents=True)
        for name in ("a", "b"):
            (tmp_path / "parts" / part / name).symlink_to(folder / name)
    data = own.load(settings("folder", tmp_path / "parts", groups="GROUP_*.png"))
    assert any("5 of 5 groups have training images and test images" in text for text in data.warnings)


def test_a_single_group_of_test_images_is_reported() -> None:
    parts = [Part(np.zeros((2, 4, 4, 1), np.uint8), np.arange(2), groups=np.array(groups)) for groups in ([0, 1], [2, 2])]
    assert doubtful_groups(*parts) == [f"all test images {ONE_GROUP}"]
    assert doubtful_groups(*reversed(parts)) == []
