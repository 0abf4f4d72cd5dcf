"""A board → columns, each under a key: those of a table for people, of which the less important may be left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mnist_exp.comparison import fields
from mnist_exp.comparison.fields import METRICS, Metric
from mnist_exp.comparison.ranking import Comparison, Line, shown_metrics, spread
from mnist_exp.config.problems import show as typed
from mnist_exp.errors import InputError
from mnist_exp.terminal.messages import MISSING

COSTS = {"model.parameters": 2, "train_seconds": 3, "images_per_second": 1}  # always told, with their priorities


@dataclass(frozen=True)
class Column:
    """A heading and its cells; of the columns that do not fit, those of the lowest priority are left out."""

    key: str
    heading: str
    cells: Sequence[str]
    priority: int
    justify: str = "right"
    wraps: bool = False  # where room is short, before anything is left out


def build(board: Comparison, chosen: Sequence[str] | None = None) -> list[Column]:
    """The columns of a board.

    Args:
        board: with at least one line.
        chosen: keys, in their order; None for those that matter.

    Raises:
        InputError: there is no column of that name.
    """
    columns = list(_usual(board))
    if chosen is None:
        return columns
    known = {column.key: column for column in columns}
    rows = [row for line in board.lines for row in line.group.rows]
    for key in chosen:
        if key not in known and key not in METRICS and not any(key in row.settings for row in rows):
            close = fields.nearest_of(key, [*known, *METRICS, *(name for row in rows[:1] for name in row.settings)])
            remedy = f"did you mean {close}?" if close else f"such as {', '.join(known)}, or a setting"
            raise InputError(f"--columns {key}: there is no such column", remedy)
    return [known.get(key) or _extra(board, key) for key in chosen]


def _usual(board: Comparison) -> list[Column]:
    lines = board.lines
    several = "" if all(line.group.n == 1 for line in lines) else ", mean ± std"
    columns = [
        Column("rank", "rank", [str(line.rank) for line in lines], 3),
        Column("name", "name", [line.group.name for line in lines], 9, "left", wraps=True),
        Column("n", "n", [str(line.group.n) for line in lines], 7),
    ]
    for metric, priority in zip(shown_metrics(board), (9, 8), strict=False):
        spreads = [spread(line.group, metric) for line in lines]
        means = [_mean(found, metric) for found in spreads]
        columns.append(Column(metric.key, f"{metric.heading}{several}", means, priority))
        if board.has_repetitions or metric.images is not None:
            heading = "95 % interval" if metric is board.metric else "its 95 % interval"
            cells = [_interval(line, metric, board.has_repetitions) for line in lines]
            columns.append(Column(f"{metric.key}.ci95", heading, cells, priority - 2))
        if board.has_repetitions and metric is board.metric:
            best = [MISSING if found is None else metric.format(found["best"]) for found in spreads]
            columns.append(Column("best", "best", best, 3))
    if len(lines) > 1:
        reference = "baseline" if board.has_baseline else "best"
        words = [reference if line.significance is None else line.significance.text for line in lines]
        columns.append(Column("significance", f"against the {reference}, {_tested(board)}", words, 8, "left", wraps=True))
    for key in board.settings:
        columns.append(Column(key, key, [_setting(line, key) for line in lines], 8, "left"))
    taken = {column.key for column in columns}
    costs = [(METRICS[key], priority) for key, priority in COSTS.items() if key not in taken]
    return columns + [
        Column(metric.key, metric.heading, [metric.format(line.group.mean(metric)) for line in lines], priority)
        for metric, priority in costs
    ]


def _tested(board: Comparison) -> str:
    """What the verdicts are about."""
    verdict = next((line.significance for line in board.lines if line.significance is not None), None)
    return "" if verdict is None else verdict.metric.heading


def _extra(board: Comparison, key: str) -> Column:
    """A column that only the user's wish brings."""
    if key in METRICS:
        metric = METRICS[key]
        return Column(key, metric.heading, [_mean(spread(line.group, metric), metric) for line in board.lines], 5)
    return Column(key, key, [_common(line, key) for line in board.lines], 5, "left")


def _common(line: Line, key: str) -> str:
    """A setting that all runs of a group share; or all its values."""
    return ", ".join(dict.fromkeys(typed(fields.value(row, key)) for row in line.group.rows))


def _setting(line: Line, key: str) -> str:
    value = line.group.settings[key]
    return MISSING if value is None and key not in line.group.rows[0].settings else typed(value)


def _mean(found: dict[str, Any] | None, metric: Metric) -> str:
    if found is None:
        return MISSING
    # One run has no standard deviation.
    return metric.format(found["mean"]) + (f" ± {metric.format(found['std'])}" if found["std"] is not None else "")


def _interval(line: Line, metric: Metric, repeated: bool) -> str:
    """Of a mean over seeds; or, where no group has several, of the one run's errors among its images."""
    if repeated:
        found = spread(line.group, metric)
        ends = None if found is None else found["ci95"]
    else:
        summary = line.group.summaries[0]
        score = summary.validation if metric.images == "validation" else summary.test
        ends = score.ci95 if score is not None and metric.key.endswith("error_percent") else None
    return MISSING if ends is None else f"{metric.format(ends[0])} – {metric.format(ends[1])}"
