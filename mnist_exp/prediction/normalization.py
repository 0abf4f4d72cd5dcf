"""One digit's ink → an image of 28 × 28 pixels in the form of MNIST's.

MNIST's digits fill a square of 20 × 20 pixels, and their centre of mass is in the middle of the image (LeCun et al. 1998,
"Gradient-Based Learning Applied to Document Recognition", §III.A; details in Yadav and Bottou 2019, "Cold Case: The Lost
MNIST Digits"). A network that was trained on them gets most other pictures wrong without this step.

All numbers are integers below 2^53. So the drawing page, whose script is a port of this module, gives the same images.
"""

import numpy as np

SIDE = 28  # pixels of the image
INNER = 20  # pixels of the square that the ink fills
MIN_SQUARE = 10  # pixels: a smaller square would enlarge a dot to a blot
MAX_INK = 255
FLAT = 0.35  # of its width is the height of a bar; the flattest of MNIST's 70,000 digits have 0.4


def normalize(ink: np.ndarray) -> np.ndarray:
    """Normalise the ink of one digit to the form of MNIST's images; these stay as they are.

    The square around the box of the ink is averaged over areas to 20 × 20 pixels, which are placed so that the centre of
    mass is in pixel (14, 14).

    Args:
        ink: uint8 (height, width), each side at most 8192: 0 for paper to 255 for ink; or bool.

    Returns:
        uint8 (28, 28); 0 everywhere if there is no ink.
    """
    ink = ink.astype(np.uint8) * np.uint8(MAX_INK) if ink.dtype == bool else ink
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    image = np.zeros((SIDE, SIDE), np.uint8)
    if not len(rows):
        return image
    box = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float64)
    square = max(*box.shape, MIN_SQUARE)
    down, across = (_overlaps(length, square) for length in box.shape)
    area = square * square
    inner = ((2 * (down @ box @ across.T) + area) // (2 * area)).astype(np.int64)  # rounded means; (INNER, INNER)
    top, left = (_offset(inner.sum(axis=1 - axis)) for axis in (0, 1))
    first_row, last_row = max(top, 0), min(top + INNER, SIDE)  # ink that is far from its centre may be cut off
    first_column, last_column = max(left, 0), min(left + INNER, SIDE)
    visible = inner[first_row - top : last_row - top, first_column - left : last_column - left]
    image[first_row:last_row, first_column:last_column] = visible
    return image


def is_flat(image: np.ndarray) -> bool:
    """Return whether the ink of an image, uint8 (height, width), is flat like a minus sign, as no digit is."""
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return len(rows) > 0 and bool(rows[-1] - rows[0] + 1 < FLAT * (columns[-1] - columns[0] + 1))


def _overlaps(length: int, square: int) -> np.ndarray:
    """Return how much of each of the 20 cells is covered by each pixel of a centred side, float64 (20, length).

    Cells and pixels are measured in 1/20 of a pixel: a cell takes `square` of them, and a pixel 20. So a mean over a cell is
    a sum over both axes, divided by square².
    """
    start = (square - length) // 2
    pixels = INNER * (start + np.arange(length, dtype=np.int64))
    cells = square * np.arange(INNER, dtype=np.int64)[:, None]
    covered = np.minimum(cells + square, pixels + INNER) - np.maximum(cells, pixels)
    return covered.clip(0).astype(np.float64)


def _offset(sums: np.ndarray) -> int:
    """Return the place of the first of 20 rows, or columns, from the ink in each: so that the centre of mass is in pixel 14.

    Pixel 14 reaches from 14 to 15, so the centre of mass is half a pixel beyond the middle of the image, on average.
    """
    total = int(sums.sum())
    twice = int((sums * (2 * np.arange(INNER) + 1)).sum())  # 2 · total · centre of mass, which is of the pixels' centres
    return -((twice - SIDE * total) // (2 * total)) if total else (SIDE - INNER) // 2
