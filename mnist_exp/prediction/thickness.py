"""Draw the strokes of a thin pen as thick as those of MNIST's digits: they would fade when they are averaged over areas."""

import numpy as np
from scipy import ndimage

from mnist_exp.prediction.normalization import INNER, MAX_INK

THIN = 2.0  # of 20 cells: 98 % of MNIST's digits have thicker strokes
USUAL = 2.6  # to which thinner strokes are thickened; a tenth of MNIST's digits have thinner ones
INKED = 100  # value of a pixel that counts as ink


def thicken(ink: np.ndarray) -> np.ndarray:
    """Return ink whose strokes are thick enough; other ink is not changed.

    Args:
        ink: uint8 (height, width), of one digit: 0 for paper to 255 for ink.

    Returns:
        uint8, with a margin if the strokes were too thin.
    """
    width = stroke_width(ink)
    cell = max(np.ptp(np.nonzero(ink), axis=1) + 1) / INNER if width else 0.0
    if not 0 < width < THIN * cell:
        return ink
    radius = (USUAL * cell - width) / 2
    margin = int(np.ceil(radius)) + 1
    wide = np.pad(ink, margin)
    distance = ndimage.distance_transform_edt(wide < INKED)
    edge = (radius + 1 - distance).clip(0, 1)  # the new edge is as soft as a pixel
    return np.asarray(np.maximum(wide, (MAX_INK * edge + 0.5).astype(np.uint8)))


def stroke_width(ink: np.ndarray) -> float:
    """Return the mean width of strokes in pixels, four times the mean distance from ink to paper; 0 without ink."""
    inside = np.pad(ink >= INKED, 1)
    return 4 * float(ndimage.distance_transform_edt(inside)[inside].mean()) if inside.any() else 0.0
