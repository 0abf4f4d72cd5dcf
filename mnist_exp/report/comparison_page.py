"""A board → one self-contained page: a leaderboard that sorts and filters, and charts that answer."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import mnist_exp
from mnist_exp.comparison.groups import Group
from mnist_exp.comparison.tables import caption
from mnist_exp.config.problems import show as typed
from mnist_exp.machine import files
from mnist_exp.report import configurations, costs, heat_maps, page, parallel_coordinates, vega
from mnist_exp.report.comparison_view import ComparisonView
from mnist_exp.report.vega import Chart, Data
from mnist_exp.run.names import Run
from mnist_exp.run.status import now

TEMPLATE = "comparison.html.j2"


def write(path: Path, view: ComparisonView) -> None:
    """Write the page of a comparison.

    Raises:
        EnvironmentFailure: it cannot be written.
    """
    files.write(path, render(path, view).encode())


def render(
    path: Path,
    view: ComparisonView,
    template: str = TEMPLATE,
    more: Sequence[Chart] = (),
    tables: Data | None = None,
    **values: Any,
) -> str:
    """The page of a comparison, or one that says more of it.

    Args:
        path: where it will lie; its links to runs are relative to it.
        view: what is compared.
        template: one that extends TEMPLATE.
        more: charts that this template has beyond those of a comparison.
        tables: their data.
        values: what else it names.
    """
    charts, data = _charts(view)
    data = {**data, **(tables or {})}
    drawn = [*charts, *more]
    return page.render(
        template,
        scripts=[*([vega.library(), page.script("charts.js")] if drawn else []), page.script("table.js")],
        view=view,
        caption="; ".join(caption(view.board, with_significance=True)),
        marks={mark.label: mark for mark in view.marks},
        labels={one.rank: one.label for one in view.configurations},
        reports=[_reports(path, line.group) for line in view.board.lines],
        logs=[relative_url(path, Run(one.row.record.directory).log) for one in view.unranked],
        charts=charts,
        stills={chart.name: vega.static_svg(chart, data) for chart in drawn},
        interactive=page.embedded(vega.on_page(drawn, data)),
        typed=typed,
        written=now(),
        version=mnist_exp.__version__,
        **values,
    )


def relative_url(page_path: Path, file: Path) -> str | None:
    """From a page to a file, as a URL; None if the file is not there."""
    if not file.exists():
        return None
    return quote(os.path.relpath(file.resolve(), page_path.parent.resolve()))


def _reports(path: Path, group: Group) -> list[tuple[str, str | None]]:
    """The seed of each run, or that it is an ensemble, and where its report is."""
    reports = [relative_url(path, Run(row.record.directory).report) for row in group.rows]
    return [("ensemble" if seed is None else str(seed), report) for seed, report in zip(group.seeds, reports, strict=True)]


def _charts(view: ComparisonView) -> tuple[list[Chart], dict[str, Any]]:
    """The charts of a comparison in their order, and their data."""
    found, marks, error = view.configurations, view.marks, view.error
    rows = configurations.configuration_rows(found, marks)
    data: dict[str, Any] = {
        configurations.CONFIGURATIONS: [row | more for row, more in zip(rows, costs.fronts(found), strict=True)],
        configurations.RUNS: configurations.curve_rows(view.curves, marks),
    }
    charts = [configurations.learning_curves(view.curves, marks)] if view.curves else []
    if len(found) > 1:
        charts.append(configurations.intervals(found, marks, error))
        if found[0].settings:
            chart, table = parallel_coordinates.chart(found, marks, error)
            charts.append(chart)
            data[chart.table] = table
    if not view.board.metric.lower_is_better:
        return charts, data
    charts += costs.charts(found, marks, error)
    for chart, table in heat_maps.charts(found, error):
        charts.append(chart)
        data[chart.table] = table
    return charts, data
