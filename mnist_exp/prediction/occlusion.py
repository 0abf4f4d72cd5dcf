"""Where a network looks: how much the probability of its answer falls if a small square of the image is erased.

Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", §4.2.
"""

from collections.abc import Callable

import numpy as np

SQUARES = 7  # squares that are erased are a seventh of a side
STEPS = 14  # places of the square along a side


def occlusion(predict: Callable[[np.ndarray], np.ndarray], image: np.ndarray) -> np.ndarray:
    """Return how much each pixel matters for the most probable class of an image.

    Args:
        predict: from images, uint8 (n, height, width, channels), to probabilities (n, classes).
        image: uint8 (height, width, channels).

    Returns:
        float64 (height, width): the mean fall of the probability over the squares that erase a pixel; negative: it rises.
    """
    height, width = image.shape[:2]
    places = [(row, column) for row in _starts(height) for column in _starts(width)]
    sides = _side(height), _side(width)
    erased = np.repeat(image[None], len(places) + 1, axis=0)
    for index, (row, column) in enumerate(places):
        erased[index, row : row + sides[0], column : column + sides[1]] = 0
    changed = np.flatnonzero([not np.array_equal(one, image) for one in erased])  # blank paper cannot matter
    probabilities = predict(erased[[*changed, len(places)]])
    answer = int(probabilities[-1].argmax())
    falls, counts = np.zeros((height, width)), np.zeros((height, width))
    fall = dict(zip(changed.tolist(), (probabilities[-1, answer] - probabilities[:-1, answer]).tolist(), strict=True))
    for index, (row, column) in enumerate(places):
        square = np.s_[row : row + sides[0], column : column + sides[1]]
        falls[square] += fall.get(index, 0.0)
        counts[square] += 1
    return falls / np.maximum(counts, 1)


def _side(length: int) -> int:
    return max(1, length // SQUARES)


def _starts(length: int) -> list[int]:
    return sorted({round(start) for start in np.linspace(0, length - _side(length), min(STEPS, length))})
