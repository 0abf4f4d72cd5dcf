"""Vega-Lite specifications shared by all charts of many runs: styles, axes, tooltips and layers.

Each row of a chart's table has the columns of a style (`group`, `color`, `shape`, `dash`), which Vega uses as they are. The
parameter `selected` is the label that the reader has selected in the legend, or null.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mnist_exp.report.chart_numbers import needs_log_scale, round_numbers

Spec = dict[str, Any]
Row = dict[str, Any]

# Each has a contrast of 3 : 1 on white and on the dark card.
COLORS = ("#4a80c8", "#d1603d", "#2f9665", "#9b6bd3", "#a17a1c", "#c0508f", "#29909e", "#6f8f2f")
SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "triangle-right", "triangle-left")
SYMBOLS = "●■◆▲✚▼►◄"  # the shapes in the legend
GREY = "#808894"
FADED = 0.12  # opacity of what the reader has not selected
MANY_LINES = 60  # with more, the lines of the other configurations would cover the best
WIDTH, WIDE = 480, 1040  # pixels, where no script fits the chart to the page: half the page's width, and all of it
MARGIN = {"left": 28, "right": 5, "top": 5, "bottom": 5}  # pixels; a reader's font may be wider than the measured one
TOUCH = "touch"  # the layer that only the pointer uses


@dataclass(frozen=True)
class Style:
    """How a configuration looks in every chart and in the legend; colours are never the only difference."""

    label: str
    color: str
    shape: str
    symbol: str
    dash: tuple[int, int] = (1, 0)

    @property
    def columns(self) -> Row:
        """Its columns of a chart's table."""
        return {"group": self.label, "color": self.color, "shape": self.shape, "dash": self.dash}


OTHERS = Style("other configurations", GREY, "circle", "●")
UNFINISHED = Style("without a result", GREY, "stroke", "╌", (2, 3))


def style_of(place: int, label: str) -> Style:
    """Return the style of the configuration at a place, from 0: the best eight have their own, the others share one."""
    if place >= len(COLORS):
        return OTHERS
    return Style(label, COLORS[place], SHAPES[place], SYMBOLS[place], (1, 0) if place < 4 else (6, 3))


def opacity(value: float, others: float | None = None) -> Spec:
    """Return the opacity of a mark, which fades while another configuration is selected.

    Args:
        value: from 0 to 1.
        others: of the configurations without a style of their own; None for the same.
    """
    faded = {"test": "selected !== null && selected !== datum.group", "value": FADED}
    grey = {"test": f"selected === null && datum.group === '{OTHERS.label}'", "value": value if others is None else others}
    return {"condition": [faded, grey], "value": value}


def tooltip(**titles: str) -> list[Spec]:
    """Return a tooltip: the title of each column that it shows."""
    return [{"field": field, "title": title} for field, title in titles.items()]


def quantitative(field: str, title: str | None = None, **more: Any) -> Spec:
    """Return a column of numbers."""
    return {"field": field, "type": "quantitative", "title": title, **more}


def nominal(field: str, title: str | None = None, **more: Any) -> Spec:
    """Return a column of texts."""
    return {"field": field, "type": "nominal", "title": title, **more}


COLOR, SHAPE, DASH = (nominal(field, scale=None, legend=None) for field in ("color", "shape", "dash"))  # used as they are


def number_axis(field: str, title: str, values: Sequence[float], zero: bool = False, log: bool | None = None) -> Spec:
    """Return an axis of numbers; the title of a logarithmic one says so.

    Args:
        field, title: the column and its title.
        values: at least one.
        zero: whether a linear axis includes 0.
        log: whether it is logarithmic; None to decide by the values.
    """
    least, greatest = min(values), max(values)
    look: Spec = {"labelOverlap": True} | ({"format": "~s"} if greatest >= 1e4 else {})
    if least <= 0 or not (needs_log_scale(least, greatest) if log is None else log):
        return quantitative(field, title, scale={"zero": zero, "padding": 0 if zero else 8}, axis=look)
    numbers = round_numbers(least, greatest, log=True)
    look = {"format": "~r"} | look | (ticks(numbers) if len(numbers) > 1 else {})
    return quantitative(field, f"{title}, logarithmic", scale={"type": "log", "nice": False, "padding": 8}, axis=look)


def ticks(values: Sequence[float]) -> Spec:
    """Return an axis with these ticks; without the count, Vega leaves some of them out."""
    return {"values": [*values], "tickCount": len(values)}


def layer(mark: str, encoding: Spec, *transforms: Spec, name: str = "", rows: Sequence[Row] = (), **properties: Any) -> Spec:
    """Return a layer of a chart.

    Args:
        mark, properties: the type and the properties of its marks.
        encoding: channels and their columns.
        transforms: of the table.
        name: a CSS class of its marks, with "_marks".
        rows: a table of its own; empty for the chart's.
    """
    parts = {"name": name, "transform": [*transforms], "data": rows and {"values": rows}}
    return {"mark": {"type": mark, **properties}, "encoding": encoding} | {key: part for key, part in parts.items() if part}


def chart(height: int, *layers: Spec, width: int = WIDTH, **more: Any) -> Spec:
    """Return a chart of layers; its size is in pixels."""
    return {"width": width, "height": height, "params": [{"name": "selected", "value": None}], "layer": [*layers], **more}


def points(encoding: Spec, tooltip_: list[Spec], *transforms: Spec, size: int = 80) -> Spec:
    """Return a layer of points in the style of their configurations; the size is in square pixels."""
    look = {"color": COLOR, "shape": SHAPE, "opacity": opacity(0.9), "tooltip": tooltip_}
    return layer("point", encoding | look, *transforms, filled=True, size=size)


def lines(encoding: Spec, count: int, tooltip_: list[Spec], *transforms: Spec, **properties: Any) -> tuple[Spec, Spec]:
    """Return a layer of lines in the style of their configurations, fainter if many, and one of wide invisible lines on top.

    The wide lines show the tooltip: few readers hit a thin line.
    """
    faint = 0.9 if count <= MANY_LINES else max(0.35 * MANY_LINES / count, 0.06)
    look = {"color": COLOR, "strokeDash": DASH, "opacity": opacity(0.9, others=faint)}
    visible = layer("line", encoding | look, *transforms, strokeWidth=1.5, **properties)
    wide = encoding | {"color": COLOR, "tooltip": tooltip_}
    return visible, layer("line", wide, *transforms, name=TOUCH, strokeWidth=10, strokeOpacity=0)


def steps(x: Spec, y: Spec, *transforms: Spec) -> Spec:
    """Return a layer with a line in steps."""
    look: Spec = {"interpolate": "step-after", "color": "currentColor", "strokeWidth": 1.5, "opacity": 0.55}
    return layer("line", {"x": x, "y": y, "order": {"field": x["field"]}}, *transforms, **look)


def pareto_front(x: Spec, y: Spec, column: str, tooltip_: list[Spec], join: bool = True, **encoding: Any) -> list[Spec]:
    """Return layers of points, larger and joined in steps on the Pareto front: in the rows whose `column` is true."""
    size = {"condition": {"test": f"datum.{column}", "value": 110}, "value": 45}
    front = [steps(x, y, {"filter": f"datum.{column}"})] if join else []
    return [*front, points({"x": x, "y": y, "size": size, **encoding}, tooltip_)]
