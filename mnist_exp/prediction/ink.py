"""Find the ink of a picture: how dark each pixel is against the paper around it, without ruled lines, frames and noise."""

import numpy as np
from PIL import Image
from scipy import ndimage

REDUCED = 96  # pixels of the longer side of the picture in which the paper is estimated
WINDOW = 24  # pixels of the reduced picture: a stroke is thinner than that
LIGHT = 80  # percentile of a window that is paper
FAINT = 0.08  # of the light of the paper: ink takes more
NOISE = 4.0  # standard deviations of the paper: ink takes more
BORDER = 0.03  # of a side: the frame of the picture that shows whether the paper is dark
SMALL = 64  # pixels of the longer side of a picture that is not smoothed


def extract_ink(pixels: np.ndarray) -> np.ndarray:
    """Return the ink of a picture.

    Args:
        pixels: uint8 (height, width, 3).

    Returns:
        float32 (height, width): 0 where there is no ink, otherwise the share of the light that it takes from the paper.
    """
    light = pixels.astype(np.float32) / 255
    if (light == light[..., :1]).all():
        light = light[..., :1]  # grey
    if _is_dark(light.mean(axis=2)):
        light = 1 - light
    contrast = _contrast(light)
    smooth = contrast if max(contrast.shape) <= SMALL else ndimage.gaussian_filter(contrast, 0.7)
    weak = smooth > _threshold(smooth)
    return np.where(weak, contrast.clip(0, 1), 0).astype(np.float32)


def _is_dark(grey: np.ndarray) -> bool:
    """Return whether the border of a picture, which is paper, is nearer to its darkest pixels than to its lightest."""
    height, width = grey.shape
    rows, columns = max(1, round(BORDER * height)), max(1, round(BORDER * width))
    inner = np.zeros(grey.shape, bool)
    inner[rows : height - rows, columns : width - columns] = True
    paper, (dark, light) = float(np.median(grey[~inner])), np.percentile(grey, (0.5, 99.5))
    return bool(paper < (dark + light) / 2)


def _contrast(light: np.ndarray) -> np.ndarray:
    """Return which share of the paper's light each pixel lacks, float32 (height, width), of its darkest channel.

    The paper is first the light part of each window. Then it is the mean of the pixels around that are not ink, which
    follows shadows more closely.
    """
    height, width, channels = light.shape
    factor = max(1.0, max(height, width) / REDUCED)
    size = max(1, round(width / factor)), max(1, round(height / factor))
    result = np.zeros((height, width), np.float32)
    for channel in range(channels):
        plane = np.ascontiguousarray(light[..., channel])
        small = _resize(plane, size)
        paper = ndimage.gaussian_filter(ndimage.percentile_filter(small, LIGHT, WINDOW, mode="nearest"), WINDOW / 4)
        rough = 1 - plane / np.maximum(_resize(paper, (width, height)), 1 / 255)
        blank = (rough < max(FAINT, NOISE * _deviation(rough))).astype(np.float32)
        share = _resize(blank, size)
        weight = ndimage.gaussian_filter(share, 2)
        mean = ndimage.gaussian_filter(_resize(plane * blank, size), 2)
        known = weight > 0.05
        paper = np.where(known, mean / np.maximum(weight, 0.05), paper)
        result = np.maximum(result, 1 - plane / np.maximum(_resize(paper, (width, height)), 1 / 255))
    return result


def _threshold(contrast: np.ndarray) -> float:
    return max(FAINT, NOISE * _deviation(contrast))


def _deviation(values: np.ndarray) -> float:
    """Return a robust standard deviation of the paper: most pixels are paper."""
    sample = values.ravel()[:: max(1, values.size // 100_000)]
    return 1.4826 * float(np.median(np.abs(sample - np.median(sample))))


def _resize(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize float32 (height, width) to (width, height)."""
    if plane.shape == size[::-1]:
        return plane
    method = Image.Resampling.BOX if size[0] < plane.shape[1] else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(plane.astype(np.float32)).resize(size, method))
