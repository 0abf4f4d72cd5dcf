"""Heat maps: the mean error for each pair of values of two settings, where every pair was tried."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnist_exp.config.problems import show as typed
from mnist_exp.report.configurations import Configuration
from mnist_exp.report.encodings import far_apart, plane, told
from mnist_exp.report.setting_values import ordered
from mnist_exp.report.vega import Chart, Spec

MOST_VALUES = 12  # of a setting
MOST_GRIDS = 3
CELL = 34  # pixels high
NARROWEST = 48  # pixels wide, for a number of five characters
CHARACTER = 6.5  # pixels, about
MOST_CHARACTERS = 16  # of a label
HALF = 430  # pixels: what a chart of half the page's width has at least
# From the lowest error to the highest: cividis, which looks the same to those who see few colours.
# Nuñez, Anderton & Renslow 2018, "Optimizing colormaps with consideration for color vision deficiency", PLOS ONE 13:7.
CIVIDIS = ((254, 232, 56), (188, 175, 111), (124, 123, 120), (65, 77, 107), (0, 34, 78))

Pair = tuple[str, str]  # as both values are told


@dataclass(frozen=True)
class Grid:
    """Two settings, their values in order, and the errors of the configurations that have both."""

    across: str
    down: str
    columns: Sequence[str]
    rows: Sequence[str]
    errors: dict[Pair, list[float]]  # by column and row

    @property
    def means(self) -> dict[Pair, float]:
        return {pair: float(np.mean(errors)) for pair, errors in self.errors.items()}

    @property
    def spread(self) -> float:
        """How much the means differ."""
        return max(self.means.values()) - min(self.means.values())


def grids(configurations: Sequence[Configuration]) -> list[Grid]:
    """The pairs of settings of which every combination has a result, those first whose cells differ most.

    If only two settings differ, half of the combinations are enough: a cell that is missing is a job that failed.
    """
    keys = [*configurations[0].settings] if configurations else []
    found = []
    for first, second in itertools.combinations(keys, 2):
        grid = _grid(configurations, first, second)
        cells = len(grid.columns) * len(grid.rows)
        sizes = sorted((len(grid.columns), len(grid.rows)))
        enough = len(grid.errors) * 2 > cells if len(keys) == 2 else len(grid.errors) == cells
        if sizes[0] > 1 and sizes[1] <= MOST_VALUES and enough:
            found.append(grid)
    return sorted(found, key=lambda grid: -grid.spread)[:MOST_GRIDS]


def charts(configurations: Sequence[Configuration], error: str) -> Iterator[tuple[Chart, list[dict[str, Any]]]]:
    """A heat map of each grid, with the rows of its table.

    Args:
        configurations: best first.
        error: which it is, in words: "validation error %".
    """
    for place, grid in enumerate(grids(configurations)):
        yield _chart(f"grid{place}", grid, error), _cells(grid)


def shade(share: float) -> tuple[str, str]:
    """The colour of a cell, from 0, the lowest error, to 1, and of the text on it, which stands out by 4.5 : 1."""
    at = share * (len(CIVIDIS) - 1)
    below = min(int(at), len(CIVIDIS) - 2)
    color = [round(low + (high - low) * (at - below)) for low, high in zip(CIVIDIS[below], CIVIDIS[below + 1], strict=True)]
    return "#{:02x}{:02x}{:02x}".format(*color), "#000000" if _luminance(color) > 0.179 else "#ffffff"


def _grid(configurations: Sequence[Configuration], first: str, second: str) -> Grid:
    """The setting with more values goes across."""
    values = {key: ordered(one.settings[key] for one in configurations) for key in (first, second)}
    down, across = sorted(values, key=lambda key: len(values[key]))
    errors: dict[Pair, list[float]] = {}
    for one in configurations:
        errors.setdefault((typed(one.settings[across]), typed(one.settings[down])), []).append(one.mean)
    return Grid(across, down, [*map(typed, values[across])], [*map(typed, values[down])], errors)


def _cells(grid: Grid) -> list[dict[str, Any]]:
    means = grid.means
    least, greatest = min(means.values()), max(means.values())
    log = far_apart(least, greatest)
    low, high = (math.log(end) if log else end for end in (least, greatest))
    rows = []
    for (column, row), mean in means.items():
        share = ((math.log(mean) if log else mean) - low) / (high - low) if high > low else 0.0
        fill, ink = shade(share)
        best = mean == least
        rows.append(
            {
                "column": column,
                "row": row,
                "mean": round(mean, 4),
                "n": len(grid.errors[column, row]),
                "text": f"★ {mean:.2f}" if best else f"{mean:.2f}",
                "fill": fill,
                "ink": ink,
                "best": best,
            }
        )
    return rows


def _chart(name: str, grid: Grid, error: str) -> Chart:
    limit = {"labelLimit": int(MOST_CHARACTERS * CHARACTER), "grid": False, "domain": False}
    x = _side("column", grid.across, grid.columns, limit | {"labelAngle": 0, "labelOverlap": False})
    y = _side("row", grid.down, grid.rows, limit)
    fields = told(("column", grid.across), ("row", grid.down), ("mean", f"mean {error}"), ("n", "configurations"))
    spec = {
        **plane(max(CELL * len(grid.rows), int(len(grid.down) * CHARACTER))),  # the title stands beside it, upright
        "encoding": {"x": x, "y": y},
        "layer": [
            {"mark": {"type": "rect"}, "encoding": {"color": _own("fill"), "tooltip": fields}},
            {
                "transform": [{"filter": "datum.best"}],
                "mark": {"type": "rect", "fillOpacity": 0, "stroke": "currentColor", "strokeWidth": 2.5},
                "encoding": {"tooltip": fields},
            },
            {
                "mark": {"type": "text", "fontSize": 12, "opacity": 1},
                "encoding": {"text": {"field": "text", "type": "nominal"}, "color": _own("ink"), "tooltip": fields},
            },
        ],
    }
    means = grid.means
    column, row = min(means, key=means.__getitem__)
    description = (
        f"Mean {error} for each pair of {grid.across} and {grid.down}; "
        f"the lowest is {means[column, row]:.2f} at {grid.across} {column} and {grid.down} {row}"
    )
    several = max(len(errors) for errors in grid.errors.values()) > 1
    note = f"Mean {error}{' over all other settings' if several else ''}; the brighter, the lower"
    note += ", logarithmically" if far_apart(min(means.values()), max(means.values())) else ""
    longest = max(len(text) for text in grid.columns)
    wide = max(NARROWEST, min(longest, MOST_CHARACTERS) * CHARACTER + 10)
    margin = min(max(len(text) for text in grid.rows), MOST_CHARACTERS) * CHARACTER + 40
    least = int(wide * len(grid.columns) + margin)
    title = f"{grid.down} and {grid.across}"
    return Chart(name, title, description, name, spec, f"{note}. ★ is the lowest.", broad=least > HALF, least=least)


def _side(field: str, title: str, values: Sequence[str], look: Spec) -> Spec:
    scale = {"domain": [*values], "paddingInner": 0.03}
    return {"field": field, "type": "nominal", "title": title, "scale": scale, "axis": look}


def _own(field: str) -> Spec:
    """A colour that stands in the row itself."""
    return {"field": field, "type": "nominal", "scale": None, "legend": None}


def _luminance(color: Sequence[int]) -> float:
    """From 0 to 1, by WCAG 2.2."""
    red, green, blue = (c / 3294.6 if c <= 10.31475 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
