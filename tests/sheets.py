"""Sheets of paper with test digits at random places, in random sizes, inks and textures; the same for the same seed."""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

INNER = slice(4, 24)  # where most of a digit is; only for sizes
PAPERS = ("white", "cream", "grey", "recycled", "shaded", "black")
RULES = ("", "lines", "squares")


@dataclass(frozen=True, eq=False)
class Sheet:
    """A picture with digits."""

    pixels: np.ndarray  # uint8 (height, width, 3)
    indices: np.ndarray  # int (n,), of the images, in reading order
    boxes: np.ndarray  # int (n, 4): left, top, right, bottom of their ink
    paper: str
    rules: str


def draw_sheet(
    images: np.ndarray,
    rng: np.random.Generator,
    indices: np.ndarray,
    *,
    per_line: int = 5,
    gap: tuple[float, float] = (0.2, 1.0),
    paper: str | None = None,
    rules: str | None = None,
) -> Sheet:
    """Write images of digits onto a sheet, in lines.

    Args:
        images: uint8 (n, 28, 28), of MNIST.
        indices: of the images to write, in this order.
        gap: smallest and largest space between two digits of a line, in heights of a digit.
        paper, rules: of `PAPERS` and `RULES`; None: at random.
    """
    paper = paper or str(rng.choice(PAPERS))
    rules = rules if rules is not None else str(rng.choice(RULES, p=(0.7, 0.2, 0.1)))
    base = rng.uniform(24, 64)  # of this sheet: pixels of 20 pixels of a digit
    lines, top, placed = [], base * rng.uniform(0.3, 1), []
    for start in range(0, len(indices), per_line):
        left, bottom = base * rng.uniform(0.3, 2), top
        for index in indices[start : start + per_line]:
            size = base * rng.uniform(0.8, 1.25)
            ink = _enlarge(images[index], size / 20)
            rows, columns = np.flatnonzero(ink.max(axis=1) > 0.1), np.flatnonzero(ink.max(axis=0) > 0.1)
            ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            y, x = round(top + base * rng.uniform(0, 0.25)), round(left)
            placed.append((index, ink, x, y))
            left, bottom = x + ink.shape[1] + size * rng.uniform(*gap), max(bottom, y + ink.shape[0])
        lines.append(max(left, x + ink.shape[1] + 1))
        top = bottom + base * rng.uniform(0.25, 0.8)
    height, width = round(top + base * 0.3), round(max(lines) + base * rng.uniform(0, 1))
    coverage = np.zeros((height, width))
    boxes = []
    for _, ink, x, y in placed:
        part = coverage[y : y + ink.shape[0], x : x + ink.shape[1]]
        np.maximum(part, ink, out=part)
        boxes.append((x, y, x + ink.shape[1], y + ink.shape[0]))
    pixels = _write(coverage, paper, rules, base, rng)
    return Sheet(pixels, np.array([index for index, *_ in placed]), np.array(boxes), paper, rules)


def _enlarge(image: np.ndarray, scale: float) -> np.ndarray:
    side = round(28 * scale)
    enlarged = Image.fromarray(image.astype(np.float32) / 255).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(enlarged).clip(0, 1)


def _write(coverage: np.ndarray, paper: str, rules: str, base: float, rng: np.random.Generator) -> np.ndarray:
    """Return paper with ink where it is covered, uint8 (height, width, 3)."""
    height, width = coverage.shape
    colours = {"white": (252, 252, 252), "cream": (243, 236, 214), "grey": (200, 200, 204), "recycled": (214, 208, 196)}
    light = np.ones((height, width, 1)) * np.array(colours.get(paper, (245, 245, 245))) / 255
    if paper == "black":
        light = np.ones((height, width, 1)) * rng.uniform(0.05, 0.18, 3)
    ink = np.array([(20, 20, 25), (30, 45, 120), (150, 30, 35), (90, 90, 95)][rng.integers(4)]) / 255
    if paper == "black":
        ink = rng.uniform(0.8, 0.97, 3)
    if rules:
        step, colour = round(base * rng.uniform(1.1, 1.6)), np.array((150, 180, 215)) / 255
        colour = colour * light.mean() if paper != "black" else np.full(3, 0.4)
        for row in range(step // 2, height, step):
            light[row : row + max(1, round(base / 30))] = colour
        for column in range(step // 2, width, step) if rules == "squares" else ():
            light[:, column : column + max(1, round(base / 30))] = colour
    if paper in ("recycled", "shaded"):
        fibres = ndimage.gaussian_filter(rng.normal(size=(height, width)), 1.2)
        light *= 1 + (0.035 if paper == "recycled" else 0.01) * (fibres / fibres.std())[..., None]
    if paper == "shaded":  # a lamp at one side
        y, x = np.mgrid[0:height, 0:width]
        angle = rng.uniform(0, 2 * np.pi)
        slope = (np.cos(angle) * x / width + np.sin(angle) * y / height + 1) / 2
        light *= (0.55 + 0.45 * slope.clip(0, 1))[..., None]
        ink = ink * 0.6
    picture = light * (1 - coverage[..., None]) + ink * coverage[..., None]
    picture += rng.normal(scale=rng.uniform(0, 0.025), size=picture.shape)  # of the camera
    return (255 * picture.clip(0, 1)).round().astype(np.uint8)
