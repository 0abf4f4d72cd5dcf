"""The charts of a run, as SVG: numbers and the words below go in, nothing that a user wrote."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from mnist_exp.report import vega
from mnist_exp.report.vega import TICKS
from mnist_exp.training.history import Epoch

TRAIN, VALIDATION = "#4a80c8", "#d1603d"
PANEL = {"width": 240, "height": 190}  # pixels; the page stretches them
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
    train_errors = [row.train_error_percent for row in history]
    validation_errors = [row.validation_error_percent for row in history]
    begins = np.linspace(0, len(history), len(learning_rates) + 1)  # the last is the end
    rates = np.append(learning_rates, learning_rates[-1]).astype(np.float64)
    panels = [
        _curves("loss", [row.train_loss for row in history], [row.validation_loss for row in history]),
        _curves("error %", train_errors, validation_errors),
        {
            "data": {"values": _points(begins, rates)},
            "mark": {"type": "line", "color": TRAIN},
            "encoding": _by_epoch(len(history), "learning rate"),
            **PANEL,
        },
    ]
    return vega.svg({"hconcat": panels, "spacing": 28})


def reliability(calibration: dict[str, Any]) -> str:
    """Accuracy against confidence; the area of a circle grows with the images in its bin.

    Args:
        calibration: from `evaluation.calibration`.

    Returns:
        A document with the root <svg>.
    """
    filled = [bin_ for bin_ in calibration["bins"] if bin_["n"]]
    total = sum(bin_["n"] for bin_ in filled)
    circles = [{"x": bin_["confidence"], "y": bin_["accuracy"], "size": 40 + 600 * bin_["n"] / total} for bin_ in filled]
    x = {"field": "x", "type": "quantitative", "title": "confidence", "scale": {"domain": [0, 1]}}
    y = {"field": "y", "type": "quantitative", "title": "accuracy", "scale": {"domain": [0, 1]}}
    diagonal = {
        "data": {"values": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]},
        "mark": {"type": "line", "color": "currentColor", "opacity": 0.5, "strokeDash": [5, 4], "strokeWidth": 1},
    }
    meaning = {
        "data": {"values": [{"x": 0.03, "y": 0.05}]},
        "mark": {"type": "text", "text": "perfect calibration", "angle": -45, "align": "left", "baseline": "bottom"},
    }
    circle = {
        "mark": {"type": "circle", "color": TRAIN, "opacity": 0.75},
        "encoding": {"size": {"field": "size", "type": "quantitative", "scale": None}},
    }
    layers = [diagonal, meaning, circle]
    plane = {"width": 320, "height": 320, "encoding": {"x": x, "y": y}}
    return vega.svg(plane | {"data": {"values": circles}, "layer": layers})


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


def _curves(title: str, train: Sequence[float], validation: Sequence[float | None]) -> dict[str, Any]:
    """A panel with one curve or two, an epoch's values where the epoch ends."""
    ends = np.arange(1, len(train) + 1)
    held_out = [value for value in validation if value is not None]
    curves = [("training (during the epoch)", np.array(train), TRAIN, "circle")]
    if held_out:
        curves.append(("validation (after it)", np.array(held_out), VALIDATION, "square"))
    names, _, colors, shapes = zip(*curves, strict=True)
    values = [point | {"of": name} for name, curve, _, _ in curves for point in _points(ends, curve)]
    encoding = _by_epoch(len(train), title) | {
        "color": {"field": "of", "type": "nominal", "scale": {"domain": names, "range": colors}},
        "shape": {"field": "of", "type": "nominal", "scale": {"domain": names, "range": shapes}},
    }
    dots = {"filled": True, "size": 28} if len(train) <= MOST_DOTS else False
    return {"data": {"values": values}, "mark": {"type": "line", "point": dots}, "encoding": encoding, **PANEL}


def _by_epoch(epochs: int, title: str) -> dict[str, Any]:
    """The axes of all panels: epochs trained, and a quantity from 0 on."""
    across = {"tickCount": min(TICKS, epochs), "format": "d"}  # not more, or there would be halves of epochs
    return {
        "x": {"field": "x", "type": "quantitative", "title": "epoch", "axis": across, "scale": {"domain": [0, epochs]}},
        "y": {"field": "y", "type": "quantitative", "title": title, "scale": {"zero": True}},
    }


def _points(x: np.ndarray, y: np.ndarray) -> list[dict[str, float]]:
    chosen = thinned(y)
    return [{"x": across, "y": up} for across, up in zip(x[chosen].tolist(), y[chosen].tolist(), strict=True)]
