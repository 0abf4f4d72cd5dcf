"""Cut wide ink, which may be several digits that touch each other, in all plausible ways."""

import itertools
from dataclasses import replace

import numpy as np

from mnist_exp.prediction.segmentation import Piece

WIDE = 0.9  # times as wide as tall: two digits are at least
NARROW = 0.45  # of the height: the width of a digit, at least, when ink is cut into equal parts
MAX_DIGITS = 6
REACH = 0.25  # of the width of a part: how far from equal parts a cut may be


def alternatives(piece: Piece) -> list[list[Piece]]:
    """Return the ways to cut a piece into 2, 3, … digits, at the thinnest places near equal parts; none if it is narrow."""
    height, width = piece.ink.shape
    if not WIDE * height <= width <= MAX_DIGITS * height:  # a line is wider
        return []
    most = min(MAX_DIGITS, int(width / (NARROW * height)))
    return [parts for count in range(2, most + 1) if len(parts := _cut(piece, count)) == count]


def _cut(piece: Piece, count: int) -> list[Piece]:
    width = piece.ink.shape[1]
    ink = piece.ink.sum(axis=0, dtype=np.float64)
    part = width / count
    places = [0]
    for number in range(1, count):
        middle, reach = number * part, max(1, round(REACH * part))
        first, last = max(places[-1] + 1, round(middle) - reach), min(width - 1, round(middle) + reach)
        if first > last:
            return []
        columns = np.arange(first, last + 1)
        # Of equally thin places, the one nearest to equal parts.
        places.append(int(columns[np.lexsort((np.abs(columns - middle), ink[columns]))[0]]))
    edges = [*places, width]
    parts = [_trimmed(piece, left, right) for left, right in itertools.pairwise(edges)]
    return [part for part in parts if part is not None]


def _trimmed(piece: Piece, left: int, right: int) -> Piece | None:
    """Return the ink between two columns, without blank sides; None if there is none."""
    ink = piece.ink[:, left:right]
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not len(rows):
        return None
    inner = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return replace(piece, left=piece.left + left + int(columns[0]), top=piece.top + int(rows[0]), ink=inner)
