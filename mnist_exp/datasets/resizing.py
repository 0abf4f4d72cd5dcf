"""Images of any size → images of one size, by Pillow; and whether they fit into memory."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from mnist_exp.datasets.idx import format_shape
from mnist_exp.datasets.sources import MAX_SIDE, OwnSet
from mnist_exp.errors import InputError
from mnist_exp.machine import memory

LABEL_BYTES = 8  # of one, while it is read
BLOCK = 2**20  # bytes of images that are read at a time
Shape = tuple[int, int, int]  # height, width, channels


def fit(image: Image.Image, size: tuple[int, int], background: int) -> Image.Image:
    """Resize an image, by area to a smaller and by Lanczos to a larger one; its aspect is kept, its sides are filled.

    Args:
        image: of mode L or RGB.
        size: height and width of the result.
        background: the grey value of the sides.
    """
    height, width = size
    original = image.height, image.width
    inner, scale = inner_size(original, size)[::-1], _scale(original, size)
    if inner != image.size:
        image = image.resize(inner, Image.Resampling.BOX if scale < 1 else Image.Resampling.LANCZOS)
    if inner == (width, height):
        return image
    filled = Image.new(image.mode, (width, height), background if image.mode == "L" else (background,) * 3)
    filled.paste(image, ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return filled


def inner_size(original: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Return the height and width of the part of a resized image that is not filled."""
    height, width = (max(1, round(old * _scale(original, size))) for old in original)
    return height, width


def _scale(original: tuple[int, int], size: tuple[int, int]) -> float:
    return min(new / old for new, old in zip(size, original, strict=True))


def allocate(source: OwnSet, count: int, shape: Shape) -> np.ndarray:
    """Return an empty array for images of this shape, or of the size to which they are resized.

    Raises:
        InputError: the size is not allowed, or the array does not fit into memory.
    """
    height, width, channels = shape
    if source.size is None and max(height, width) > MAX_SIDE:
        raise InputError(
            f"{source.path}: the images are {height}×{width}, larger than {MAX_SIDE}×{MAX_SIDE}",
            "resize them: for example dataset.size=64, or dataset.size=[48,64] for height and width",
        )
    if height * width <= 1 or channels not in (1, 3):
        raise InputError(
            f"{source.path}: the images are {format_shape(shape)}",
            "allowed: height × width, or height × width × 1 (grey) or 3 (RGB), of more than one pixel",
        )
    height, width = source.size or (height, width)
    needed = count * (height * width * channels + LABEL_BYTES)
    check_memory(source.path, f"{count:,} images of {height}×{width}×{channels} take", needed)
    return np.empty((count, height, width, channels), np.uint8)


def check_memory(path: str | Path, subject: str, needed: int) -> None:
    """Raise InputError unless the memory can contain that many bytes."""
    available = memory.available_bytes()
    if available is not None and needed > available:
        raise InputError(
            f"{path}: {subject} {needed / 1e9:,.1f} GB, but only {available / 1e9:,.1f} GB of memory are available",
            "choose a smaller dataset.size, or use fewer images",
        )


def rows_per_block(row_bytes: int) -> int:
    """Return how many images of a size are read at a time."""
    return max(1, BLOCK // max(1, row_bytes))


def gather(source: OwnSet, count: int, shape: Shape, blocks: Iterable[np.ndarray]) -> np.ndarray:
    """Return the images of several blocks in one array, resized if the settings say so.

    Args:
        source: the settings.
        count: of all images.
        shape: of each image.
        blocks: uint8 (n, *shape), together `count` images.
    """
    images, filled = allocate(source, count, shape), 0
    for block in blocks:
        rows = images[filled : filled + len(block)]
        if rows.shape == block.shape:
            rows[...] = block
        else:
            for row, image in zip(rows, block, strict=True):
                row[...] = resize(image, rows.shape[1:3], source.background)
        filled += len(block)
    return images


def resize(image: np.ndarray, size: tuple[int, int], background: int) -> np.ndarray:
    """Resize an image as an array, uint8 (height, width, channels)."""
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    return np.asarray(fit(picture, size, background)).reshape(*size, image.shape[2])


def take_in_place(images: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Move the chosen images to the front of their array, without memory for a copy; return them as a part of it.

    Args:
        images: (n, …), writable; the others are lost.
        indices: ascending.
    """
    if len(indices) == len(images):  # all of them, in their places
        return images
    step = rows_per_block(images[0].nbytes)
    for start in range(0, len(indices), step):
        chosen = indices[start : start + step]
        images[start : start + len(chosen)] = images[chosen]  # never over one that is still to move
    return images[: len(indices)]
