"""Find ruled lines in ink: long and thin, straight across the paper; strokes that cross them are not part of them."""

import numpy as np
from scipy import ndimage

SMALLEST = 64  # pixels of the shorter side of a picture that may have rules
COVERED = 0.45  # of a side: a rule covers at least this share, besides what crosses it
EXTENT = 0.7  # of a side: a rule that does not reach the edge has at least this length
EDGE = 0.03  # of a side: how near to the edge a rule ends that reaches it
THIN = 80  # times as long as it is thick
DARKER = 1.6  # times as dark as the rule: a stroke of a pen that runs along it
SLOPES = np.linspace(-0.05, 0.05, 41)  # that are tried: up to 3 degrees


def find_rules(darkness: np.ndarray, threshold: float) -> np.ndarray:
    """Return the pixels of horizontal and vertical rules, bool (height, width).

    Args:
        darkness: float32 (height, width).
        threshold: ink is darker.
    """
    if min(darkness.shape) < SMALLEST:
        return np.zeros(darkness.shape, bool)
    across = _horizontal(darkness, threshold)
    down = _horizontal(np.ascontiguousarray(darkness.T), threshold).T
    return np.asarray(across | down | _crossings(darkness > threshold, across, down))


def _crossings(mask: np.ndarray, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Return the dots that remain where horizontal and vertical rules cross, bool (height, width); strokes stay."""
    if not (across.any() and down.any()):
        return np.zeros(mask.shape, bool)
    near = _continued(across, 1) & _continued(down, 0)
    labels, count = ndimage.label(mask & ~(across | down), np.ones((3, 3)))
    is_dot = np.ones(count + 1, bool)
    is_dot[labels[~near]] = False  # the background, too
    return np.asarray(is_dot[labels])


def _continued(rules: np.ndarray, axis: int) -> np.ndarray:
    """Return rules with their gaps along an axis closed, and one pixel thicker on each side."""
    gap = 2 * _thickness(rules.shape[axis]) + 3
    closed = ndimage.minimum_filter1d(ndimage.maximum_filter1d(rules.view(np.uint8), gap, axis), gap, axis)
    return np.asarray(ndimage.maximum_filter1d(closed, 3, 1 - axis), bool)


def _thickness(length: int) -> int:
    """Return how many pixels thick a rule of a length is at most."""
    return max(2, round(length / THIN))


def _horizontal(darkness: np.ndarray, threshold: float) -> np.ndarray:
    """Return the pixels of horizontal rules, bool (height, width)."""
    mask = darkness > threshold
    height, width = mask.shape
    thin = mask & ~_in_columns_longer_than(_thickness(width) + 1, mask)
    rows, columns = np.nonzero(thin)
    rules = np.zeros(mask.shape, bool)
    if not len(rows):
        return rules
    margin = int(np.ceil(SLOPES.max() * width)) + 1  # a row of a sloping rule is counted where it crosses the left edge
    levels = [np.rint(rows - slope * columns).astype(np.int64) + margin for slope in SLOPES]
    counts = [np.bincount(level, minlength=height + 2 * margin) for level in levels]
    best = int(np.argmax([np.square(count.astype(np.float64)).sum() for count in counts]))
    level, count = levels[best], counts[best]
    bands, number = ndimage.label(ndimage.maximum_filter1d((count >= COVERED * width).view(np.uint8), 3))
    for band in range(1, number + 1):
        inside = bands[level] == band
        first, last = columns[inside].min(), columns[inside].max()
        reaches = first <= EDGE * width or last >= (1 - EDGE) * width
        if reaches or last - first >= EXTENT * width:
            values = darkness[rows, columns]
            middle = inside & (count[level] >= COVERED * width)
            inside &= values <= DARKER * np.percentile(values[middle], 75)
            rules[rows[inside], columns[inside]] = True
    return rules


def _in_columns_longer_than(length: int, mask: np.ndarray) -> np.ndarray:
    """Return the pixels in vertical runs of more than `length` pixels."""
    size, origin = length + 1, -1 if length % 2 else 0  # a window with an even side is shifted back
    eroded = ndimage.minimum_filter1d(mask.view(np.uint8), size, axis=0, mode="constant")
    return np.asarray(ndimage.maximum_filter1d(eroded, size, axis=0, mode="constant", origin=origin), bool)
