"""Parallel coordinates: each configuration a line from setting to setting to its error.

After Inselberg 1985, "The plane with parallel coordinates", The Visual Computer 1:69.
"""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mnist_exp.config.problems import show as typed
from mnist_exp.report.configurations import Configuration, among, dashes
from mnist_exp.report.encodings import BROAD, Mark, color, faded, far_apart, plane, round_numbers, shown_as, steps, told
from mnist_exp.report.setting_values import is_number, ordered, short
from mnist_exp.report.vega import TOUCH, Chart, Spec

PARALLEL = "parallel"  # the chart and its table
MOST_AXES = 8  # settings
HEIGHT = 300  # pixels
ROOM = 120  # pixels from an axis to the next, which its labels need
LINE = 13  # pixels of a line of text
MOST_CHARACTERS = 16  # of a label
MOST_LINES, LONGEST_LINE = 3, 18  # of a title
MOST_VALUES = 8  # numbers that are all labelled, if they are no more
NEAREST = 0.055  # of an axis: labels that are nearer would overlap
ABSENT = 0.15  # of an axis, below its numbers, for those who have none


@dataclass(frozen=True)
class Axis:
    """A setting or the error: where each configuration crosses it, from 0 to 1, and its labels."""

    title: Sequence[str]  # lines
    places: Sequence[float]
    labels: Sequence[tuple[float, str]]


def axis(title: Sequence[str], values: Sequence[Any]) -> Axis:
    """Numbers lie where they measure, logarithmically if they are far apart; anything else at equal distances."""
    numbers = sorted({float(value) for value in values if is_number(value)})
    if len(numbers) < 2 or not all(value is None or is_number(value) for value in values):
        return _choices(title, values)
    absent = None in values
    log = far_apart(numbers[0], numbers[-1])
    least, greatest = (math.log(end) if log else end for end in (numbers[0], numbers[-1]))

    def place(number: float) -> float:
        share = ((math.log(number) if log else number) - least) / (greatest - least)
        return round(ABSENT + (1 - ABSENT) * share if absent else share, 4)

    labels = [(place(number), short(number)) for number in numbers]
    if len(numbers) > MOST_VALUES or len(_readable(labels)) < len(labels):
        between = list((round_numbers if log else steps)(numbers[0], numbers[-1]))
        labels = [(place(number), short(number)) for number in (between if len(between) > 1 else (numbers[0], numbers[-1]))]
    if absent:
        labels = [(0.0, short(None)), *labels]
    places = [0.0 if value is None else place(float(value)) for value in values]
    return Axis([*title, *(["logarithmic"] if log else [])], places, _readable(labels))


def chart(configurations: Sequence[Configuration], marks: Sequence[Mark], error: str) -> tuple[Chart, list[dict[str, Any]]]:
    """Parallel coordinates over the settings that differ, with their table.

    Args:
        configurations: best first, at least one, which differ in a setting.
        marks: of the page.
        error: which it is, in words: "validation error %".
    """
    keys = [*configurations[0].settings]
    axes = [axis(_lines(key), [one.settings[key] for one in configurations]) for key in keys[:MOST_AXES]]
    axes.append(axis(_lines(error), [one.mean for one in configurations]))
    names = [f"p{place}" for place in range(len(axes))]
    rows = [
        {"of": shown_as(one.label, marks), "label": one.label, "settings": one.told, "mean": round(one.mean, 4)}
        | {name: each.places[place] for name, each in zip(names, axes, strict=True)}
        for place, one in enumerate(configurations)
    ]
    most = max(len(each.title) for each in axes)
    x = {"field": "axis", "type": "nominal", "scale": {"type": "point", "domain": names}, "axis": None}
    y = {"field": "place", "type": "quantitative", "scale": {"domain": [0, 1]}, "axis": None}
    unfolded = {"transform": [{"fold": names, "as": ["axis", "place"]}]}
    line = {"x": x, "y": y, "detail": {"field": "label"}, "color": color(marks)}
    fields = told(("label", "configuration"), ("settings", "settings"), ("mean", error))
    spec = {
        **plane(HEIGHT, BROAD),
        "layer": [
            _ruler(names, x, y),
            unfolded
            | {
                "mark": {"type": "line", "strokeWidth": 1.5},
                "encoding": line | {"opacity": faded(0.9, others=among(len(configurations))), "strokeDash": dashes(marks)},
            },
            *_texts(names, axes, most, x, y),
            unfolded
            | {
                "name": TOUCH,
                "mark": {"type": "line", "strokeWidth": 10, "strokeOpacity": 0},
                "encoding": line | {"tooltip": fields},
            },
        ],
    }
    description = f"Parallel coordinates: a line for each of {len(configurations):,} configurations, by settings and {error}"
    note = "A line is a configuration: where it crosses an axis is its setting, at the last axis its error."
    if left := keys[MOST_AXES:]:
        note += f" Left out: {', '.join(left)}."
    drawn = Chart(PARALLEL, "From settings to error", description, PARALLEL, spec, note, broad=True, least=ROOM * len(axes))
    return drawn, rows[::-1]  # the best is drawn last, on top


def _choices(title: Sequence[str], values: Sequence[Any]) -> Axis:
    known = ordered(values)
    places = {typed(value): round(place / max(len(known) - 1, 1), 4) for place, value in enumerate(known)}
    labels = [(places[typed(value)], short(value, MOST_CHARACTERS)) for value in known]
    return Axis(title, [places[typed(value)] for value in values], _readable(labels))


def _readable(labels: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """From the lowest, those that do not overlap."""
    kept: list[tuple[float, str]] = []
    for place, text in labels:
        if not kept or place - kept[-1][0] >= NEAREST:
            kept.append((place, text))
    return kept


def _lines(key: str) -> list[str]:
    """A key broken after its dots, or words at their spaces."""
    broken = textwrap.wrap(key.replace(".", ". "), LONGEST_LINE, max_lines=MOST_LINES, placeholder="…")
    return [line.replace(". ", ".") for line in broken]


def _ruler(names: Sequence[str], x: Spec, y: Spec) -> Spec:
    rows = [{"axis": name, "place": 0, "top": 1} for name in names]
    rule = {"type": "rule", "color": "currentColor", "opacity": 0.35}
    return {"data": {"values": rows}, "mark": rule, "encoding": {"x": x, "y": y, "y2": {"field": "top"}}}


def _texts(names: Sequence[str], axes: Sequence[Axis], most: int, x: Spec, y: Spec) -> list[Spec]:
    """Labels left of each axis with their ticks, and titles above, which end on one line."""
    pairs = list(zip(names, axes, strict=True))
    labels = [{"axis": name, "place": place, "text": text} for name, each in pairs for place, text in each.labels]
    above = {name: [""] * (most - len(each.title)) + [*each.title] for name, each in pairs}
    titles = [{"axis": name, "text": "\n".join(lines)} for name, lines in above.items()]
    tick = {"type": "tick", "orient": "horizontal", "size": 7, "thickness": 1, "color": "currentColor", "opacity": 0.6}
    text = {"type": "text", "lineBreak": "\n", "lineHeight": LINE, "fontSize": 11}
    return [
        {"data": {"values": labels}, "mark": tick, "encoding": {"x": x, "y": y}},
        {
            "data": {"values": labels},
            "mark": text | {"align": "right", "baseline": "middle", "dx": -7},
            "encoding": {"x": x, "y": y, "text": {"field": "text", "type": "nominal"}},
        },
        {
            "data": {"values": titles},
            "mark": text | {"align": "center", "baseline": "top"},
            "encoding": {"x": x, "y": {"value": -most * LINE - 6}, "text": {"field": "text", "type": "nominal"}},
        },
    ]
