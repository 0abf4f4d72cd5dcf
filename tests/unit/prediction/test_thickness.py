import numpy as np
import pytest
from PIL import Image, ImageDraw

from mnist_exp import datasets
from mnist_exp.prediction.normalization import normalize
from mnist_exp.prediction.thickness import stroke_width, thicken


def seven(width: int) -> np.ndarray:
    image = Image.new("L", (200, 240))
    ImageDraw.Draw(image).line([(30, 30), (170, 30), (80, 210)], fill=255, width=width, joint="curve")
    return np.asarray(image)


@pytest.mark.parametrize("width", [1, 3, 6])
def test_thin_strokes_become_as_thick_as_usual(width: int) -> None:
    assert normalize(seven(width)).max() < 255
    thick = thicken(seven(width))
    assert stroke_width(thick) == pytest.approx(2.6 * (181 + width) / 20, rel=0.15)
    assert normalize(thick).max() == 255


@pytest.mark.parametrize("width", [28, 40])
def test_thicker_strokes_stay(width: int) -> None:
    assert thicken(seven(width)) is thicken(ink := seven(width)) or np.array_equal(thicken(ink), ink)


def test_the_strokes_of_mnist_stay() -> None:
    images = [Image.fromarray(image).resize((112, 112)) for image in datasets.load("mnist").test_images[:300, ..., 0]]
    changed = sum(thicken(np.asarray(image)).shape != (112, 112) for image in images)
    assert changed <= 6


def test_no_ink() -> None:
    assert not thicken(np.zeros((5, 5), np.uint8)).any()
