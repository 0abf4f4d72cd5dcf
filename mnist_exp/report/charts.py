"""The charts of a run as SVG, from Vega-Lite specifications: numbers and the words below go in, nothing that a user wrote.

Text and axes take the colour of the text around them, the data colours that stand out on white and on black; so the same
SVG serves a light page, a dark one, print, and as a file of its own.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from mnist_exp.training.history import Epoch

TRAIN, VALIDATION = "#4a80c8", "#d1603d"
TICKS = 3  # of an axis, about: to measure and place a label takes half a millisecond
LOOK = {
    "background": None,
    "aria": False,  # the page describes the chart as a whole; a label for each mark would double its size
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "domainColor": "currentColor",
        "domainOpacity": 0.5,
        "grid": True,
        "gridColor": "currentColor",
        "gridOpacity": 0.12,
        "labelColor": "currentColor",
        "labelFontSize": 11,
        "labelLimit": 0,  # with a limit each is measured twice
        "labelOpacity": 0.8,
        "tickCount": TICKS,
        "ticks": False,
        "titleColor": "currentColor",
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "titleLimit": 0,
        "titlePadding": 9,
    },
    "axisX": {"grid": False},
    "legend": {
        "columnPadding": 48,  # a reader's font may be wider than the one that Vega measures
        "labelColor": "currentColor",
        "labelFontSize": 11,
        "labelLimit": 0,
        "offset": 8,
        "orient": "top",
        "title": None,
    },
    "text": {"color": "currentColor", "fontSize": 10, "opacity": 0.8},
}
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
    return _svg({"hconcat": panels, "spacing": 28})


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
    return _svg({"width": 320, "height": 320, "data": {"values": circles}, "encoding": {"x": x, "y": y}, "layer": layers})


def thinned(values: np.ndarray) -> np.ndarray:
    """The positions of so few values that their line still shows every peak: the least and the greatest of each stretch.

    Args:
        values: float (n,), n ≥ 1.

    Returns:
        int64, ascending, with the first and the last; all of them, if there are few enough.
    """
    if len(values) <= MOST_POINTS:
        return np.arange(len(values))
    kept = {0, len(values) - 1}
    edges = np.linspace(0, len(values), MOST_POINTS // 2).astype(int)
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


def _svg(spec: dict[str, Any]) -> str:
    """The first chart of a process starts a JavaScript engine and its threads: 0.4 s, and 200 MB that only a report needs.

    A child forked after that must not draw: it would wait for threads that it does not have.
    """
    import vl_convert

    return vl_convert.vegalite_to_svg(spec | {"config": LOOK})
