"""Photos, scans and screenshots as arrays: upright, opaque, of a limited size."""

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from mnist_exp.datasets.pictures import MAX_PIXELS, UnreadableError, flatten, opened

MAX_SIDE = 2000  # pixels; larger pictures are reduced: digits of 20 pixels remain in a photo of a whole page
WHITE, BLACK = 255, 0


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as it is read."""

    pixels: np.ndarray  # uint8 (height, width, 3)
    scale: float  # sides of the file's picture, upright, in sides of `pixels`; at least 1


def read(source: str | BinaryIO) -> Picture:
    """Read an image file, by its path or from its content.

    Raises:
        UnreadableError: it cannot be used.
    """
    with opened(source) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise UnreadableError(f"has {height:,}×{width:,} pixels, more than {MAX_PIXELS:,}")
        if image.mode in ("I", "F"):
            raise UnreadableError("has 32 bits for each pixel, allowed are 8 and 16")
        image.draft(None, (MAX_SIDE, MAX_SIDE))  # the decoder of JPEG reduces by itself, to this size at least
        ImageOps.exif_transpose(image, in_place=True)
        turned = height != width and (image.width < image.height) != (width < height)
        flat = flatten(image, _paper_behind(image)).convert("RGB")
        flat.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BOX)
        return Picture(np.asarray(flat), max(height if turned else width, 1) / flat.width)


def from_array(array: np.ndarray) -> Picture:
    """Return an array as a picture.

    Args:
        array: uint8 (height, width), (height, width, 1) or (height, width, 3), at least one pixel.
    """
    grey = array[..., None] if array.ndim == 2 else array
    image = Image.fromarray(np.ascontiguousarray(np.broadcast_to(grey, (*grey.shape[:2], 3))))
    width = image.width
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BOX)
    return Picture(np.asarray(image), width / image.width)


def _paper_behind(image: Image.Image) -> int:
    """Return the grey value that transparent pixels get: black if what is drawn is light, else white."""
    if image.mode.startswith("I;16") or not image.has_transparency_data:
        return WHITE
    grey, alpha = (np.asarray(channel, np.float64) for channel in image.convert("RGBA").convert("LA").split())
    drawn = alpha.sum()
    return BLACK if drawn and (grey * alpha).sum() / drawn > WHITE / 2 else WHITE
