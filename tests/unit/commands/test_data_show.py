"""`mnist-exp data show` of a user's own images: colour, classes with any names, in a terminal and as PNG."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_exp import cli, datasets
from mnist_exp.commands import data as command
from mnist_exp.datasets.dataset import Dataset
from tests import sample_pages, synthetic


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Colour images, all of one class after the other, with ten times as many in the last class."""
    data = synthetic.dataset(synthetic.COLOR, 5, train=100, test=20)
    kept = np.concatenate([np.flatnonzero(data.train_labels == label)[: 20 if label == 4 else 2] for label in range(5)])
    parts = {"x_train": data.train_images[kept], "y_train": data.train_labels[kept]}
    np.savez("photos.npz", **parts, x_test=data.test_images, y_test=data.test_labels)
    return tmp_path / "photos.npz"


def test_own_images_are_drawn_in_colour_from_each_class(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "show", "dataset=npz", "dataset.path=photos.npz", "--count", "10", "--output", "x.png"]) == 0
    out = capsys.readouterr().out
    assert "│ train │     28 │ 32×24×3 │" in out
    assert "5 classes; the smallest has 2 (0) training images, the largest 20 (4); training.class_weights=balanced" in out
    assert out.splitlines()[-1] == "the first 10 training images of the classes in turn: x.png"
    with Image.open("x.png") as picture:
        assert picture.mode == "RGB"
        grid = np.asarray(picture)
    train = np.load(photos)["x_train"]
    for place, index in enumerate((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)):
        row, column = divmod(place, 3)
        top, left = 10 + row * (18 + 96 + 10) + 18, 10 + column * (72 + 10)
        assert np.array_equal(grid[top : top + 96 : 3, left : left + 72 : 3], train[index])


def test_settings_that_do_not_change_the_images_are_refused(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "show", "dataset=npz", f"dataset.path={photos}", "dataset.limit=10"]) == 2
    assert "dataset.limit=10: has no effect on the images" in capsys.readouterr().err


@pytest.mark.parametrize(("classes", "rows"), [(47, 47), (100, command.MAX_CLASSES)])
def test_names_are_escaped_and_many_classes_are_a_short_table(
    classes: int, rows: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = replace(
        synthetic.dataset((4, 4, 1), classes, train=3 * classes), class_names=sample_pages.photos(classes).class_names
    )
    monkeypatch.setattr(datasets, "load", lambda _: data)
    assert cli.main(["data", "show"]) == 0
    out = capsys.readouterr().out
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in out
    assert "<b>&amp;</b>�" in out
    assert f"{classes} classes; each has 3 training images" in out
    assert sum((line.count(" │ ") == 4 and "2.13" in line) or "1.00" in line for line in out.splitlines()) == rows


def test_grey_photos_are_not_inverted(digits: Dataset) -> None:
    images = digits.test_images[:2]
    assert digits.displayed(images) is images  # ink on paper
    shown = replace(digits, ink=False).displayed(images)
    assert shown.shape == (2, 28, 28, 3)
    assert np.array_equal(shown[..., 2], images[..., 0])
