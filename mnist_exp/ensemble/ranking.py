"""Rank an ensemble and its members: McNemar's exact test on the same images, corrected by Holm."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnist_exp.comparison.columns import Column
from mnist_exp.comparison.fields import METRICS, RUN, TEST
from mnist_exp.comparison.ranking import Comparison, compare
from mnist_exp.comparison.rows import Row
from mnist_exp.comparison.significance import Significance, format_p_value
from mnist_exp.comparison.tables import caption
from mnist_exp.report.comparison_page import relative_url
from mnist_exp.runs.run import Run
from mnist_exp.terminal.messages import MISSING


def rank_members(ensemble: Row, members: Sequence[Row]) -> Comparison:
    """Compare an ensemble, the baseline, with each member and sort them by test error."""
    return compare([ensemble, *members], METRICS[TEST], by=[RUN], baseline=ensemble)


def columns(comparison: Comparison) -> list[Column]:
    """Return the columns of a ranking for the terminal and the report."""
    lines, metric = comparison.lines, comparison.metric
    scores = [line.group.summaries[0].test for line in lines]
    differences, p_values, results = map(list, zip(*(_describe(line.significance) for line in lines), strict=True))
    return [
        Column("name", "run", [line.group.name for line in lines], 9, "left", wraps=True),
        Column(metric.key, metric.heading, [metric.format(score.error_percent) for score in scores], 9),
        Column(f"{metric.key}.ci95", "95 % interval", [metric.format_interval(score.ci95) for score in scores], 5),
        Column("difference", "difference (interval)", differences, 6),
        Column("p", "p", p_values, 7),
        Column("significance", "compared with the ensemble", results, 8, "left", wraps=True),
    ]


def page_table(comparison: Comparison, page: Path) -> dict[str, Any]:
    """Return the ranking for the template of the report `page`, with links to the members' reports."""
    shown, rows = columns(comparison), []
    for index, line in enumerate(comparison.lines):
        own = line.significance is None
        href = None if own else relative_url(page, Run(line.group.rows[0].record.directory).report)
        rows.append({"cells": [column.cells[index] for column in shown], "href": href, "own": own})
    return {"columns": shown, "rows": rows, "caption": "; ".join(caption(comparison, with_significance=True))}


def _describe(significance: Significance | None) -> tuple[str, str, str]:
    """Return the difference from the ensemble with its interval, the p-value, and the result of the test."""
    if significance is None:
        return "", "", "the ensemble"
    if isinstance(significance.result, str) or significance.p_corrected is None:
        return MISSING, MISSING, str(significance.result)
    value, (low, high) = significance.result.value, significance.result.interval
    p_value = format_p_value(significance.p_corrected).removeprefix("= ")
    return f"{value:+.2f} ({low:+.2f} to {high:+.2f})", p_value, str(significance.verdict)
