"""Find the ink of a picture: how dark each pixel is against the paper around it, without ruled lines, frames and noise."""

import numpy as np
from PIL import Image
from scipy import ndimage

from mnist_exp.prediction.paper import find_sheet, reduced_size
from mnist_exp.prediction.rules import find_rules

REDUCED = 48  # pixels of the longer side of the picture in which the paper is estimated
WINDOW = 24  # pixels of the reduced picture: a stroke is thinner than that
LIGHT = 80  # percentile of a window that is paper
FAINT = 0.08  # of the light of the paper: ink takes more
NOISE = 4.0  # standard deviations of the paper: ink takes more
SURE = 1.7  # times the threshold: some pixel of each stroke takes more
PALE_RULE = 0.75  # times the threshold: rules are often pale, and recognised by their length
CLEAR = 0.45  # of the light of the paper: what takes more is ink, even where the paper is only roughly known
BLANK = 0.25  # of a pixel of the reduced picture must be paper
SMOOTH = 2.0  # pixels of the reduced picture: the standard deviation of the mean
EDGE = 0.75  # times the usual darkness of ink: the edge of a shadow is paler
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
    sheet = find_sheet(light.mean(axis=2))
    if sheet is None:
        return _extract(light)
    (place,) = ndimage.find_objects(sheet.astype(np.int8))
    ink = np.zeros(sheet.shape, np.float32)
    ink[place] = np.where(sheet[place], _extract(_continued(light[place], sheet[place])), 0)
    return ink


def _continued(light: np.ndarray, sheet: np.ndarray) -> np.ndarray:
    """Return the light of a sheet, continued beyond its edges with that of the nearest paper."""
    height, width = sheet.shape
    size = reduced_size(height, width, REDUCED)
    known = _resize(sheet.astype(np.float32), size) > 0.99
    rows, columns = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    filled = [_resize(_resize(plane, size)[rows, columns], (width, height)) for plane in np.moveaxis(light, 2, 0)]
    return np.where(sheet[..., None], light, np.stack(filled, axis=2)).astype(np.float32)


def _extract(light: np.ndarray) -> np.ndarray:
    """Return the ink of a picture that is paper up to its border, float32 (height, width), from its light, 0 to 1."""
    if _is_dark(light.mean(axis=2)):
        light = 1 - light
    contrast = _contrast(light)
    smooth = contrast if max(contrast.shape) <= SMALL else ndimage.gaussian_filter(contrast, 0.7)
    threshold = _threshold(smooth)
    ink = (smooth > threshold) & ~find_rules(smooth, PALE_RULE * threshold)
    labels, count = ndimage.label(ink, np.ones((3, 3)))
    clear = np.zeros(count + 1, bool)  # parts that reach the higher threshold; others are noise of the paper
    clear[labels[(smooth > SURE * threshold) & ink]] = True
    clear[0] = False
    labels = np.where(clear[labels], labels, 0)
    labels[_edge_of_shadow(contrast, labels)] = 0
    return np.where(labels > 0, contrast.clip(0, 1), 0).astype(np.float32)


def _edge_of_shadow(contrast: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the pixels of the sharp edge of a shadow, bool (height, width), from the parts of the ink.

    It reaches from one side of the picture to the opposite one, and is paler than other ink. Digits on it are not, and stay.
    """
    places = enumerate(ndimage.find_objects(labels), 1)
    reaching = [part for part, place in places if place is not None and _reaches_across(place, labels.shape)]
    across = np.isin(labels, reaching)
    other = contrast[(labels > 0) & ~across]
    return across & (contrast < EDGE * np.median(other)) if reaching and len(other) else np.zeros(labels.shape, bool)


def _reaches_across(place: tuple[slice, slice], shape: tuple[int, ...]) -> bool:
    return any(side.start == 0 and side.stop == length for side, length in zip(place, shape, strict=True))


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
    follows shadows more closely: first without clear ink, then without all ink.
    """
    height, width, channels = light.shape
    size = reduced_size(height, width, REDUCED)
    result = np.full((height, width), -np.inf, np.float32)
    for channel in range(channels):
        plane = np.ascontiguousarray(light[..., channel])
        paper = _smooth(ndimage.percentile_filter(_resize(plane, size), LIGHT, WINDOW, mode="nearest"), WINDOW / 4)
        contrast = _against(plane, paper)
        for limit in (CLEAR, None):
            blank = (contrast < (_threshold(contrast) if limit is None else limit)).astype(np.float32)
            share, mean = _resize(blank, size), _resize(plane * blank, size)
            paper = _smooth(np.where(share > BLANK, mean / np.maximum(share, BLANK), paper), SMOOTH)
            contrast = _against(plane, paper)
        result = np.maximum(result, contrast)
    return result


def _against(plane: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """Return which share of the light of the paper, in its reduced size, each pixel lacks."""
    return np.asarray(1 - plane / np.maximum(_resize(paper, plane.shape[::-1]), 1 / 255))


def _smooth(paper: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth a picture that continues beyond its edges as it ends there, so that a slope stays a slope."""
    margin = [(min(round(3 * sigma), side - 1),) * 2 for side in paper.shape]
    wide = np.pad(paper, margin, mode="reflect", reflect_type="odd")
    (top, _), (left, _) = margin
    smooth = ndimage.gaussian_filter(wide, sigma, mode="nearest")
    return np.asarray(smooth[top : top + paper.shape[0], left : left + paper.shape[1]])


def _threshold(contrast: np.ndarray) -> float:
    """Return the contrast above which a pixel is not paper."""
    sample = contrast.ravel()[:: max(1, contrast.size // 100_000)]
    paper = float(np.median(sample))  # most pixels are paper
    deviation = 1.4826 * float(np.median(np.abs(sample - paper)))
    return paper + max(FAINT, NOISE * deviation)


def _resize(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize float32 (height, width) to (width, height)."""
    if plane.shape == size[::-1]:
        return plane
    method = Image.Resampling.BOX if size[0] < plane.shape[1] else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(plane.astype(np.float32)).resize(size, method))
