import numpy as np
import pytest

from mnist_exp import datasets
from mnist_exp.prediction.normalization import is_flat, normalize


def test_the_images_of_mnist_stay_as_they_are() -> None:
    images = datasets.load("mnist").test_images[:1000, ..., 0]
    assert all(np.array_equal(normalize(image), image) for image in images)


def test_no_digit_of_mnist_is_flat_but_a_bar_is() -> None:
    digits = datasets.load("mnist")
    flattest = [digits.train_images[index, ..., 0] for index in (59734, 42337, 42503, 56939, 45099)]
    assert not any(is_flat(image) for image in [*flattest, *digits.test_images[:1000, ..., 0], np.zeros((28, 28), np.uint8)])
    assert is_flat(normalize(np.ones((10, 40), bool)))
    assert not is_flat(normalize(np.ones((40, 10), bool)))  # a 1


@pytest.mark.parametrize("scale", [2, 3, 5])
def test_the_size_and_the_place_of_the_ink_do_not_matter(scale: int) -> None:
    image = datasets.load("mnist").test_images[7, ..., 0]
    large = np.zeros((400, 300), np.uint8)
    large[200 : 200 + 28 * scale, 11 : 11 + 28 * scale] = image.repeat(scale, axis=0).repeat(scale, axis=1)
    assert np.array_equal(normalize(large), image)


def test_a_side_that_the_grid_does_not_divide_is_averaged_over_areas() -> None:
    stroke = normalize(np.ones((30, 3), bool))  # 30 pixels → 20 cells of 1.5; 3 pixels → 2 cells, beside the middle by half
    assert stroke.any(axis=1).sum() == 20
    # the square begins (30 - 3) // 2 = 13 pixels left of the stroke, which so covers 8.67 to 10.67 of 20 cells
    assert stroke[stroke.any(axis=1)][:, stroke.any(axis=0)].tolist() == [[85, 255, 170]] * 20


def test_a_dot_is_not_enlarged_to_a_blot() -> None:
    assert np.flatnonzero(normalize(np.ones((2, 2), bool)).any(axis=0)).tolist() == [12, 13, 14, 15]


def test_no_ink_gives_an_empty_image() -> None:
    assert not normalize(np.zeros((5, 9), np.uint8)).any()
