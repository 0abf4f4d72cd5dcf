"""Rows → tables for the terminal and for Markdown. User-supplied text is put into `Text`, where markup is inert."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from mnist_exp import comparison
from mnist_exp.comparison import Group, Row
from mnist_exp.config.problems import show


def rate(score: dict[str, Any]) -> str:
    """An error with its interval and counts."""
    low, high = score["ci95"]
    return f"{score['error_percent']:.2f} %  (95 %: {low:.2f} – {high:.2f}; {score['errors']} of {score['n']:,})"


def counted(n: int, noun: str) -> str:
    """A number with its noun: 1 epoch, 2 epochs."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def of_runs(rows: Sequence[Row]) -> Table:
    """One line for each run: its numbers, and the settings in which the runs differ."""
    keys = comparison.differing(rows)
    ranked = comparison.ranking([row.record for row in rows])
    table = Table(title="runs", title_justify="left", caption=f"best {ranked} error first", caption_justify="left")
    table.add_column("run", overflow="fold")
    table.add_column("status")
    for heading in ("test error %", "95 % interval", "validation error %", "parameters", "train seconds", "images/s"):
        table.add_column(heading, justify="right")
    for key in keys:
        table.add_column(Text(key), overflow="fold")
    for row in rows:
        summary = row.record.summary
        numbers = _numbers(summary) if summary else ["–"] * 6
        status = Text(row.record.status, style="" if summary else "red")
        settings = [Text(show(row.settings[key]) if key in row.settings else "–") for key in keys]
        table.add_row(Text(row.name), status, *numbers, *settings)
    return table


def of_groups(groups: Sequence[Group]) -> Table:
    """One line for each configuration: the mean over its seeds and their standard deviation."""
    table = Table(title="configurations", title_justify="left")
    for index, heading in enumerate(GROUP_HEADINGS):
        table.add_column(heading, justify="left" if index < 2 else "right")
    for group in groups:
        table.add_row(*(Text(cell) for cell in _group_cells(group)))
    return table


def markdown(groups: Sequence[Group]) -> str:
    """The same as a Markdown table."""
    rows = [GROUP_HEADINGS, ["---"] * len(GROUP_HEADINGS), *map(_group_cells, groups)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


GROUP_HEADINGS = ["name", "model", "seeds", "test error % (mean ± std)", "range", "parameters", "s / epoch"]


def _group_cells(group: Group) -> list[str]:
    summaries = [row.record.summary for row in group.rows if row.record.summary is not None]
    first, errors = summaries[0], group.errors
    # One seed has no standard deviation.
    spread = f" ± {errors.std(ddof=1):.2f}" if len(errors) > 1 else ""
    seconds = sum(summary["train_seconds"] / summary["epochs"] for summary in summaries) / len(summaries)
    return [
        str(first["name"]),
        str(first["model"]["name"]),
        str(len(errors)),
        f"{errors.mean():.2f}{spread}",
        f"{errors.min():.2f} – {errors.max():.2f}",
        f"{first['model']['parameters']:,}",
        f"{seconds:.1f}",
    ]


def _numbers(summary: dict[str, Any]) -> list[str]:
    validation = summary["validation"]
    low, high = summary["test"]["ci95"]
    return [
        f"{summary['test']['error_percent']:.2f}",
        f"{low:.2f} – {high:.2f}",
        f"{validation['error_percent']:.2f}" if validation else "–",
        f"{summary['model']['parameters']:,}",
        f"{summary['train_seconds']:.1f}",
        f"{summary['images_per_second']:,.0f}",
    ]
