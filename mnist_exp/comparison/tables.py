"""Rows → tables for the terminal and for Markdown; a table too wide for the terminal says what it leaves out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from mnist_exp import comparison, terminal
from mnist_exp.comparison import Group, Row, Which
from mnist_exp.comparison.statistics import mean_interval
from mnist_exp.config.problems import show as typed
from mnist_exp.summary import Score, Summary

NOTHING = "–"
LARGE = 10_000  # columns: no table is that wide


@dataclass(frozen=True)
class Column:
    """A heading and its cells; of the columns that do not fit, those of the lowest priority are left out."""

    heading: str
    cells: Sequence[str]
    priority: int
    justify: str = "right"


@dataclass(frozen=True)
class Sheet:
    """A table before it meets a terminal."""

    title: str
    columns: Sequence[Column]
    caption: str


def rate(score: Score) -> str:
    """An error with its interval and counts."""
    low, high = score.ci95
    return f"{score.error_percent:.2f} %  (95 %: {low:.2f} – {high:.2f}; {score.errors:,} of {score.n:,})"


def counted(n: int, noun: str) -> str:
    """A number with its noun: 1 epoch, 2 epochs."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def of_runs(rows: Sequence[Row]) -> Sheet:
    """One line for each run: its numbers, and the settings in which the runs differ."""
    summaries = [row.record.summary for row in rows]
    columns = [Column("run", [row.name for row in rows], 9, "left")]
    if any(summary is None for summary in summaries):
        columns.append(Column("status", [row.record.status for row in rows], 7, "left"))
    columns += [
        Column("test error %", [f"{s.test.error_percent:.2f}" if s else NOTHING for s in summaries], 8),
        Column("95 % interval", [_interval(s.test if s else None) for s in summaries], 6),
    ]
    if any(summary is not None and summary.validation is not None for summary in summaries):
        percent = [f"{s.validation.error_percent:.2f}" if s and s.validation else NOTHING for s in summaries]
        columns.append(Column("validation error %", percent, 4))
        columns.append(Column("its interval", [_interval(s.validation if s else None) for s in summaries], 2))
    for key in comparison.differing(rows):
        columns.append(Column(key, [_setting(row, key) for row in rows], 5, "left"))
    columns += [
        Column("parameters", [f"{s.model.parameters:,}" if s else NOTHING for s in summaries], 3),
        Column("train s", [f"{s.train_seconds:.1f}" if s else NOTHING for s in summaries], 3),
        Column("images/s", [f"{s.images_per_second:,.0f}" if s else NOTHING for s in summaries], 1),
    ]
    ranked = comparison.ranking(rows)
    some = ranked == "test" and any(summary is not None and summary.validation is not None for summary in summaries)
    caption = f"lowest {ranked} error first" + (", since not every run has a validation error" if some else "")
    return Sheet("runs", columns, caption)


def of_groups(groups: Sequence[Group]) -> Sheet:
    """One line for each configuration: over its seeds, the mean, its interval and the best; and what differs."""
    firsts = [group.rows[0] for group in groups]
    ranked = comparison.ranking(row for group in groups for row in group.rows)
    columns = [
        Column("name", [group.summaries[0].name for group in groups], 9, "left"),
        Column("n", [str(len(group.rows)) for group in groups], 7),
    ]
    which: tuple[Which, ...] = ("validation", "test") if ranked == "validation" else ("test",)
    repeated = any(len(group.rows) > 1 for group in groups)
    for images, priority in zip(which, (8, 6), strict=False):
        errors = [group.errors(images) for group in groups]
        heading = f"{images} error %, mean ± std" if repeated else f"{images} error %"
        columns.append(Column(heading, [_mean(values) for values in errors], priority))
        if repeated:
            columns.append(Column("95 % interval", [_interval_of_mean(values) for values in errors], priority - 2))
        if repeated and images == ranked:  # a best test error beside it would be chosen by looking at the test images
            columns.append(Column("best", [NOTHING if values is None else f"{values.min():.2f}" for values in errors], 4))
    for key in comparison.differing(firsts, apart_from=frozenset({"seed"})):
        columns.append(Column(key, [_setting(row, key) for row in firsts], 7, "left"))
    columns += [
        Column("parameters", [f"{group.summaries[0].model.parameters:,}" for group in groups], 2),
        Column("s / epoch", [f"{_seconds_per_epoch(group.summaries):.1f}" for group in groups], 1),
    ]
    seeds = "n seeds, of several runs with one seed the latest"
    return Sheet("configurations", columns, f"lowest mean {ranked} error first; {seeds}")


def show(sheet: Sheet) -> None:
    """Print a table, as many columns as fit."""
    console = terminal.output()
    columns = list(sheet.columns)
    while len(columns) > 1 and _width(columns) > console.width:
        columns.remove(min(reversed(columns), key=lambda column: column.priority))
    left_out = [column.heading for column in sheet.columns if column not in columns]
    caption = f"{sheet.caption}; too wide for this terminal: {', '.join(left_out)}" if left_out else sheet.caption
    console.print(_table(columns, sheet.title))
    console.print(terminal.cell(caption, style="italic"))


def markdown(sheet: Sheet) -> str:
    """The same as a Markdown table."""
    rows = [[column.heading for column in sheet.columns], ["---"] * len(sheet.columns)]
    rows += [list(row) for row in zip(*(column.cells for column in sheet.columns), strict=True)]
    return "\n".join("| " + " | ".join(terminal.plain(text).replace("|", "\\|") for text in row) + " |" for row in rows)


def _table(columns: Sequence[Column], title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(terminal.cell(column.heading), justify=column.justify, overflow="fold")  # type: ignore[arg-type]
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*(terminal.cell(text) for text in row))
    return table


def _width(columns: Sequence[Column]) -> int:
    """The width at which no cell is folded."""
    return Console(width=LARGE).measure(_table(columns, "")).maximum


def _interval(score: Score | None) -> str:
    return NOTHING if score is None else f"{score.ci95[0]:.2f} – {score.ci95[1]:.2f}"


def _setting(row: Row, key: str) -> str:
    return typed(row.settings[key]) if key in row.settings else NOTHING


def _mean(errors: np.ndarray | None) -> str:
    if errors is None:
        return NOTHING
    # One seed has no standard deviation.
    return f"{errors.mean():.2f} ± {errors.std(ddof=1):.2f}" if len(errors) > 1 else f"{errors.mean():.2f}"


def _interval_of_mean(errors: np.ndarray | None) -> str:
    interval = None if errors is None else mean_interval(errors)
    return NOTHING if interval is None else f"{interval[0]:.2f} – {interval[1]:.2f}"


def _seconds_per_epoch(summaries: Sequence[Summary]) -> float:
    return sum(summary.train_seconds / summary.epochs for summary in summaries) / len(summaries)
