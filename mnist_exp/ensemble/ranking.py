"""How an ensemble stands to each of its members: McNemar's exact test on the same images, corrected by Holm."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnist_exp.comparison.columns import Column
from mnist_exp.comparison.fields import METRICS, RUN, TEST
from mnist_exp.comparison.ranking import Comparison, Line, compare
from mnist_exp.comparison.rows import Row
from mnist_exp.comparison.significance import NOT_SIGNIFICANT, Significance, format_p_value
from mnist_exp.comparison.tables import caption
from mnist_exp.report.comparison_page import relative_url
from mnist_exp.run.names import Run
from mnist_exp.terminal.messages import MISSING


def rank_members(own: Row, members: Sequence[Row]) -> Comparison:
    """The ensemble and its members, each by itself, in the order of their test errors; the ensemble is the baseline."""
    return compare([own, *members], METRICS[TEST], by=[RUN], baseline=own)


def columns(board: Comparison) -> list[Column]:
    """Of a standing; the test error is all that it is about."""
    lines, metric = board.lines, board.metric
    scores = [line.group.summaries[0].test for line in lines]
    intervals = [f"{metric.format(score.ci95[0])} – {metric.format(score.ci95[1])}" for score in scores]
    return [
        Column("name", "run", [line.group.name for line in lines], 9, "left"),
        Column(metric.key, metric.heading, [metric.format(score.error_percent) for score in scores], 9),
        Column(f"{metric.key}.ci95", "95 % interval", intervals, 5),
        Column("difference", "difference (95 %)", [_difference(line.significance) for line in lines], 6),
        Column("p", "p", ["" if line.significance is None else _p(line.significance) for line in lines], 7),
        Column("significance", "against the ensemble", [_words(line) for line in lines], 8, "left", wraps=True),
    ]


def page_table(board: Comparison, page: Path) -> dict[str, Any]:
    """What the report shows of a standing: for each row its cells, its report, and whether it is the ensemble's own."""
    shown = columns(board)
    rows = [
        {
            "cells": [column.cells[place] for column in shown],
            "href": None
            if line.significance is None
            else relative_url(page, Run(line.group.rows[0].record.directory).report),
            "own": line.significance is None,
        }
        for place, line in enumerate(board.lines)
    ]
    return {"columns": shown, "rows": rows, "caption": "; ".join(caption(board, with_significance=True))}


def _difference(verdict: Significance | None) -> str:
    if verdict is None or verdict.difference is None or verdict.interval is None:
        return "" if verdict is None else MISSING
    low, high = verdict.interval
    return f"{verdict.difference:+.2f} ({low:+.2f} to {high:+.2f})"


def _p(verdict: Significance) -> str:
    return MISSING if verdict.p_corrected is None else format_p_value(verdict.p_corrected).removeprefix("= ")


def _words(line: Line) -> str:
    verdict = line.significance
    if verdict is None:
        return "the ensemble"
    if verdict.p_corrected is None or verdict.difference is None:
        return verdict.reason
    return f"{'better' if verdict.difference < 0 else 'worse'}" if verdict.significant else NOT_SIGNIFICANT
