"""What an error costs: each configuration against its parameters and its training time, with the Pareto front."""

from collections.abc import Iterator, Sequence

from mnist_exp.report.configurations import CONFIGURATIONS, Configuration, of_configuration
from mnist_exp.report.encodings import Mark, dot, front_line, measured, plane
from mnist_exp.report.vega import Chart

# A column of the table: the title of its chart, the words on its axis, and what no configuration beyond the front has.
COSTS = {
    "parameters": ("Error and size", "parameters", "as few parameters"),
    "seconds": ("Error and time", "training s", "as short a training"),
}
LARGE, SMALL = 110, 45  # square pixels: a mark of the front, and another
MOST_NAMES = 8  # of the front, that are told


def front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Of each point, whether no other is as low by both numbers and lower by one: the Pareto front."""
    found = [False] * len(points)
    best = float("inf"), float("inf")
    for place in sorted(range(len(points)), key=points.__getitem__):
        if points[place][1] < best[1] or points[place] == best:
            found[place], best = True, points[place]
    return found


def fronts(configurations: Sequence[Configuration]) -> list[dict[str, bool]]:
    """Of each configuration, on which fronts it is: more columns of the table of configurations."""
    columns = {_column(cost): front([(getattr(one, cost), one.mean) for one in configurations]) for cost in COSTS}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def charts(configurations: Sequence[Configuration], marks: Sequence[Mark], error: str) -> Iterator[Chart]:
    """A chart for each cost in which the configurations differ.

    Args:
        configurations: best first.
        marks: of the page.
        error: which it is, in words: "validation error %".
    """
    means = [one.mean for one in configurations]
    for cost, (title, unit, words) in COSTS.items():
        costs = [getattr(one, cost) for one in configurations]
        if len(set(costs)) < 2:
            continue
        x = measured(cost, unit, min(costs), max(costs))
        y = measured("mean", error, min(means), max(means))
        order = {"field": "rank", "type": "quantitative", "sort": "descending"}  # the best on top
        size = {"condition": {"test": f"datum.{_column(cost)}", "value": LARGE}, "value": SMALL}
        points = {
            "mark": dot(),
            "encoding": {"x": x, "y": y, **of_configuration(marks, error), "size": size, "order": order},
        }
        spec = {**plane(280), "layer": [front_line(x, y, _column(cost)), points]}
        on_front = front(list(zip(costs, means, strict=True)))
        names = [one.label for one, there in zip(configurations, on_front, strict=True) if there]
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        description = f"Mean {error} against {unit}; on the Pareto front: {', '.join(names[:MOST_NAMES])}{more}"
        note = f"The large marks are the Pareto front: no other configuration has {words} and as low an error."
        yield Chart(cost, title, description, CONFIGURATIONS, spec, note)


def _column(cost: str) -> str:
    return f"front_{cost}"
