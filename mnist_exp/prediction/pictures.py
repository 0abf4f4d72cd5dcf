"""Photos, scans and screenshots as arrays: upright, opaque, of a limited size."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from mnist_exp.datasets.pictures import UnreadableError, flatten, opened, probe

MAX_SIDE = 2000  # pixels; larger pictures are reduced: digits of 20 pixels remain in a photo of a whole page
WHITE, BLACK = 255, 0


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as it is read."""

    pixels: np.ndarray  # uint8 (height, width, 3)
    size: tuple[int, int]  # height and width of the file's picture, upright; `pixels` may be smaller


def read(source: str | bytes) -> Picture:
    """Read an image file, by its path or from its content.

    Raises:
        UnreadableError: it cannot be used.
    """
    size = probe(source).size
    with opened(source) as image:
        image.draft(None, (MAX_SIDE, MAX_SIDE))  # the decoder of JPEG reduces by itself, to this size at least
        ImageOps.exif_transpose(image, in_place=True)
        return Picture(np.asarray(_reduced(image)), size)


def _reduced(stored: Image.Image) -> Image.Image:
    """Return an image as opaque RGB of a limited size."""
    image = stored
    if not _is_deep(stored):  # first, since the other steps take many times the memory of the image
        image = stored.convert("RGBA" if stored.has_transparency_data else "RGB")
        _reduce(image)
    flat = flatten(image, _paper_behind(image)).convert("RGB")
    _reduce(flat)
    return flat


def from_array(array: np.ndarray) -> Picture:
    """Return an array as a picture.

    Args:
        array: uint8 (height, width), (height, width, 1) or (height, width, 3), at least one pixel.

    Raises:
        UnreadableError: it has another shape or type.
    """
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or not array.size or array.shape[2:] not in ((), (1,), (3,)):
        raise UnreadableError(f"is an array {array.dtype} of shape {array.shape}, allowed: uint8 (height, width[, 1 or 3])")
    grey = array[..., None] if array.ndim == 2 else array
    image = Image.fromarray(np.ascontiguousarray(np.broadcast_to(grey, (*grey.shape[:2], 3))))
    size = image.height, image.width
    _reduce(image)
    return Picture(np.asarray(image), size)


def _reduce(image: Image.Image) -> None:
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BOX)


def _is_deep(image: Image.Image) -> bool:
    """Return whether an image has 16 bits for each pixel."""
    return image.mode.startswith("I;16")


def _paper_behind(image: Image.Image) -> int:
    """Return the grey value that transparent pixels get: black if what is drawn is light, else white."""
    if _is_deep(image) or not image.has_transparency_data:
        return WHITE
    grey, alpha = (np.asarray(channel, np.float64) for channel in image.convert("RGBA").convert("LA").split())
    drawn = alpha.sum()
    return BLACK if drawn and (grey * alpha).sum() / drawn > WHITE / 2 else WHITE
