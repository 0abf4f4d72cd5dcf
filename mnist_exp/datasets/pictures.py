"""One image file → an array: PNG, JPEG, BMP, GIF, TIFF or WebP, read by Pillow."""

import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mnist_exp.datasets.resizing import fit
from mnist_exp.machine.plain_data import describe, open_regular

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".gif", ".tif", ".tiff", ".webp")
MAX_PIXELS = 2**26  # of a file, before it is resized: a small file can decode to any size
DRAFT = 2  # the sides of a JPEG image that is only partly decoded, at least, in sides of the result
MIRRORED_SIDES = range(5, 9)  # values of EXIF's orientation that exchange height and width
ORIENTATION = 0x112


class UnreadableError(Exception):
    """The reason why a file cannot be used as an image."""


@dataclass(frozen=True)
class Picture:
    """What the header of an image file says."""

    size: tuple[int, int]  # height, width
    is_grey: bool


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence Pillow's warnings about odd but readable files; in the main thread, around all others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def probe(source: str | bytes) -> Picture:
    """Read the header of a file, by its path or from its content; the pixels are not decoded.

    Raises:
        UnreadableError: it cannot be used.
    """
    with opened(source) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise UnreadableError(f"has {height:,}×{width:,} pixels, more than {MAX_PIXELS:,}")
        if width * height <= 1:
            raise UnreadableError("has one pixel")
        if image.mode in ("I", "F"):
            raise UnreadableError("has 32 bits for each pixel, allowed are 8 and 16")
        # Pillow turns TIFF itself, and would decode a PNG to look for more.
        has_exif = image.format != "TIFF" and (image.format != "PNG" or "exif" in image.info)
        turned = has_exif and image.getexif().get(ORIENTATION) in MIRRORED_SIDES
        return Picture((width, height) if turned else (height, width), _is_grey(image))


def decode(source: str | bytes, channels: int, size: tuple[int, int], background: int, resize: bool) -> np.ndarray:
    """Decode the first frame of a file, upright, with its transparent pixels filled.

    Args:
        source: path or content of the file.
        channels: 1 for grey, 3 for RGB.
        size: height and width of the result.
        background: grey value behind transparent pixels, and at the sides of a resized image.
        resize: whether the image may have another size.

    Returns:
        uint8 (height, width, channels).

    Raises:
        UnreadableError: it cannot be decoded.
    """
    with opened(source) as image:
        if resize:  # the decoder of JPEG computes means of pixels, faster than it decodes them; at least 2×2 are left
            image.draft(None, (DRAFT * max(size), DRAFT * max(size)))
        ImageOps.exif_transpose(image, in_place=True)
        image.load()
        if not resize and image.size != size[::-1]:
            raise UnreadableError(f"is {image.height}×{image.width}, not {size[0]}×{size[1]} as its header says")
        fitted = fit(flatten(image, background).convert("L" if channels == 1 else "RGB"), size, background)
        return np.asarray(fitted).reshape(*size, channels)


@contextlib.contextmanager
def opened(source: str | bytes) -> Iterator[Image.Image]:
    """Open an image file by its path, or its content; whatever fails in this block is the reason why it cannot be used.

    Raises:
        UnreadableError: it cannot be used.
    """
    try:
        file = open_regular(Path(source)) if isinstance(source, str) else io.BytesIO(source)
        with file, Image.open(file, formats=FORMATS) as image:
            yield image
    except UnreadableError:
        raise
    except UnidentifiedImageError:
        raise UnreadableError(
            "is empty" if _is_empty(source) else f"is not an image, or its header is damaged ({names()})"
        ) from None
    except MemoryError:
        raise UnreadableError("takes more memory than there is") from None
    except Exception as error:  # noqa: BLE001  (Pillow raises any class for a damaged file)
        raise UnreadableError(f"is damaged or cannot be opened ({describe(error)})") from None


def names() -> str:
    """Return the formats as text."""
    return "PNG, JPEG, BMP, GIF, TIFF or WebP"


def _is_empty(source: str | bytes) -> bool:
    return not (Path(source).stat().st_size if isinstance(source, str) else source)


def flatten(image: Image.Image, background: int) -> Image.Image:
    """Scale 16-bit grey values to 8 bits, and fill transparent pixels with a grey value."""
    return _eight_bits(image, background) if image.mode.startswith("I;16") else _opaque(image, background)


def _is_grey(image: Image.Image) -> bool:
    """Return whether a file stores grey values, or a palette of grey values only."""
    if image.mode in ("P", "PA"):
        palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        return bool((palette == palette[:, :1]).all())
    return image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I;16")


def _eight_bits(image: Image.Image, background: int) -> Image.Image:
    """Scale 16-bit grey values to 8 bits."""
    values = np.asarray(image).astype(np.uint32)
    scaled = ((values * 255 + 32_767) // 65_535).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        scaled[values == transparent] = background
    return Image.fromarray(scaled)


def _opaque(image: Image.Image, background: int) -> Image.Image:
    """Put an image with transparent pixels on a background."""
    if not image.has_transparency_data:
        return image
    behind = Image.new("RGBA", image.size, (background, background, background, 255))
    return Image.alpha_composite(behind, image.convert("RGBA")).convert("RGB")
