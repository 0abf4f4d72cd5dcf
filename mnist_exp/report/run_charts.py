"""Charts of a run, each a document with the root <svg>: learning curves, time by epoch, reliability diagram.

Each training process draws them, so no chart library is used: it would take 0.4 s and 200 MB. Text and axes have the colour
of the surrounding text: one chart serves a light page, a dark page and print.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mnist_exp.report import page
from mnist_exp.report.chart_numbers import LARGEST, SMALLEST, nice_step, thin_out
from mnist_exp.runs.history import Epoch

TRAIN, VALIDATION = "#4a80c8", "#d1603d"  # both have enough contrast on white and on black
MAX_POINTS = 200  # of a curve
MAX_DOTS = 50  # epochs; with more, dots would hide the line
DOT = 2.65  # radius, in pixels
CHARACTER = 6.5  # pixels of width at most, in a font of 11 pixels
LEGEND, BOTTOM, GAP, EDGE = 32, 36, 14, 14  # pixels: above and below the panels, between them, and at the edges

Points = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Axis:
    """An axis from 0 to `end` with a labelled tick at each multiple of `step`."""

    title: str
    end: float
    step: float

    @classmethod
    def fit(cls, title: str, greatest: float) -> "Axis":
        """Return an axis that ends at a quarter of a step, at the greatest value or above it."""
        greatest = min(greatest, LARGEST) if greatest > SMALLEST else 1.0
        step = nice_step(greatest)
        return cls(title, math.ceil(greatest / step * 4 - 1e-6) / 4 * step, step)  # 0.1 is larger in float32

    def ticks(self) -> list[tuple[float, str]]:
        """Return the position of each tick, from 0 to 1, and its label."""
        count = math.floor(self.end / self.step + 1e-9)
        return [(number * self.step / self.end, f"{number * self.step:g}") for number in range(count + 1)]


@dataclass
class Panel:
    """A plot area with two axes; its content has pixel coordinates from the upper left corner."""

    x: Axis
    y: Axis
    width: int
    height: int
    diagonal: str = ""  # the label of a dashed diagonal, if it has one
    lines: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # by colour
    dots: dict[str, list[tuple[float, float, float]]] = field(default_factory=dict)  # x, y, radius; by colour

    @property
    def left_margin(self) -> int:
        """Pixels for the labels and the title of the y axis."""
        return round(24 + CHARACTER * max(len(label) for _, label in self.y.ticks()))

    def pixels(self, x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
        """Convert values to pixels, rounded to 1 / 100."""
        across, down = x / self.x.end * self.width, (1 - y / self.y.end) * self.height
        return list(zip(across.round(2).tolist(), down.round(2).tolist(), strict=True))


def learning_panels(history: Sequence[Epoch], learning_rates: np.ndarray) -> list[Panel]:
    """Return the panels of loss and error by epoch, of training and validation images, and of the learning rate by step.

    Args:
        history: a row for each epoch, at least one.
        learning_rates: one for each trained step, float32 (steps_per_epoch * epochs,).
    """
    epochs = len(history)
    steps = np.linspace(0, epochs, len(learning_rates) + 1)
    rates = np.append(learning_rates, learning_rates[-1]).astype(np.float64)
    panels = []
    for title, name in (("loss", "loss"), ("error %", "error_percent")):
        curves = {TRAIN: _by_epoch(history, f"train_{name}"), VALIDATION: _by_epoch(history, f"validation_{name}")}
        panels.append(_line_panel(title, epochs, curves))
    panels.append(_line_panel("learning rate", epochs, {TRAIN: (steps, rates)}, dots=False))
    return panels


def learning_curves(history: Sequence[Epoch], learning_rates: np.ndarray) -> str:
    """Draw the panels of the learning curves in a row, under a legend."""
    legend = {TRAIN: "training (during the epoch)"}
    if history[0].validation_loss is not None:
        legend[VALIDATION] = "validation (after the epoch)"
    return draw(learning_panels(history, learning_rates), legend)


def timing_panels(history: Sequence[Epoch]) -> list[Panel]:
    """Return the training seconds and images per second by epoch; there is at least one."""
    columns = (("seconds", "seconds"), ("images/s", "images_per_second"))
    curves = {title: {TRAIN: _by_epoch(history, name)} for title, name in columns}
    return [_line_panel(title, len(history), curve, (220, 130)) for title, curve in curves.items()]


def timing(history: Sequence[Epoch]) -> str:
    """Draw the panels of the time in a row."""
    return draw(timing_panels(history))


def reliability(calibration: Mapping[str, Any]) -> str:
    """Draw accuracy against confidence: a circle for each bin, its radius growing with the logarithm of the images in it.

    Args:
        calibration: from `evaluation.calibration`.
    """
    bins = [entry for entry in calibration["bins"] if entry["n"]]
    panel = Panel(Axis("confidence", 1, 0.2), Axis("accuracy", 1, 0.2), 240, 240, diagonal="perfect calibration")
    centers = panel.pixels(*(np.array([entry[name] for entry in bins]) for name in ("confidence", "accuracy")))
    radii = [round(2 + 2.5 * math.log10(entry["n"]), 2) for entry in bins]
    panel.dots[TRAIN] = [(*center, radius) for center, radius in zip(centers, radii, strict=True)]
    return draw([panel])


def _by_epoch(history: Sequence[Epoch], name: str) -> Points:
    """Return a column of the history; NaN where it has no value."""
    return np.arange(1, len(history) + 1), np.array([getattr(row, name) for row in history], np.float64)


def _line_panel(
    title: str, epochs: int, curves: Mapping[str, Points], size: tuple[int, int] = (240, 190), dots: bool = True
) -> Panel:
    """Return a panel with a line for each curve that has values, by colour; NaN is left out."""
    finite = {color: (x[np.isfinite(y)], y[np.isfinite(y)]) for color, (x, y) in curves.items() if np.isfinite(y).any()}
    greatest = max((float(y.max()) for _, y in finite.values()), default=0.0)
    panel = Panel(Axis("epoch", epochs, max(1.0, nice_step(epochs))), Axis.fit(title, greatest), *size)
    for color, (x, y) in finite.items():
        shown = thin_out(y, MAX_POINTS)
        panel.lines[color] = panel.pixels(x[shown], y[shown])
        if dots and epochs <= MAX_DOTS:
            panel.dots[color] = [(*point, DOT) for point in panel.lines[color]]
    return panel


def draw_each(panels: Sequence[Panel]) -> list[str]:
    """Draw panels of one size each by itself, so that a page can arrange them; all have the same margins."""
    margin = max(panel.left_margin for panel in panels)
    return [draw([panel], left_margin=margin) for panel in panels]


def draw(panels: Sequence[Panel], legend: Mapping[str, str] | None = None, left_margin: int = 0) -> str:
    """Draw panels side by side under a legend: texts by colour; with a left margin at least as wide as given."""
    top = LEGEND if legend else EDGE
    right, placed = 0, list[tuple[int, Panel]]()
    for panel in panels:
        left = right + max(panel.left_margin, left_margin) + (GAP if placed else 0)
        placed.append((left, panel))
        right = left + panel.width + EDGE
    height = top + panels[0].height + BOTTOM
    return page.render(
        "chart.svg.j2", panels=placed, legend=legend or {}, top=top, width=right, height=height, square=VALIDATION
    )
