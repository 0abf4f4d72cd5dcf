"""The images in a picture that may be digits: its ink, cut in all plausible ways, or the whole picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mnist_exp.datasets import pictures as files
from mnist_exp.datasets import polarity
from mnist_exp.datasets.resizing import fit, inner_size
from mnist_exp.prediction import pictures
from mnist_exp.prediction.cuts import alternatives
from mnist_exp.prediction.ink import extract_ink
from mnist_exp.prediction.normalization import normalize
from mnist_exp.prediction.pictures import Picture
from mnist_exp.prediction.reading import Box
from mnist_exp.prediction.segmentation import Piece, find_lines
from mnist_exp.prediction.thickness import thicken

Source = str | bytes | np.ndarray  # a path, the content of a file, or an array
Candidate = tuple[np.ndarray, Box]  # an image in the form of the data set, and where it is in the picture


@dataclass(frozen=True, eq=False)
class Candidates:
    """The candidates of a picture."""

    lines: Sequence[Sequence[Sequence[Sequence[Candidate]]]]  # lines of pieces of ways to cut the piece
    picture: Picture | None
    ground: str | None = None  # of a single grey image: dark or light


def find(source: Source) -> Candidates:
    """Find the ink of a picture and cut it into digits, each normalised to the form of MNIST's.

    Raises:
        UnreadableError: the picture cannot be used.
    """
    picture = pictures.from_array(source) if isinstance(source, np.ndarray) else pictures.read(source)

    def ways(piece: Piece) -> list[list[Candidate]]:
        cut = [[piece], *alternatives(piece)]
        return [[(normalize(thicken(part.ink))[..., None], _box(part, picture)) for part in way] for way in cut]

    return Candidates([[ways(piece) for piece in line] for line in find_lines(extract_ink(picture.pixels))], picture)


def whole(source: Source, shape: tuple[int, int, int], background: int) -> Candidates:
    """Take a picture as one image of a data set.

    Args:
        source: of the picture.
        shape: of the images: height, width and channels.
        background: grey value at the sides of an image with another aspect.

    Raises:
        UnreadableError: the picture cannot be used.
    """
    height, width, channels = shape
    if isinstance(source, np.ndarray):
        picture = pictures.from_array(source)
        flat = Image.fromarray(picture.pixels).convert("L" if channels == 1 else "RGB")
        image = np.asarray(fit(flat, (height, width), background)).reshape(shape)
        size = picture.size
    else:
        size = files.probe(source).size
        image = files.decode(source, channels, (height, width), background, resize=True)
    inner = inner_size(size, (height, width))
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    part = image[None, top : top + inner[0], left : left + inner[1]]
    return Candidates([[[[(image, (0, 0, size[1], size[0]))]]]], None, polarity.ground(part))


def _box(piece: Piece, picture: Picture) -> Box:
    """Return the box of a digit in pixels of the file's picture."""
    down, across = (whole / part for whole, part in zip(picture.size, picture.pixels.shape[:2], strict=True))
    sides = piece.left * across, piece.top * down, piece.right * across, piece.bottom * down
    left, top, right, bottom = map(round, sides)
    return left, top, right, bottom
