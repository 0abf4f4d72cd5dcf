"""Charts of many runs: their curves, and the mean of each configuration with its interval.

The best configurations have a colour and a shape each, which are the same in every chart and in the page's legend; the rest
share a grey.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnist_exp.config.problems import show as typed
from mnist_exp.report.encodings import (
    BROAD,
    MARGIN,
    OTHERS,
    UNFINISHED,
    Mark,
    axis,
    color,
    dot,
    faded,
    measured,
    plane,
    points,
    shown_as,
    ticks,
    told,
    whole_numbers,
)
from mnist_exp.report.run_charts import thinned
from mnist_exp.report.vega import TOUCH, Chart, Spec

# Each stands out by 3 : 1 on white and on the dark card.
COLORS = ("#4a80c8", "#d1603d", "#2f9665", "#9b6bd3", "#a17a1c", "#c0508f", "#29909e", "#6f8f2f")
SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "triangle-right", "triangle-left")
SIGNS = "●■◆▲✚▼►◄"  # the shapes in the legend
GREY = "#808894"

MOST_BARS = 30  # intervals in one chart
MANY = 60  # lines, where those of the others would cover the best
FEW = 6  # intervals, which have more room
MOST_POINTS = 12_000  # of all curves together
FEWEST_POINTS, ENOUGH_POINTS = 12, 200  # of one of them
LEAST = 512  # pixels: a narrower chart could not be read

CONFIGURATIONS, RUNS = "configurations", "runs"  # the tables


@dataclass(frozen=True)
class Configuration:
    """What the completed runs of one configuration came to; errors in percent."""

    rank: int
    label: str  # short, with its rank: no other has the same
    settings: Mapping[str, Any]  # in which the configurations differ
    errors: Sequence[float]  # of each run
    mean: float
    interval: tuple[float, float] | None
    parameters: int
    seconds: float

    @property
    def told(self) -> str:
        """Its settings as one would type them."""
        return ", ".join(f"{key}={typed(value)}" for key, value in self.settings.items())


@dataclass(frozen=True)
class Curve:
    """One run by epoch."""

    run: str
    label: str | None  # of its configuration, if that has a rank
    told: str  # its seed, and how it ended if it has no result
    epochs: np.ndarray  # int64 (n,), n ≥ 1
    errors: np.ndarray  # validation, in percent, float64 (n,)


def legend(configurations: Sequence[Configuration], unfinished: bool) -> list[Mark]:
    """The marks of a page, best first.

    Args:
        configurations: best first.
        unfinished: whether runs without a result are shown, too.
    """
    best = zip(configurations, COLORS, SHAPES, SIGNS, strict=False)
    marks = [Mark(configuration.label, color, shape, sign) for configuration, color, shape, sign in best]
    if len(configurations) > len(marks):
        marks.append(Mark(OTHERS, GREY, "circle", "●"))
    if unfinished:
        marks.append(Mark(UNFINISHED, GREY, "stroke", "╌"))
    return marks


def configuration_rows(configurations: Sequence[Configuration], marks: Sequence[Mark]) -> list[dict[str, Any]]:
    """The table of the charts that have a mark for each configuration."""
    return [
        {
            "of": shown_as(one.label, marks),
            "rank": one.rank,
            "label": one.label,
            "settings": one.told,
            "n": len(one.errors),
            "errors": [round(error, 4) for error in one.errors],
            "mean": round(one.mean, 4),
            "low": one.interval and round(one.interval[0], 4),
            "high": one.interval and round(one.interval[1], 4),
            "parameters": one.parameters,
            "seconds": round(one.seconds, 3),
        }
        for one in configurations
    ]


def curve_rows(curves: Sequence[Curve], marks: Sequence[Mark]) -> list[dict[str, Any]]:
    """The table of the learning curves; what comes last is drawn on top: the best."""
    most = min(max(MOST_POINTS // max(len(curves), 1), FEWEST_POINTS), ENOUGH_POINTS)
    order = {mark.label: place for place, mark in enumerate(marks)}
    rows = []
    for curve in curves:
        kept = thinned(curve.errors, most)
        of = shown_as(curve.label, marks)
        rows.append(
            {
                "of": of,
                "run": curve.run,
                "label": curve.label or "–",
                "told": curve.told,
                "last": round(float(curve.errors[-1]), 4),
                "epoch": curve.epochs[kept].tolist(),
                "error": curve.errors[kept].round(4).tolist(),
            }
        )
    return sorted(rows, key=lambda row: -order[row["of"]])


def learning_curves(curves: Sequence[Curve], marks: Sequence[Mark]) -> Chart:
    """The validation error of every run by epoch."""
    last = int(max(curve.epochs[-1] for curve in curves))
    smallest, greatest = min(curve.errors.min() for curve in curves), max(curve.errors.max() for curve in curves)
    across = {
        "axis": {"format": "d", **ticks(whole_numbers(last))},
        "scale": {"domain": [1 if last > 1 else 0, last], "nice": False},
    }
    spec = {
        **plane(320, BROAD),
        "transform": [{"flatten": ["epoch", "error"]}],
        "encoding": {
            "x": axis("epoch", "epoch", **across),
            "y": measured("error", "validation error %", smallest, greatest, zero=True),
            "detail": {"field": "run"},
            "color": color(marks),
        },
        "layer": [
            {
                "mark": {"type": "line", "strokeWidth": 1.5, "point": {"size": 24} if last <= 2 else False},
                "encoding": {
                    "opacity": faded(0.9, others=among(len(curves))),
                    "strokeDash": dashes(marks),
                },
            },
            # Unseen and wide, so that the pointer meets it; the page lets it glow.
            {
                "name": TOUCH,
                "mark": {"type": "line", "strokeWidth": 12, "strokeOpacity": 0},
                "encoding": {
                    "tooltip": told(
                        ("run", "run"), ("label", "configuration"), ("told", "repetition"), ("last", "last error %")
                    )
                },
            },
        ],
    }
    description = f"Validation error in percent by epoch, a line for each of {len(curves):,} runs"
    return Chart("learning_curves", "Learning curves", description, RUNS, spec, broad=True, least=LEAST)


def intervals(configurations: Sequence[Configuration], marks: Sequence[Mark], error: str) -> Chart:
    """The mean of each configuration, its interval, and the runs it is the mean of; the best of them.

    Args:
        configurations: best first, at least one.
        marks: of the page.
        error: which it is, in words: "validation error %".
    """
    best = configurations[:MOST_BARS]
    ends = [end for one in best for end in (*one.errors, *(one.interval or ()))]
    x = measured("mean", error, min(ends), max(ends))
    only = [{"filter": f"datum.rank <= {MOST_BARS}"}]
    label = {"field": "label", "type": "nominal", "sort": None, "title": None}
    spec = {
        **plane(len(best) * (24 if len(best) > FEW else 40), BROAD),
        "padding": MARGIN,
        "encoding": {"y": label | {"axis": {"labelLimit": 420, "grid": False}}, "color": color(marks), "x": x},
        "layer": [{"transform": only, "mark": dot(70), "encoding": of_configuration(marks, error)}],
    }
    repeated = any(one.interval for one in best)
    if repeated:
        tick = {
            "transform": [*only, {"flatten": ["errors"]}],
            "mark": {"type": "tick", "thickness": 1.5, "size": 12},
            "encoding": {"x": x | {"field": "errors"}, "opacity": faded(0.6)},
        }
        rule = {
            "transform": [*only, {"filter": "isValid(datum.low)"}],
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {"x": x | {"field": "low"}, "x2": {"field": "high"}, "opacity": faded(0.9)},
        }
        spec["layer"] = [tick, rule, *spec["layer"]]
    title = "Mean and interval" if repeated else f"{error.capitalize()}, best first"
    if len(best) < len(configurations):
        title += f": the best {len(best)}"
    description = f"Mean {error} of {len(best)} configurations, with its interval and each run"
    note = "A point is the mean, the line its 95 % interval by Student's t, each tick a run."
    return Chart("intervals", title, description, CONFIGURATIONS, spec, note if repeated else "", broad=True, least=LEAST)


def among(count: int) -> float:
    """The opacity of the other configurations' lines, among so many: together they are a shade."""
    return 0.9 if count <= MANY else max(0.35 * MANY / count, 0.06)


def of_configuration(marks: Sequence[Mark], error: str) -> Spec:
    """How the point of a configuration looks, and what it tells."""
    fields = (("label", "configuration"), ("settings", "settings"), ("n", "runs"), ("mean", error))
    rest = (("low", "95 % from"), ("high", "to"), ("parameters", "parameters"), ("seconds", "training s"))
    return points(marks) | {"opacity": faded(0.9), "tooltip": told(*fields, *rest)}


def dashes(marks: Sequence[Mark]) -> Spec:
    """How the line of what a row stands for is broken: who sees no colours tells it by that."""
    dashes = [[2, 3] if mark.label == UNFINISHED else [6, 3] if place >= 4 and mark.label != OTHERS else [1, 0]
              for place, mark in enumerate(marks)]  # fmt: skip
    scale = {"domain": [mark.label for mark in marks], "range": dashes}
    return {"field": "of", "type": "nominal", "scale": scale, "legend": None}
