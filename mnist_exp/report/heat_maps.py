"""Heat maps: the mean error for each pair of values of two settings, where every pair was trained."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mnist_exp.config.problems import format_value
from mnist_exp.report import encodings as vl
from mnist_exp.report.chart_numbers import needs_log_scale
from mnist_exp.report.comparison_view import Configuration
from mnist_exp.report.encodings import Row
from mnist_exp.report.setting_values import ordered
from mnist_exp.report.vega import Chart

MOST_VALUES = 12  # of a setting
MOST_GRIDS = 3
CELL_HEIGHT, MIN_CELL_WIDTH = 34, 48  # pixels; a number has five characters
CHARACTER = 6.5  # pixels, about
MOST_CHARACTERS = 16  # of a label
HALF_PAGE = 430  # pixels
# Black and white text have the same contrast, 4.6 : 1, on a colour of this luminance (WCAG 2.2).
MIDDLE_LUMINANCE = 0.179

Pair = tuple[str, str]  # of values as in overrides


@dataclass(frozen=True)
class Grid:
    """Two settings, their values in order, and the errors of the configurations for each pair of values."""

    x: str
    y: str
    columns: Sequence[str]
    rows: Sequence[str]
    errors: dict[Pair, list[float]]  # by column and row

    @cached_property
    def means(self) -> dict[Pair, float]:
        """The mean error of each pair."""
        return {pair: float(np.mean(errors)) for pair, errors in self.errors.items()}

    @property
    def lowest(self) -> float:
        """The lowest mean."""
        return min(self.means.values())

    @property
    def highest(self) -> float:
        """The highest mean."""
        return max(self.means.values())


def grids(configurations: Sequence[Configuration]) -> list[Grid]:
    """Return the pairs of settings for which every pair of values has a result, those first whose means differ most.

    If only two settings differ, half of the pairs are enough: the others are jobs that failed.
    """
    keys = [*configurations[0].settings] if configurations else []
    complete = []
    for first, second in itertools.combinations(keys, 2):
        grid = _grid(configurations, first, second)
        fewer, more = sorted((len(grid.columns), len(grid.rows)))
        enough = len(grid.errors) * 2 > fewer * more if len(keys) == 2 else len(grid.errors) == fewer * more
        if fewer > 1 and more <= MOST_VALUES and enough:
            complete.append(grid)
    return sorted(complete, key=lambda grid: grid.lowest - grid.highest)[:MOST_GRIDS]


def charts(configurations: Sequence[Configuration], error: str) -> Iterator[Chart]:
    """Draw a heat map of each grid.

    Args:
        configurations: best first.
        error: the heading of the metric: "validation error %".
    """
    for place, grid in enumerate(grids(configurations)):
        yield _chart(f"grid{place}", grid, error)


def _grid(configurations: Sequence[Configuration], first: str, second: str) -> Grid:
    """The setting with more values is the x axis."""
    values = {key: ordered(one.settings[key] for one in configurations) for key in (first, second)}
    y, x = sorted(values, key=lambda key: len(values[key]))
    errors: dict[Pair, list[float]] = {}
    for one in configurations:
        errors.setdefault((format_value(one.settings[x]), format_value(one.settings[y])), []).append(one.mean)
    return Grid(x, y, [*map(format_value, values[x])], [*map(format_value, values[y])], errors)


def _rows(grid: Grid) -> list[Row]:
    return [
        {
            "column": column,
            "row": row,
            "mean": round(mean, 4),
            "n": len(grid.errors[column, row]),
            "text": f"★ {mean:.2f}" if mean == grid.lowest else f"{mean:.2f}",
            "best": mean == grid.lowest,
        }
        for (column, row), mean in grid.means.items()
    ]


def _chart(name: str, grid: Grid, error: str) -> Chart:
    log = needs_log_scale(grid.lowest, grid.highest)
    look = {"labelLimit": int(MOST_CHARACTERS * CHARACTER), "grid": False, "domain": False}
    across = look | {"labelAngle": 0, "labelOverlap": False}
    x = vl.nominal("column", grid.x, scale={"domain": [*grid.columns], "paddingInner": 0.03}, axis=across)
    y = vl.nominal("row", grid.y, scale={"domain": [*grid.rows], "paddingInner": 0.03}, axis=look)
    # Cividis looks the same to readers who see few colours (Nuñez, Anderton & Renslow 2018, PLOS ONE 13:7).
    scale = {"scheme": "cividis", "reverse": True, "type": "log" if log else "linear"}
    bright = f"luminance(scale('color', datum.mean)) > {MIDDLE_LUMINANCE}"
    fields = {"tooltip": vl.tooltip(column=grid.x, row=grid.y, mean=f"mean {error}", n="configurations")}
    fill = {"color": vl.quantitative("mean", scale=scale, legend=None), **fields}
    text = {
        "text": vl.nominal("text"),
        "color": {"condition": {"test": bright, "value": "#000000"}, "value": "#ffffff"},
        **fields,
    }
    layers = [
        vl.layer("rect", fill),
        vl.layer("rect", fields, {"filter": "datum.best"}, fillOpacity=0, stroke="currentColor", strokeWidth=2.5),
        vl.layer("text", text, fontSize=12, opacity=1),
    ]
    height = max(CELL_HEIGHT * len(grid.rows), int(len(grid.y) * CHARACTER))  # the title of the y axis is vertical
    column, row = min(grid.means, key=grid.means.__getitem__)
    description = (
        f"Mean {error} for each pair of {grid.x} and {grid.y}; "
        f"the lowest is {grid.lowest:.2f} at {grid.x} {column} and {grid.y} {row}"
    )
    over_others = " over all other settings" if max(map(len, grid.errors.values())) > 1 else ""
    note = f"Mean {error}{over_others}; brighter is lower{', on a logarithmic scale' if log else ''}. ★ is the lowest."
    characters = [min(max(map(len, texts)), MOST_CHARACTERS) for texts in (grid.columns, grid.rows)]
    width = int(max(MIN_CELL_WIDTH, characters[0] * CHARACTER + 10) * len(grid.columns) + characters[1] * CHARACTER + 40)
    spec = vl.chart(height, *layers, encoding={"x": x, "y": y})
    title = f"{grid.y} and {grid.x}"
    return Chart(name, title, description, name, _rows(grid), spec, note, wide=width > HALF_PAGE, min_width=width)
