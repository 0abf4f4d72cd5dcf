"""Heat maps: the mean error for each pair of values of two settings, where every pair was trained."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mnist_exp.report import encodings as vl
from mnist_exp.report.chart_numbers import needs_log_scale
from mnist_exp.report.comparison_view import Configuration
from mnist_exp.report.encodings import Row
from mnist_exp.report.setting_values import label, ordered
from mnist_exp.report.vega import Chart

MAX_VALUES = 12  # of a setting
MAX_GRIDS = 3
CELL_HEIGHT, MIN_CELL_WIDTH = 34, 48  # pixels; a number has five characters
CHARACTER = 6.5  # pixels, about
MAX_CHARACTERS = 16  # of a label
HALF_PAGE = 430  # pixels
# Black and white text have the same contrast, 4.6 : 1, on a colour of this luminance (WCAG 2.2).
MIDDLE_LUMINANCE = 0.179


@dataclass(frozen=True)
class Grid:
    """Two settings, their values in order, and the mean error for each pair of values."""

    x: str
    y: str
    columns: Sequence[str]
    rows: Sequence[str]
    cells: Sequence[Row]  # n is the number of configurations
    lowest: float
    highest: float


def grids(configurations: Sequence[Configuration]) -> list[Grid]:
    """Return the pairs of settings for which every pair of values has a result, those first whose means differ most.

    If only two settings differ, half of the pairs are enough: the others are jobs that failed.
    """
    keys = [*configurations[0].settings] if configurations else []
    complete = []
    for first, second in itertools.combinations(keys, 2):
        grid = _grid(configurations, first, second)
        fewer, more = sorted((len(grid.columns), len(grid.rows)))
        enough = len(grid.cells) * 2 > fewer * more if len(keys) == 2 else len(grid.cells) == fewer * more
        if fewer > 1 and more <= MAX_VALUES and enough:
            complete.append(grid)
    return sorted(complete, key=lambda grid: grid.lowest - grid.highest)[:MAX_GRIDS]


def charts(configurations: Sequence[Configuration], error: str) -> list[Chart]:
    """Draw a heat map of each grid.

    Args:
        configurations: best first.
        error: the heading of the metric: "validation error %".
    """
    return [_chart(f"grid{place}", grid, error) for place, grid in enumerate(grids(configurations))]


def _grid(configurations: Sequence[Configuration], first: str, second: str) -> Grid:
    """Return the grid of two settings; the one with more values is the x axis."""
    values = {key: ordered(one.settings[key] for one in configurations) for key in (first, second)}
    y, x = sorted(values, key=lambda key: len(values[key]))
    errors: dict[tuple[str, str], list[float]] = {}
    for one in configurations:
        errors.setdefault((label(one.settings[x]), label(one.settings[y])), []).append(one.mean)
    means = {pair: float(np.mean(each)) for pair, each in errors.items()}
    lowest, highest = min(means.values()), max(means.values())
    cells = [
        {"column": pair[0], "row": pair[1], "mean": round(mean, 4), "n": len(errors[pair])}
        | {"text": f"{'★ ' if mean == lowest else ''}{mean:.2f}", "best": mean == lowest}
        for pair, mean in means.items()
    ]
    return Grid(x, y, [*map(label, values[x])], [*map(label, values[y])], cells, lowest, highest)


def _chart(name: str, grid: Grid, error: str) -> Chart:
    best = next(cell for cell in grid.cells if cell["best"])
    log = needs_log_scale(grid.lowest, grid.highest)
    look = {"labelLimit": int(MAX_CHARACTERS * CHARACTER), "grid": False, "domain": False}
    across = look | {"labelAngle": 0, "labelOverlap": False}
    encoding = {
        "x": vl.nominal("column", grid.x, scale={"domain": [*grid.columns], "paddingInner": 0.03}, axis=across),
        "y": vl.nominal("row", grid.y, scale={"domain": [*grid.rows], "paddingInner": 0.03}, axis=look),
        "tooltip": vl.tooltip(column=grid.x, row=grid.y, mean=f"mean {error}", n="configurations"),
    }
    # Cividis looks the same to readers who see few colours (Nuñez, Anderton & Renslow 2018, PLOS ONE 13:7).
    scale = {"scheme": "cividis", "reverse": True, "type": "log" if log else "linear"}
    bright = f"luminance(scale('color', datum.mean)) > {MIDDLE_LUMINANCE}"
    black_or_white = {"condition": {"test": bright, "value": "#000000"}, "value": "#ffffff"}
    layers = [
        vl.layer("rect", {"color": vl.quantitative("mean", scale=scale, legend=None)}),
        vl.layer("rect", {}, {"filter": "datum.best"}, fillOpacity=0, stroke="currentColor", strokeWidth=2.5),
        vl.layer("text", {"text": vl.nominal("text"), "color": black_or_white}, fontSize=12, opacity=1),
    ]
    description = f"Mean {error} for each pair of {grid.x} and {grid.y}; "
    description += f"the lowest is {grid.lowest:.2f} at {grid.x} {best['column']} and {grid.y} {best['row']}"
    over_others = " over all other settings" if any(cell["n"] > 1 for cell in grid.cells) else ""
    note = f"Mean {error}{over_others}; brighter is lower{', on a logarithmic scale' if log else ''}. ★ is the lowest."
    height = max(CELL_HEIGHT * len(grid.rows), int(len(grid.y) * CHARACTER))  # the title of the y axis is vertical
    column, row = (min(max(map(len, texts)), MAX_CHARACTERS) * CHARACTER for texts in (grid.columns, grid.rows))
    width = int(max(MIN_CELL_WIDTH, column + 10) * len(grid.columns) + row + 40)
    spec, title = vl.chart(height, *layers, encoding=encoding), f"{grid.y} and {grid.x}"
    return Chart(name, title, description, name, grid.cells, spec, note, wide=width > HALF_PAGE, min_width=width)
