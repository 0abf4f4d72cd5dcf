"""Parallel coordinates: each configuration is a line from setting to setting to its error.

Inselberg 1985, "The plane with parallel coordinates", The Visual Computer 1:69.
"""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mnist_exp.config.conversions import format_value
from mnist_exp.report import encodings as vl
from mnist_exp.report.chart_numbers import needs_log_scale, round_numbers
from mnist_exp.report.comparison_view import Configuration
from mnist_exp.report.encodings import Spec
from mnist_exp.report.setting_values import is_number, ordered, short
from mnist_exp.report.vega import Chart

MAX_AXES = 8  # settings
HEIGHT = 300  # pixels
AXIS_WIDTH = 120  # pixels from an axis to the next, for its labels
LINE_HEIGHT = 13  # pixels
MAX_CHARACTERS = 16  # of a label
MAX_LINES, LINE_CHARACTERS = 3, 18  # of a title
MAX_NUMBERS = 8  # that are all labelled
LABEL_DISTANCE = 0.055  # of an axis, at least; closer labels would overlap
ABSENT = 0.15  # of an axis, below its numbers, for configurations without a number


@dataclass(frozen=True)
class Axis:
    """A setting or the error: positions from 0 to 1."""

    title: Sequence[str]  # lines
    positions: Sequence[float]  # of each configuration
    labels: Sequence[tuple[float, str]]


def axis(title: Sequence[str], values: Sequence[Any]) -> Axis:
    """Return an axis: numbers by their size, logarithmic if their range is wide; other values at equal distances."""
    numbers = sorted({float(value) for value in values if is_number(value)})
    if len(numbers) < 2 or not all(value is None or is_number(value) for value in values):
        known = ordered(values)
        positions = {format_value(value): round(place / max(len(known) - 1, 1), 4) for place, value in enumerate(known)}
        labels = [(positions[format_value(value)], short(value, MAX_CHARACTERS)) for value in known]
        return Axis(title, [positions[format_value(value)] for value in values], _readable(labels))
    log = needs_log_scale(numbers[0], numbers[-1])
    scale = math.log if log else float
    least, greatest = scale(numbers[0]), scale(numbers[-1])
    bottom = ABSENT if None in values else 0.0

    def position(number: float) -> float:
        return round(bottom + (1 - bottom) * (scale(number) - least) / (greatest - least), 4)

    labels = [(position(number), short(number)) for number in numbers]
    if len(numbers) > MAX_NUMBERS or _readable(labels) != labels:
        between = round_numbers(numbers[0], numbers[-1], log)
        shown = between if len(between) > 1 else [numbers[0], numbers[-1]]
        labels = [(position(number), short(number)) for number in shown]
    if None in values:
        labels = [(0.0, short(None)), *labels]
    positions_ = [0.0 if value is None else position(float(value)) for value in values]
    return Axis([*title, *(["logarithmic"] if log else [])], positions_, _readable(labels))


def draw(configurations: Sequence[Configuration], error: str) -> Chart:
    """Draw the settings that differ, and the error.

    Args:
        configurations: best first, at least one, with a setting that differs.
        error: the heading of the metric: "validation error %".
    """
    keys = [*configurations[0].settings]
    columns = {key: [one.settings[key] for one in configurations] for key in keys[:MAX_AXES]}
    columns[error] = [one.mean for one in configurations]
    axes = {f"p{place}": axis(_lines(title), values) for place, (title, values) in enumerate(columns.items())}
    rows = [
        {**one.style.columns, "label": one.label, "settings": one.overrides, "mean": round(one.mean, 4)}
        | {name: each.positions[place] for name, each in axes.items()}
        for place, one in enumerate(configurations)
    ]
    x = vl.nominal("axis", scale={"type": "point", "domain": [*axes]}, axis=None)
    y = vl.quantitative("position", scale={"domain": [0, 1]}, axis=None)
    fold = {"fold": [*axes], "as": ["axis", "position"]}
    fields = vl.tooltip(label="configuration", settings="settings", mean=error)
    visible, touch = vl.lines({"x": x, "y": y, "detail": {"field": "label"}}, len(rows), fields, fold)
    vertical, *labels = _scales(axes, x, y)
    spec = vl.chart(HEIGHT, vertical, visible, *labels, touch, width=vl.WIDE)
    description = f"Parallel coordinates: a line for each of {len(configurations):,} configurations, by settings and {error}"
    note = "Each line is a configuration. It crosses each axis at its setting, and the last axis at its error."
    note += f" Left out: {', '.join(keys[MAX_AXES:])}." if len(keys) > MAX_AXES else ""
    # The best comes last in the table, so that it is drawn above the others.
    return Chart(
        "parallel", "Settings and error", description, "parallel", rows[::-1], spec, note, wide=True,
        min_width=AXIS_WIDTH * len(axes),
    )  # fmt: skip


def _readable(labels: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Return the labels that do not overlap, from the lowest."""
    kept: list[tuple[float, str]] = []
    for position, text in labels:
        if not kept or position - kept[-1][0] >= LABEL_DISTANCE:
            kept.append((position, text))
    return kept


def _lines(key: str) -> list[str]:
    """Return a title in lines: a key broken after its dots, a phrase at its spaces."""
    broken = textwrap.wrap(key.replace(".", ". "), LINE_CHARACTERS, max_lines=MAX_LINES, placeholder="…")
    return [line.replace(". ", ".") for line in broken]


def _scales(axes: dict[str, Axis], x: Spec, y: Spec) -> list[Spec]:
    """Return the lines of the axes; ticks and labels on their left; titles above, with their last lines at one height."""
    most = max(len(each.title) for each in axes.values())
    ends = [{"axis": name, "position": 0, "top": 1} for name in axes]
    labels = [{"axis": name, "position": at, "text": text} for name, each in axes.items() for at, text in each.labels]
    titles = [
        {"axis": name, "text": "\n".join([""] * (most - len(each.title)) + [*each.title])} for name, each in axes.items()
    ]
    text = vl.nominal("text")
    font: Spec = {"lineBreak": "\n", "lineHeight": LINE_HEIGHT, "fontSize": 11}
    tick: Spec = {"orient": "horizontal", "size": 7, "thickness": 1, "color": "currentColor", "opacity": 0.6}
    above = {"x": x, "y": {"value": -most * LINE_HEIGHT - 6}, "text": text}
    return [
        vl.layer("rule", {"x": x, "y": y, "y2": {"field": "top"}}, rows=ends, color="currentColor", opacity=0.35),
        vl.layer("tick", {"x": x, "y": y}, rows=labels, **tick),
        vl.layer("text", {"x": x, "y": y, "text": text}, rows=labels, align="right", baseline="middle", dx=-7, **font),
        vl.layer("text", above, rows=titles, align="center", baseline="top", **font),
    ]
