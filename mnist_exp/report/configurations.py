"""Charts of many runs: their curves, and what their configurations came to against what they cost.

The best configurations have a colour and a shape each, which are the same in every chart and in the page's legend; the rest
share a grey. The signal `picked` holds what the reader chose in the legend, and the others fade.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnist_exp.report.charts import thinned
from mnist_exp.report.vega import TOUCH, Chart, Spec

# Each stands out by 3 : 1 on white and on the dark card.
COLORS = ("#4a80c8", "#d1603d", "#2f9665", "#9b6bd3", "#a17a1c", "#c0508f", "#29909e", "#6f8f2f")
SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "triangle-right", "triangle-left")
SIGNS = "●■◆▲✚▼►◄"  # the shapes in the legend
GREY = "#808894"
OTHERS, UNFINISHED = "other configurations", "without a result"

MOST_BARS = 30  # intervals in one chart
FADED = 0.12  # opacity
MANY = 60  # curves, where those of the others would cover the best
FEW = 6  # intervals, which have more room
MARGIN = {"left": 28, "right": 5, "top": 5, "bottom": 5}  # a reader's font may be wider than the one that is measured
MOST_POINTS = 12_000  # of all curves together
FEWEST_POINTS, ENOUGH_POINTS = 12, 200  # of one of them
WIDTH, BROAD = 480, 1040  # pixels, where no script fits the chart to the page: a chart of half its width, and of all of it
WIDE = 6.0  # from the least to the greatest: a logarithmic axis shows more

CONFIGURATIONS, RUNS = "configurations", "runs"  # the tables


@dataclass(frozen=True)
class Configuration:
    """What the completed runs of one configuration came to; errors in percent."""

    rank: int
    label: str  # short, with its rank: no other has the same
    settings: str
    errors: Sequence[float]  # of each run
    mean: float
    interval: tuple[float, float] | None
    parameters: int
    seconds: float


@dataclass(frozen=True)
class Curve:
    """One run by epoch."""

    run: str
    label: str | None  # of its configuration, if that has a rank
    told: str  # its seed, and how it ended if it has no result
    epochs: np.ndarray  # int64 (n,), n ≥ 1
    errors: np.ndarray  # validation, in percent, float64 (n,)


@dataclass(frozen=True)
class Mark:
    """What stands for a configuration, or for several, in every chart."""

    label: str
    color: str
    shape: str
    sign: str


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


def shown_as(label: str | None, marks: Sequence[Mark]) -> str:
    """The label of the mark that stands for a configuration."""
    if label is None:
        return UNFINISHED
    return label if any(mark.label == label for mark in marks) else OTHERS


def configuration_rows(configurations: Sequence[Configuration], marks: Sequence[Mark]) -> list[dict[str, Any]]:
    """The table of the charts that have a mark for each configuration."""
    return [
        {
            "of": shown_as(one.label, marks),
            "rank": one.rank,
            "label": one.label,
            "settings": one.settings,
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
        "axis": {"format": "d", **_ticks(_whole_numbers(last))},
        "scale": {"domain": [1 if last > 1 else 0, last], "nice": False},
    }
    spec = {
        **plane(320, BROAD),
        "transform": [{"flatten": ["epoch", "error"]}],
        "encoding": {
            "x": _axis("epoch", "epoch", **across),
            "y": measured("error", "validation error %", smallest, greatest, zero=True),
            "detail": {"field": "run"},
            "color": _color(marks),
        },
        "layer": [
            {
                "mark": {"type": "line", "strokeWidth": 1.5, "point": {"size": 24} if last <= 2 else False},
                "encoding": {
                    "opacity": faded(0.9, others=0.9 if len(curves) <= MANY else 0.35),
                    "strokeDash": _dashes(marks),
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
    return Chart("learning_curves", "Learning curves", description, RUNS, spec)


def intervals(configurations: Sequence[Configuration], marks: Sequence[Mark], images: str) -> Chart:
    """The mean of each configuration, its interval, and the runs it is the mean of; the best of them.

    Args:
        configurations: best first, at least one.
        marks: of the page.
        images: which error it is: validation or test.
    """
    best = configurations[:MOST_BARS]
    ends = [end for one in best for end in (*one.errors, *(one.interval or ()))]
    x = measured("mean", f"{images} error %", min(ends), max(ends))
    only = [{"filter": f"datum.rank <= {MOST_BARS}"}]
    label = {"field": "label", "type": "nominal", "sort": None, "title": None}
    spec = {
        **plane(len(best) * (24 if len(best) > FEW else 40), BROAD),
        "padding": MARGIN,
        "encoding": {"y": label | {"axis": {"labelLimit": 420, "grid": False}}, "color": _color(marks), "x": x},
        "layer": [{"transform": only, "mark": _dot(70), "encoding": _of_configuration(marks, images)}],
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
    title = "Mean and interval" if repeated else f"{images.capitalize()} error, best first"
    if len(best) < len(configurations):
        title += f": the best {len(best)}"
    description = f"Mean {images} error in percent of {len(best)} configurations, with its interval and each run"
    note = "A point is the mean, the line its 95 % interval by Student's t, each tick a run."
    return Chart("intervals", title, description, CONFIGURATIONS, spec, note if repeated else "")


def costs(configurations: Sequence[Configuration], marks: Sequence[Mark], images: str) -> Iterator[Chart]:
    """The error of each configuration against its parameters and its training time, where these differ."""
    means = [one.mean for one in configurations]
    for field, title, unit in (("parameters", "Error and size", "parameters"), ("seconds", "Error and time", "training s")):
        cost = [getattr(one, field) for one in configurations]
        if len(set(cost)) < 2:
            continue
        x = measured(field, unit, min(cost), max(cost))
        y = measured("mean", f"{images} error %", min(means), max(means))
        spec = {
            **plane(280),
            "mark": _dot(80),
            "encoding": {"x": x, "y": y, **_of_configuration(marks, images)},
        }
        yield Chart(field, title, f"Mean {images} error in percent against {unit}", CONFIGURATIONS, spec)


def measured(field: str, title: str, least: float, greatest: float, zero: bool = False, log: bool | None = None) -> Spec:
    """An axis of numbers, logarithmic if it is to be, or if they lie far apart; its title says it."""
    axis: Spec = {"labelOverlap": True} | ({"format": "~s"} if greatest >= 1e4 else {})
    if not (least > 0 and (greatest / least > WIDE if log is None else log)):
        return _axis(field, title, scale={"zero": zero, "padding": 0 if zero else 8}, axis=axis)
    if len(numbers := list(_round_numbers(least, greatest))) > 1:
        axis |= _ticks(numbers)
    scale = {"type": "log", "nice": False, "padding": 8}
    return _axis(field, f"{title}, logarithmic", scale=scale, axis={"format": "~r"} | axis)


def faded(opacity: float, others: float | None = None) -> Spec:
    """Opaque so far, `others` less so, and hardly to be seen while the reader has picked something else."""
    hidden = {"test": "picked !== null && picked !== datum.of", "value": FADED}
    grey = {"test": f"picked === null && datum.of === '{OTHERS}'", "value": opacity if others is None else others}
    return {"condition": [hidden, grey], "value": opacity}


def told(*fields: tuple[str, str]) -> list[Spec]:
    """A tooltip: fields of the table, each with its title."""
    return [{"field": field, "title": title} for field, title in fields]


def points(marks: Sequence[Mark]) -> Spec:
    """The colour and shape of a point by what it stands for."""
    labels = [mark.label for mark in marks]
    shape = {"scale": {"domain": labels, "range": [mark.shape for mark in marks]}, "legend": None}
    return {"color": _color(marks), "shape": {"field": "of", "type": "nominal", **shape}}


def plane(height: int, width: int = WIDTH) -> Spec:
    """The size of a chart in pixels, and the signal of what is picked."""
    return {"width": width, "height": height, "params": [{"name": "picked", "value": None}]}


def _ticks(values: Sequence[float]) -> Spec:
    """These and no others; without the count, Vega would leave out some of them."""
    return {"values": [*values], "tickCount": len(values)}


def _whole_numbers(last: int) -> list[int]:
    """About eight numbers up to the last one, not halves of epochs."""
    step = next(step for step in (factor * 10**power for power in range(12) for factor in (1, 2, 5)) if step * 8 >= last)
    return list(range(step, last + 1, step))


def _round_numbers(least: float, greatest: float) -> Iterator[float]:
    """Numbers that are easily read from one to another, the fewer of each decade, the more decades there are."""
    decades = range(math.floor(math.log10(least)), math.ceil(math.log10(greatest)) + 1)
    ratio = greatest / least
    steps = (1, 1.5, 2, 3, 5, 7) if ratio < 20 else (1, 2, 5) if ratio < 500 else (1,)
    for number in (float(f"{step}e{decade}") for decade in decades for step in steps):
        if least <= number <= greatest:
            yield number


def _of_configuration(marks: Sequence[Mark], images: str) -> Spec:
    fields = (("label", "configuration"), ("settings", "settings"), ("n", "runs"), ("mean", f"{images} error %"))
    rest = (("low", "95 % from"), ("high", "to"), ("parameters", "parameters"), ("seconds", "training s"))
    return points(marks) | {"opacity": faded(0.9), "tooltip": told(*fields, *rest)}


def _axis(field: str, title: str, **more: Any) -> Spec:
    return {"field": field, "type": "quantitative", "title": title, **more}


def _color(marks: Sequence[Mark]) -> Spec:
    scale = {"domain": [mark.label for mark in marks], "range": [mark.color for mark in marks]}
    return {"field": "of", "type": "nominal", "scale": scale, "legend": None}


def _dashes(marks: Sequence[Mark]) -> Spec:
    dashes = [[2, 3] if mark.label == UNFINISHED else [6, 3] if place >= 4 and mark.label != OTHERS else [1, 0]
              for place, mark in enumerate(marks)]  # fmt: skip
    scale = {"domain": [mark.label for mark in marks], "range": dashes}
    return {"field": "of", "type": "nominal", "scale": scale, "legend": None}


def _dot(size: int) -> Spec:
    return {"type": "point", "filled": True, "size": size}
