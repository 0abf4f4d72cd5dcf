"""Find a sheet of light paper on a dark table, so that the table is neither paper nor ink."""

import numpy as np
from PIL import Image
from scipy import ndimage

REDUCED = 128  # pixels of the longer side of the picture in which a sheet is looked for
SMALLEST = 64  # pixels of the shorter side of a picture that may have one: a bold digit is a light area, too
COVERED = 0.25  # of the picture, at least
STRAIGHT = 0.85  # of the smallest rectangle around it, however turned, is covered by a sheet; by a bold 0, less
TURNS = np.radians(np.arange(0, 90, 3))  # of rectangles that are tried
TABLE = 0.7  # of the border of the picture is table
MARGIN = 2  # reduced pixels at the edge of a sheet that are left out: its shadow


def find_sheet(grey: np.ndarray) -> np.ndarray | None:
    """Return the pixels of a sheet on a darker table, bool (height, width); None if the whole picture is paper.

    Args:
        grey: float32 (height, width), from 0 for black to 1.
    """
    height, width = grey.shape
    if min(height, width) < SMALLEST:
        return None
    small = np.asarray(Image.fromarray(grey).resize(reduced_size(height, width, REDUCED), Image.Resampling.BOX))
    light = small > _otsu(small)
    border = np.concatenate([light[0], light[-1], light[:, 0], light[:, -1]])
    if 1 - border.mean() < TABLE:
        return None
    labels, count = ndimage.label(light)
    if not count:
        return None
    largest = int(np.bincount(labels.ravel())[1:].argmax()) + 1
    sheet = ndimage.binary_fill_holes(labels == largest)
    if sheet.mean() < COVERED or sheet.sum() < STRAIGHT * _smallest_rectangle(sheet):
        return None
    inner = ndimage.binary_erosion(sheet, iterations=MARGIN)
    wide = Image.fromarray(inner).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(wide, bool)


def reduced_size(height: int, width: int, most: int) -> tuple[int, int]:
    """Return the width and height of a picture whose longer side is reduced to `most` pixels."""
    factor = max(1.0, max(height, width) / most)
    return max(1, round(width / factor)), max(1, round(height / factor))


def _smallest_rectangle(mask: np.ndarray) -> float:
    """Return the area of the smallest rectangle around a mask, in pixels."""
    rows, columns = np.nonzero(mask)
    along = np.cos(TURNS)[:, None] * columns + np.sin(TURNS)[:, None] * rows
    across = np.cos(TURNS)[:, None] * rows - np.sin(TURNS)[:, None] * columns
    return float(((np.ptp(along, axis=1) + 1) * (np.ptp(across, axis=1) + 1)).min())


def _otsu(values: np.ndarray) -> float:
    """Return the threshold with the largest variance between both sides (Otsu 1979, IEEE Trans. SMC 9:62)."""
    counts, edges = np.histogram(values, 64)
    centers = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum()
    above = below[-1] - below
    sums = (counts * centers).cumsum()
    means = sums / np.maximum(below, 1), (sums[-1] - sums) / np.maximum(above, 1)
    return float(edges[1:][int((below * above * (means[0] - means[1]) ** 2).argmax())])
