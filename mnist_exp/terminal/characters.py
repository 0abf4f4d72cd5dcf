"""Graphics made of characters: images of half-block characters, curves of braille characters."""

from collections.abc import Sequence

import numpy as np
from rich.color import Color
from rich.style import Style
from rich.text import Text

from mnist_exp.terminal import messages

BRAILLE = 0x2800  # the character without dots; each of its eight dots, in four rows of two, is a bit
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])


def draw_images(images: np.ndarray, titles: Sequence[str], width: int) -> Text:
    """Return images under their titles: a character shows the upper pixel as foreground and the lower one as background.

    Args:
        images: uint8 (n, height, width, channels); 1 channel is grey, from 0 for paper to
            255 for ink, 3 channels are red, green and blue.
        titles: n of them, cut off at the width of an image.
        width: of the terminal, in characters.
    """
    pixels = np.broadcast_to(255 - images if images.shape[-1] == 1 else images, (*images.shape[:3], 3))
    across = images.shape[2] + 1
    per_row = max(1, width // across)
    text = Text()
    for start in range(0, len(images), per_row):
        row = pixels[start : start + per_row]
        named = (messages.sanitize(title)[: across - 1].ljust(across) for title in titles[start : start + per_row])
        text.append("".join(named) + "\n")
        for upper in range(0, images.shape[1] - 1, 2):
            for image in row:
                for top, bottom in zip(image[upper], image[upper + 1], strict=True):
                    text.append("▀", Style(color=_color(top), bgcolor=_color(bottom)))
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
