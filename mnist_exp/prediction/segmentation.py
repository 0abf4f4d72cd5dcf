"""Cut ink into digits: connected parts, merged where a digit has several, in the order in which they are read."""

import bisect
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

CONNECTED = np.ones((3, 3))  # also diagonally
MIN_SIDE = 6  # pixels of the longer side of a digit
SPECK = 0.22  # of the typical size: what is smaller and belongs to no digit is a speck
FRINGE, GAIN = 0.3, 1.15  # of a part's darkness: what is paler is its blurred edge; the rest is darkened, against blur
PALE = 0.35  # of the typical darkness: what is paler is a shadow, or shows through the paper
FRAME = 0.12  # of a side: how far the lines of a frame are from its edge, at most
FRAGMENT = 0.6  # of the size of a digit: a smaller part may belong to it
FLAT = 0.45  # times as tall as wide: such a part can be the bar of a 5, or of a 7
NEAR = 0.22  # of the size of a digit: how far away its parts are, at most
TALL = 1.35  # times the typical size of its line: a digit is not larger
STACKED = 1.45  # times as tall as wide: parts above each other that are no taller are one digit
MAX_PARTS = 4000  # of a picture; more is not handwriting


@dataclass(frozen=True, eq=False)
class Piece:
    """The ink of one digit, as it seems."""

    left: int
    top: int
    ink: np.ndarray  # uint8 (height, width): 0 for paper to 255 for ink

    @property
    def right(self) -> int:
        return self.left + int(self.ink.shape[1])

    @property
    def bottom(self) -> int:
        return self.top + int(self.ink.shape[0])

    @property
    def size(self) -> int:
        """The longer side."""
        return int(max(self.ink.shape))

    @property
    def area(self) -> int:
        """The number of pixels with ink."""
        return int(np.count_nonzero(self.ink))


def find_lines(ink: np.ndarray) -> list[list[Piece]]:
    """Return the digits of each line, from left to right, lines from top to bottom.

    Args:
        ink: float32 (height, width), from `extract_ink`.
    """
    parts = _parts(ink)
    if not parts:
        return []
    typical = _typical_size(parts)
    pieces = _merge([part for part in parts if part.size >= 2], typical)
    return _lines([piece for piece in pieces if piece.size >= max(MIN_SIDE, SPECK * typical)])


def _parts(ink: np.ndarray) -> list[Piece]:
    """Return the connected parts of the ink, without shadows and frames, each from 0 to its own darkest ink."""
    labels, count = ndimage.label(ink > 0, CONNECTED)
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    kept = np.argsort(-areas, kind="stable")[:MAX_PARTS]
    objects = ndimage.find_objects(labels)
    parts, levels = [], []
    for index in sorted(kept.tolist()):
        place = objects[index]
        own = np.where(labels[place] == index + 1, ink[place], 0)
        if areas[index] < 3 or _is_frame(own > 0):
            continue
        level = float(np.percentile(own[own > 0], 85))
        levels.append(level)
        share = own / level
        scaled = (255 * (GAIN * np.where(share < FRINGE, 0, share)).clip(0, 1) + 0.5).astype(np.uint8)
        parts.append(Piece(place[1].start, place[0].start, scaled))
    if not parts:
        return []
    weights = np.array([part.area for part in parts])
    usual = _weighted_median(np.array(levels), weights)
    return [part for part, level in zip(parts, levels, strict=True) if level >= PALE * usual]


def _is_frame(mask: np.ndarray) -> bool:
    """Return whether ink is a frame, such as of a field of a form: straight lines along all four sides of its box."""
    height, width = mask.shape
    if min(height, width) < 2 * MIN_SIDE:
        return False
    rows, columns = max(1, round(FRAME * height)), max(1, round(FRAME * width))
    sides = mask[:rows].any(axis=0), mask[-rows:].any(axis=0), mask[:, :columns].any(axis=1), mask[:, -columns:].any(axis=1)
    return all(side.mean() > 0.95 for side in sides) and not mask[rows:-rows, columns:-columns].any()


def _typical_size(parts: list[Piece]) -> float:
    return _weighted_median(np.array([part.size for part in parts]), np.array([part.area for part in parts]))


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    total = weights[order].cumsum()
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def _merge(parts: list[Piece], typical: float) -> list[Piece]:
    """Join the parts of each digit, the smallest first."""
    pieces = sorted(parts, key=lambda part: part.size)
    boxes = np.array([_box(piece) for piece in pieces])  # as the list: paper with a grid of dots has thousands of parts
    done: list[Piece] = []
    while pieces:
        part, boxes = pieces.pop(0), boxes[1:]
        candidates = [index for index in _near(part, boxes) if _belongs(part, pieces[index], typical)]
        distance, index = min(((_distance(part, pieces[index]), index) for index in candidates), default=(0.0, 0))
        if not candidates or distance > NEAR * _join(part, pieces[index]).size:
            done.append(part)
            continue
        joined, boxes = _join(part, pieces.pop(index)), np.delete(boxes, index, axis=0)
        position = bisect.bisect_right(pieces, joined.size, key=lambda piece: piece.size)
        pieces.insert(position, joined)
        boxes = np.insert(boxes, position, _box(joined), axis=0)
    return done


def _box(piece: Piece) -> tuple[int, int, int, int]:
    return piece.left, piece.top, piece.right, piece.bottom


def _near(part: Piece, boxes: np.ndarray) -> list[int]:
    """Return the indices of the boxes, int64 (n, 4), that are near enough for parts of one digit."""
    own = np.array(_box(part))
    first, last = np.minimum(boxes, own), np.maximum(boxes, own)
    shared = first[:, 2:] - last[:, :2]  # width and height; negative: of the gap
    reach = NEAR * (last[:, 2:] - first[:, :2]).max(axis=1)
    return np.flatnonzero((shared >= -reach[:, None]).all(axis=1)).tolist()


def _belongs(part: Piece, other: Piece, typical: float) -> bool:
    """Return whether a part can be of the same digit as another one near it, which is not smaller, by their boxes."""
    across = min(part.right, other.right) - max(part.left, other.left)
    down = min(part.bottom, other.bottom) - max(part.top, other.top)
    width = max(part.right, other.right) - min(part.left, other.left)
    height = max(part.bottom, other.bottom) - min(part.top, other.top)
    size = max(width, height)
    reach = NEAR * size
    shared = max(across, 0) / part.ink.shape[1], max(down, 0) / part.ink.shape[0]
    limit = TALL * max(other.size, typical)
    part_height, part_width = part.ink.shape
    if part_height < FLAT * part_width and part.bottom <= other.top + 0.4 * other.ink.shape[0]:  # the bar of a 5
        return size <= 1.15 * limit and part.left >= other.left - reach
    if part.size < FRAGMENT * other.size:  # a fragment: above, below, or within the height of the digit and very near
        return size <= limit and (shared[0] >= 0.5 or (shared[1] >= 0.5 and -across <= reach / 3))
    # Two large parts: one next to or in the other at the same height, or one above the other, which together are no taller
    # than a digit; two digits of two lines are twice as tall as they are wide.
    is_stacked = height <= STACKED * width and size <= 1.6 * typical
    is_one = size <= limit and (shared[1] >= 0.35 or size <= 1.15 * typical)
    return bool(shared[0] >= 0.5 and (is_stacked or is_one))


def _distance(part: Piece, other: Piece) -> float:
    """Return the distance between the nearest pixels of two parts."""
    first, second = (np.argwhere(piece.ink) + np.array([piece.top, piece.left]) for piece in (part, other))
    return float(cKDTree(second).query(first)[0].min())


def _join(part: Piece, other: Piece) -> Piece:
    left, top = min(part.left, other.left), min(part.top, other.top)
    right, bottom = max(part.right, other.right), max(part.bottom, other.bottom)
    ink = np.zeros((bottom - top, right - left), np.uint8)
    for piece in (part, other):
        place = ink[piece.top - top : piece.bottom - top, piece.left - left : piece.right - left]
        np.maximum(place, piece.ink, out=place)
    return Piece(left, top, ink)


def _lines(pieces: list[Piece]) -> list[list[Piece]]:
    """Group digits into lines: each continues the line whose last digit is at the same height."""
    lines: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda one: one.left):
        shares = [(_shared_height(line[-1], piece), index) for index, line in enumerate(lines)]
        share, index = max(shares, default=(0.0, 0))
        if share >= 0.4:
            lines[index].append(piece)
        else:
            lines.append([piece])
    return sorted(lines, key=lambda line: float(np.mean([(piece.top + piece.bottom) / 2 for piece in line])))


def _shared_height(first: Piece, second: Piece) -> float:
    shared = min(first.bottom, second.bottom) - max(first.top, second.top)
    return shared / int(min(first.ink.shape[0], second.ink.shape[0]))
