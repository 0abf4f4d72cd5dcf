"""`mnist-exp data show augmentation=…` draws the images of a training."""

import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mnist_exp import cli
from mnist_exp.datasets.dataset import Dataset
from tests.conftest import compose
from tests.integration.trainers import trainer_for

SIDE, TITLE, GAP = 3 * 28, 18, 10  # pixels of an image, a title and a space of an image grid
EVERYTHING = (
    "augmentation=affine",
    "augmentation.rotation=30",
    "augmentation.elastic_alpha=20",
    "augmentation.cutout_probability=0.5",
)


def image_at(grid: np.ndarray, row: int, column: int) -> np.ndarray:
    """Return an image of a grid whose titles are narrower than its images, uint8 (28, 28)."""
    top, left = GAP + row * (TITLE + SIDE + GAP) + TITLE, GAP + column * (SIDE + GAP)
    return 255 - grid[top : top + SIDE : 3, left : left + SIDE : 3]


def test_the_grid_has_each_image_and_its_augmented_versions(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["data", "show", *EVERYTHING, "seed=9", "--count", "3"]) == 0
    versions = "each with its augmented versions in steps 0 to 8 of a training with seed 9"
    assert capsys.readouterr().out.splitlines()[-1] == f"the first 3 training images, {versions}: runs/mnist_affine.png"
    with Image.open("runs/mnist_affine.png") as picture:
        grid = np.asarray(picture)
    assert grid.shape == (3 * (TITLE + SIDE + GAP) + GAP, 10 * (SIDE + GAP) + GAP)

    steps = trainer_for(compose("model.units=[4]", *EVERYTHING, "seed=9"), digits).steps
    batch = tf.range(200)  # the size of a training's batch: the draws depend on it
    for step in (0, 1, 8):
        (images,), _ = steps._gradients.examples(batch, tf.constant(step, tf.int64), [slice(0, 200)])
        for row in range(3):
            assert np.array_equal(image_at(grid, row, 1 + step), images[row, ..., 0])
    for row in range(3):
        assert np.array_equal(image_at(grid, row, 0), digits.train_images[row, ..., 0])


def test_the_titles_of_mixed_images_have_their_shares(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    titles: list[str] = []

    def image_grid(images: np.ndarray, texts: list[str], columns: int) -> bytes:
        assert images.shape == (200 * 10, 28, 28, 1)
        assert columns == 10
        titles.extend(texts)
        content = io.BytesIO()
        Image.fromarray(images[0, ..., 0]).save(content, "PNG")
        return content.getvalue()

    monkeypatch.setattr("mnist_exp.report.images.image_grid", image_grid)
    assert cli.main(["data", "show", "augmentation=mixup", "--count", "200", "--output", "mixed.png"]) == 0
    assert "mixed.png" in capsys.readouterr().out
    names = [digits.class_names[label] for label in digits.train_labels[:200]]
    assert titles[::10] == names
    for row, (own, other) in enumerate(zip(names, [*names[1:], names[0]], strict=True)):
        for title in titles[row * 10 + 1 : row * 10 + 10]:
            shares = [part.split(" % ") for part in title.split(", ")]
            assert [name for _, name in shares] == ([own] if shares[0][0] == "100" else [own, other])
            assert sum(int(share) for share, _ in shares) == 100
            assert int(shares[0][0]) >= 50
