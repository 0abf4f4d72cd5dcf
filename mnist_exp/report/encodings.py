"""How fields of a table are drawn, the same in every chart: marks, axes of numbers, tooltips, and what fades.

The signal `picked` holds what the reader chose in the legend.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mnist_exp.report.vega import Spec

OTHERS, UNFINISHED = "other configurations", "without a result"
FADED = 0.12  # opacity
MARGIN = {"left": 28, "right": 5, "top": 5, "bottom": 5}  # a reader's font may be wider than the one that is measured
WIDTH, BROAD = 480, 1040  # pixels, where no script fits the chart to the page: a chart of half its width, and of all of it
LEAST_STEP = 1e-300  # what is smaller cannot be divided by
WIDE = 6.0  # from the least to the greatest: a logarithmic axis shows more


@dataclass(frozen=True)
class Mark:
    """What stands for a configuration, or for several, in every chart."""

    label: str
    color: str
    shape: str
    sign: str


def shown_as(label: str | None, marks: Sequence[Mark]) -> str:
    """The label of the mark that stands for a configuration."""
    if label is None:
        return UNFINISHED
    return label if any(mark.label == label for mark in marks) else OTHERS


def measured(field: str, title: str, least: float, greatest: float, zero: bool = False, log: bool | None = None) -> Spec:
    """An axis of numbers, logarithmic if it is to be, or if they lie far apart; its title says it."""
    look: Spec = {"labelOverlap": True} | ({"format": "~s"} if greatest >= 1e4 else {})
    if not (least > 0 and (far_apart(least, greatest) if log is None else log)):
        return axis(field, title, scale={"zero": zero, "padding": 0 if zero else 8}, axis=look)
    if len(numbers := list(round_numbers(least, greatest))) > 1:
        look |= ticks(numbers)
    scale = {"type": "log", "nice": False, "padding": 8}
    return axis(field, f"{title}, logarithmic", scale=scale, axis={"format": "~r"} | look)


def far_apart(least: float, greatest: float) -> bool:
    """Whether numbers from the least to the greatest are drawn on a logarithmic scale."""
    return least > 0 and greatest / least > WIDE


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
    return {"color": color(marks), "shape": {"field": "of", "type": "nominal", **shape}}


def plane(height: int, width: int = WIDTH) -> Spec:
    """The size of a chart in pixels, and the signal of what is picked."""
    return {"width": width, "height": height, "params": [{"name": "picked", "value": None}]}


def ticks(values: Sequence[float]) -> Spec:
    """These and no others; without the count, Vega would leave out some of them."""
    return {"values": [*values], "tickCount": len(values)}


def whole_numbers(last: int) -> list[int]:
    """About eight numbers up to the last one, not halves of epochs."""
    step = next(step for step in (factor * 10**power for power in range(12) for factor in (1, 2, 5)) if step * 8 >= last)
    return list(range(step, last + 1, step))


def round_numbers(least: float, greatest: float) -> Iterator[float]:
    """Numbers above 0 that are easily read from one to another, the fewer of each decade, the more decades there are."""
    decades = range(math.floor(math.log10(least)), math.ceil(math.log10(greatest)) + 1)
    ratio = greatest / least
    steps = (1, 1.5, 2, 3, 5, 7) if ratio < 20 else (1, 2, 5) if ratio < 500 else (1,)
    for number in (float(f"{step}e{decade}") for decade in decades for step in steps):
        if least <= number <= greatest:
            yield number


def dot(size: int = 80) -> Spec:
    """A point whose area is so many square pixels."""
    return {"type": "point", "filled": True, "size": size}


def steps(least: float, greatest: float) -> list[float]:
    """About five round numbers at equal distances, from the least to the greatest; none where these are hardly apart."""
    if greatest - least < LEAST_STEP:
        return []
    first = math.floor(math.log10(greatest - least)) - 1
    sizes = (float(f"{factor}e{power}") for power in range(first, first + 3) for factor in (1, 2, 5))
    step = next(size for size in sizes if (greatest - least) / size <= 5)
    numbers = range(math.ceil(least / step), math.floor(greatest / step) + 1)
    return [float(f"{number * step:.12g}") for number in numbers]


def front_line(x: Spec, y: Spec, column: str) -> Spec:
    """A layer that joins, as stairs, the points that are on the Pareto front: those of which a column says it."""
    line = {"type": "line", "interpolate": "step-after", "color": "currentColor", "strokeWidth": 1.5, "opacity": 0.55}
    encoding = {"x": x, "y": y, "order": {"field": x["field"]}}
    return {"transform": [{"filter": f"datum.{column}"}], "mark": line, "encoding": encoding}


def axis(field: str, title: str, **more: Any) -> Spec:
    """A field of numbers along an axis."""
    return {"field": field, "type": "quantitative", "title": title, **more}


def color(marks: Sequence[Mark]) -> Spec:
    """The colour of what a row stands for; the page has the legend."""
    scale = {"domain": [mark.label for mark in marks], "range": [mark.color for mark in marks]}
    return {"field": "of", "type": "nominal", "scale": scale, "legend": None}
