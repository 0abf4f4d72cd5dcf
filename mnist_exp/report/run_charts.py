"""The charts of a run, as SVG: numbers and the words below go in, nothing that a user wrote."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from mnist_exp.report import svg
from mnist_exp.report.svg import Panel, Scale
from mnist_exp.run.history import Epoch

TRAIN, VALIDATION = "#4a80c8", "#d1603d"  # both stand out on white and on black
MARKS = {TRAIN: svg.circle, VALIDATION: svg.square}  # who sees no colours sees shapes
WIDTH, HEIGHT = 240, 190  # of one of three panels with curves, in pixels; the page stretches them
HALF, LOW = 375, 150  # of one of two, which are as wide together
SIDE = 320  # of the reliability diagram
LEGEND = 32  # pixels above the panels
MOST_POINTS = 200  # of a curve, on a panel of 240 pixels
MOST_DOTS = 50  # with more epochs, dots would hide the line


def learning_curves(history: Sequence[Epoch], learning_rates: np.ndarray) -> str:
    """Loss and error by epoch, for the training and, if there is one, the validation images; the learning rate by step.

    Args:
        history: a row for each epoch, at least one.
        learning_rates: of each step that was trained, float32 (steps_per_epoch * epochs,).

    Returns:
        A document with the root <svg>.
    """
    epochs = len(history)
    ends = np.arange(1, epochs + 1)
    begins = np.linspace(0, epochs, len(learning_rates) + 1)  # the last is the end
    rates = np.append(learning_rates, learning_rates[-1]).astype(np.float64)
    losses = [row.train_loss for row in history], [row.validation_loss for row in history]
    errors = [row.train_error_percent for row in history], [row.validation_error_percent for row in history]
    panels = [
        _curves(
            title, epochs, {color: (ends, np.array(values, np.float64)) for color, values in zip(MARKS, both, strict=True)}
        )
        for title, both in (("loss", losses), ("error %", errors))
    ]
    panels.append(_curves("learning rate", epochs, {TRAIN: (begins, rates)}, dots=False))
    legend = _key(0, TRAIN, "training (during the epoch)")
    if history[0].validation_loss is not None:
        legend += _key(185, VALIDATION, "validation (after it)")
    return svg.document(panels, legend, LEGEND)


def timing(history: Sequence[Epoch]) -> str:
    """Seconds and images a second by epoch, of training alone.

    Args:
        history: a row for each epoch, at least one.

    Returns:
        A document with the root <svg>.
    """
    ends = np.arange(1, len(history) + 1)
    measured = {"seconds": [row.seconds for row in history], "images/s": [row.images_per_second for row in history]}
    return svg.document(
        [
            _curves(title, len(history), {TRAIN: (ends, np.array(values))}, size=(HALF, LOW))
            for title, values in measured.items()
        ]
    )


def reliability(calibration: dict[str, Any]) -> str:
    """Accuracy against confidence; the area of a circle grows with the images in its bin.

    Args:
        calibration: from `evaluation.calibration`.

    Returns:
        A document with the root <svg>.
    """
    filled = [bin_ for bin_ in calibration["bins"] if bin_["n"]]
    total = sum(bin_["n"] for bin_ in filled)
    panel = Panel(SIDE, SIDE, Scale("confidence", 1, 0.5), Scale("accuracy", 1, 0.5))
    places = panel.place(*(np.array([bin_[axis] for bin_ in filled]) for axis in ("confidence", "accuracy")))
    radii = [math.sqrt(10 + 150 * bin_["n"] / total) for bin_ in filled]
    circles = "".join(svg.circle(*place, radius) for place, radius in zip(places, radii, strict=True))
    diagonal = f'<path d="M0,{SIDE}L{SIDE},0" stroke="currentColor" stroke-opacity=".5" stroke-dasharray="5 4"/>'
    meaning = svg.text(0.03 * SIDE, 0.95 * SIDE - 2, "perfect calibration", turned=-45)
    return svg.document([(panel, f'{diagonal}{meaning}<g fill="{TRAIN}" fill-opacity=".75">{circles}</g>')])


def thinned(values: np.ndarray, most: int = MOST_POINTS) -> np.ndarray:
    """The positions of so few values that their line still shows every peak: the least and the greatest of each stretch.

    Args:
        values: float (n,), n ≥ 1.
        most: so many, at least 4.

    Returns:
        int64, ascending, with the first and the last; all of them, if there are few enough.
    """
    if len(values) <= most:
        return np.arange(len(values))
    kept = {0, len(values) - 1}
    edges = np.linspace(0, len(values), most // 2).astype(int)
    for low, high in pairwise(edges.tolist()):
        stretch = values[low:high]
        kept |= {low + int(stretch.argmin()), low + int(stretch.argmax())}
    return np.array(sorted(kept))


def _curves(
    title: str,
    epochs: int,
    curves: dict[str, tuple[np.ndarray, np.ndarray]],
    dots: bool = True,
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> tuple[Panel, str]:
    """A panel with the curves that have values; NaN, of an epoch without validation, is none."""
    known = {color: (x[np.isfinite(y)], y[np.isfinite(y)]) for color, (x, y) in curves.items() if np.isfinite(y).any()}
    greatest = max((float(y.max()) for _, y in known.values()), default=0.0)
    panel = Panel(*size, Scale.of("epoch", epochs, whole=True), Scale.of(title, greatest))
    marks = []
    for color, (x, y) in known.items():
        chosen = thinned(y)
        places = panel.place(x[chosen], y[chosen])
        marks.append(svg.line(places, color))
        if dots and epochs <= MOST_DOTS:
            marks.append(f'<g fill="{color}">{"".join(MARKS[color](*place, 2.65) for place in places)}</g>')
    return panel, "".join(marks)


def _key(x: int, color: str, meaning: str) -> str:
    return f'<g fill="{color}">{MARKS[color](str(x + 6), "10", 5)}</g>{svg.text(x + 16, 14, meaning)}'
