"""Graphics made of characters: images of half-block characters, curves of braille characters."""

from collections.abc import Sequence

import numpy as np
from rich.cells import set_cell_size
from rich.color import Color
from rich.style import Style
from rich.text import Text

from mnist_exp.terminal import messages

BRAILLE = 0x2800  # the character without dots; each of its eight dots, in four rows of two, is a bit
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])

MAX_WIDTH = 32  # characters of an image: larger ones are reduced
ROWS = 2  # lines of images that a command draws; more would push its tables out of the window


def images_per_row(image_width: int, width: int) -> int:
    """Return how many images of that many pixels fit in a line of a terminal."""
    return max(1, width // (_drawn_width(image_width) + 1))


def _drawn_width(image_width: int) -> int:
    return -(-image_width // -(-image_width // MAX_WIDTH))


def _reduced(images: np.ndarray) -> np.ndarray:
    """Return images of at most MAX_WIDTH columns, each pixel the mean of a square, the last ones of a part of it."""
    factor = -(-images.shape[2] // MAX_WIDTH)
    if factor == 1:
        return images
    count, height, width, channels = images.shape
    rows, columns = -(-height // factor), -(-width // factor)
    padding = ((0, 0), (0, rows * factor - height), (0, columns * factor - width), (0, 0))
    squares = np.pad(images, padding, mode="edge").reshape(count, rows, factor, columns, factor, channels)
    return np.asarray(squares.mean(axis=(2, 4)).round(), np.uint8)


def draw_images(images: np.ndarray, titles: Sequence[str], width: int) -> Text:
    """Return images under their titles: a character shows the upper pixel as foreground and the lower one as background.

    Args:
        images: uint8 (n, height, width, channels); 1 channel is grey, from 0 for paper to
            255 for ink, 3 channels are red, green and blue.
            Images of more than 32 columns are reduced.
        titles: n of them, cut off at the width of an image.
        width: of the terminal, in characters.
    """
    images = _reduced(images)
    pixels = np.broadcast_to(255 - images if images.shape[-1] == 1 else images, (*images.shape[:3], 3))
    across = images.shape[2] + 1
    per_row = max(1, width // across)
    text = Text()
    for start in range(0, len(images), per_row):
        row = pixels[start : start + per_row]
        named = (f"{set_cell_size(messages.sanitize(one), across - 1)} " for one in titles[start : start + per_row])
        text.append("".join(named) + "\n")
        for upper in range(0, images.shape[1], 2):
            for image in row:
                is_last = upper + 1 == images.shape[1]  # without a lower pixel
                lower = [None] * len(image[upper]) if is_last else [_color(pixel) for pixel in image[upper + 1]]
                for top, bottom in zip(image[upper], lower, strict=True):
                    text.append("▀", Style(color=_color(top), bgcolor=bottom))
                text.append(" ")
            text.append("\n")
    return text


def draw_curve(values: np.ndarray, length: int, span: tuple[float, float], width: int, height: int) -> list[str]:
    """Return a line through equidistant values, as `height` rows of `width` characters.

    Args:
        values: float64 (n,), n ≥ 1, finite.
        length: the number of values that fill the width; the same for curves that are compared.
        span: the values at the bottom and at the top.
        width: in characters of two dots.
        height: in characters of four dots.
    """
    low, high = span
    columns, rows = 2 * width, 4 * height
    at = np.linspace(0, columns - 1, length)[: len(values)]
    drawn = np.arange(int(at[0]), int(at[-1]) + 1)
    share = (high - np.interp(drawn, at, values)) / (high - low) if high > low else np.full(len(drawn), 0.5)
    levels = np.clip(np.rint(share * (rows - 1)).astype(int), 0, rows - 1)
    dots = np.zeros((rows, columns), bool)
    for column, before, level in zip(drawn, [levels[0], *levels[:-1]], levels, strict=True):
        dots[min(before + 1, level) : max(before, level + 1), column] = True  # connected to the column before
    codes = (dots.reshape(height, 4, width, 2) * DOTS[:, np.newaxis, :]).sum(axis=(1, 3))
    return ["".join(chr(BRAILLE + code) if code else " " for code in row) for row in codes]


def _color(pixel: np.ndarray) -> Color:
    return Color.from_rgb(*map(float, pixel))
