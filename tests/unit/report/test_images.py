"""Images as PNG: exact pixels, grey and in colour, and grids with room for their titles."""

import io

import numpy as np
import pytest
from PIL import Image

from mnist_exp.report import images


def opened(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image)


def noise(count: int, height: int = 28, width: int = 28, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, channels)).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_sprite_sheet_has_every_image_pixel_for_pixel(channels: int) -> None:
    shown = noise(5, 16, 28, channels)
    found = opened(images.sprite_sheet(shown, columns=3))
    assert found.shape[:2] == (2 * 16, 3 * 28)
    for index, image in enumerate(shown):
        top, left = index // 3 * 16, index % 3 * 28
        part = found[top : top + 16, left : left + 28]
        assert np.array_equal(255 - part if channels == 1 else part, image[..., 0] if channels == 1 else image)
    if channels == 1:
        assert (found[16:, 56:] == 255).all()  # as paper


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (3, 3, 1), (10, 10, 1), (11, 10, 2), (50, 10, 5)])
def test_an_image_grid_has_the_size_of_its_content(count: int, columns: int, rows: int) -> None:
    found = opened(images.image_grid(noise(count), ["5"] * count))
    assert found.shape == (rows * (18 + 84 + 10) + 10, columns * (84 + 10) + 10)


def test_an_image_grid_shows_every_image_at_its_place() -> None:
    shown = noise(5)
    found = opened(images.image_grid(shown, list("abcde"), columns=3))
    for index, image in enumerate(shown):
        top, left = 28 + index // 3 * 112, 10 + index % 3 * 94
        assert np.array_equal(255 - found[top : top + 84 : 3, left : left + 84 : 3], image[..., 0])


def test_images_of_any_shape_and_colour() -> None:
    assert opened(images.image_grid(noise(2, 32, 16, 3), ["a", "b"])).shape == (10 + 18 + 96 + 10, 10 + 2 * (48 + 10), 3)
    assert opened(images.image_grid(noise(1, 200, 100), ["a"])).shape == (10 + 18 + 200 + 10, 10 + 100 + 10)


def test_long_titles_do_not_run_into_each_other() -> None:
    blank = np.zeros((3, 28, 28, 1), np.uint8)
    found = opened(images.image_grid(blank, ["T-shirt/top as Pullover  99.9 %"] * 3))
    inked = (found < 255).any(axis=0)
    gaps = np.diff(np.flatnonzero(inked))
    assert (gaps >= images.GAP).sum() == 2  # one between each two titles; those between words are narrower


def test_large_images_become_thumbnails_and_small_ones_stay() -> None:
    assert images.thumbnails(noise(2, 256, 128, 3)).shape == (2, 64, 32, 3)
    assert images.thumbnails(noise(2, 100, 200)).shape == (2, 32, 64, 1)
    assert images.thumbnails(noise(2, 1, 256)).shape == (2, 1, 64, 1)
    small = noise(2, 64, 64)
    assert images.thumbnails(small) is small
    red = np.zeros((1, 256, 256, 3), np.uint8) + np.array([200, 10, 0], np.uint8)
    assert (images.thumbnails(red) == [200, 10, 0]).all()


def test_titles_are_in_ascii_and_cut_off() -> None:
    assert images.plain_names(["café", "ぬ", "x\nぬ\u202e", "T-shirt/top"]) == ["cafe", "class 1", "x???", "T-shirt/top"]
    found = opened(images.image_grid(noise(2), ["a long title\n" * 50, "short ぬ"]))
    assert found.shape[1] <= 10 + 2 * (images.MAX_TITLE + 10)
