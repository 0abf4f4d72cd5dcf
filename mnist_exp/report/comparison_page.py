"""The page of a comparison: a leaderboard that sorts and filters, and interactive charts."""

import itertools
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import mnist_exp
from mnist_exp.comparison.groups import Group
from mnist_exp.comparison.tables import caption
from mnist_exp.config.conversions import format_value
from mnist_exp.machine import files
from mnist_exp.report import comparison_charts, heat_maps, page, parallel_coordinates, vega
from mnist_exp.report.comparison_view import ComparisonView
from mnist_exp.report.vega import Chart
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import now

MAX_CHARTED = 10  # views with charts, which take most of the time; all have a leaderboard


def write(path: Path, title: str, view: ComparisonView) -> None:
    """Write the page of a comparison to a file of the user's choice.

    Raises:
        EnvironmentFailure: it cannot be written.
    """
    files.write_output(path, render(path, title, [view]).encode())


def render(
    path: Path,
    title: str,
    views: Sequence[ComparisonView],
    template: str = "comparison.html.j2",
    more: Sequence[Chart] = (),
    **values: Any,
) -> str:
    """Render the page of a comparison, or of a sweep.

    Args:
        path: where it will be written; its links to runs are relative to it.
        title: its heading.
        views: its content: one comparison, or one for each set of images.
        template: comparison.html.j2, or one that extends it.
        more: charts that only this template has.
        values: other names in the template.
    """
    suffixes = ["", *(f"-{number}" for number in range(2, len(views) + 1))]
    charts = [
        _charts(view, suffix) if place < MAX_CHARTED else []
        for place, (view, suffix) in enumerate(zip(views, suffixes, strict=True))
    ]
    drawn = [*itertools.chain(*charts), *more]
    unranked = [run for view in views for run in view.unranked]
    return page.render(
        template,
        scripts=[*([vega.javascript(), page.script("charts.js")] if drawn else []), page.script("table.js")],
        title=title,
        boards=[
            {
                "view": view,
                "caption": "; ".join(caption(view.board, with_significance=False)),
                "ranked": {configuration.rank: configuration for configuration in view.configurations},
                "reports": [_reports(path, line.group) for line in view.board.lines],
                "charts": charts_of_view,
                "suffix": suffix,
            }
            for view, charts_of_view, suffix in zip(views, charts, suffixes, strict=True)
        ],
        max_charted=MAX_CHARTED,
        unranked=unranked,
        logs=[relative_url(path, Run(row.record.directory).log) for row, _ in unranked],
        svgs={chart.name: vega.static_svg(chart) for chart in drawn},
        chart_data=page.json_script(vega.page_data(drawn)),
        typed=format_value,
        written=now(),
        version=mnist_exp.__version__,
        **values,
    )


def relative_url(page_path: Path, file: Path) -> str | None:
    """Return the URL of a file relative to a page; None if the file does not exist."""
    if not files.exists(file):
        return None
    return quote(os.path.relpath(file.resolve(), page_path.parent.resolve()))


def _reports(path: Path, group: Group) -> list[tuple[str, str | None]]:
    """Return a text for each run, "seed 1" or "ensemble", and the URL of its report."""
    reports = [relative_url(path, Run(row.record.directory).report) for row in group.rows]
    return [
        ("ensemble" if seed is None else f"seed {seed}", report) for seed, report in zip(group.seeds, reports, strict=True)
    ]


def _charts(view: ComparisonView, suffix: str) -> list[Chart]:
    """Return the charts of a view; the suffix of their names distinguishes them from those of other views on the page."""
    configurations, metric = view.configurations, view.board.metric
    is_curve = any(len(curve.epochs) > 1 for curve in view.curves)  # one epoch is a point
    charts = [comparison_charts.learning_curves(view.curves)] if is_curve else []
    if len(configurations) > 1:
        charts.append(comparison_charts.intervals(configurations, metric.heading))
    if any(one.spread for one in configurations[: comparison_charts.MAX_INTERVALS]):
        charts.append(comparison_charts.spreads(configurations))
    if len(configurations) > 1 and configurations[0].settings:
        charts.append(parallel_coordinates.draw(configurations, metric.heading))
    if metric.lower_is_better:
        charts += comparison_charts.cost_charts(configurations, metric.heading)
        charts += heat_maps.charts(configurations, metric.heading)
    return [replace(chart, name=chart.name + suffix, table=chart.table + suffix) for chart in charts]
