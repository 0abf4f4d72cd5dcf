"""Snapshots as a table that fits the terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mnist_exp.sweep.display import MAX_ROWS
from mnist_exp.sweep.progress import duration
from mnist_exp.terminal import messages
from mnist_exp.terminal.messages import MISSING, pluralize
from mnist_exp.watch.snapshot import Snapshot

BAR_COLUMNS = 10
GAP = 2  # characters between columns
MIN_NAME = 32  # characters of long names; other columns are removed before names are shorter
VALIDATION = "validation\nerror %"
COLUMNS = ("name", "status", "", "done", "loss", VALIDATION, "best %", "images/s", "left")
OPTIONAL = ("images/s", "loss", "", "best %", VALIDATION, "status")  # the first is the first to be removed
STYLES = {"running": "green", "waiting": "cyan", "completed": "bold", "interrupted": "yellow"}


def render(snapshots: Sequence[Snapshot], width: int, max_rows: int | None = None) -> Group:
    """Draw a table of at most `max_rows` rows that fits a terminal of `width` characters, and the notes below it."""
    shown = list(snapshots) if max_rows is None else _limit_jobs(snapshots, max_rows)
    rows = [_cells(snapshot) for snapshot in shown]
    measure = messages.console(width=10_000).measure
    widths = {name: max(measure(cell).maximum for cell in (name, *(row[name] for row in rows))) for name in COLUMNS}
    columns = [heading for heading in COLUMNS if heading in {"name", "done"} or any(row[heading] for row in rows)]

    def room_for_name() -> int:
        return width - sum(widths[heading] + GAP for heading in columns if heading != "name")

    for heading in OPTIONAL:
        if heading in columns and room_for_name() < min(widths["name"], MIN_NAME):
            columns.remove(heading)
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False)
    for heading in columns:
        table.add_column(
            heading,
            justify="left" if heading in {"name", "status", ""} else "right",
            no_wrap=True,
            overflow="ellipsis",
            max_width=max(room_for_name(), 1) if heading == "name" else None,
        )
    for row in rows:
        table.add_row(*(row[heading] or MISSING for heading in columns))
    hidden = len(snapshots) - len(shown)
    notes = [Text(f"and {pluralize(hidden, 'job')} more in training")] if hidden else []
    notes += [messages.cell(f"{snapshot.name}: {snapshot.note}") for snapshot in shown if snapshot.note and not snapshot.job]
    return Group(table, *notes)


def _limit_jobs(snapshots: Sequence[Snapshot], max_rows: int) -> list[Snapshot]:
    """Return the snapshots without jobs beyond `MAX_ROWS` of a sweep or `max_rows` in all."""
    kept: list[Snapshot] = []
    jobs = 0
    for snapshot in snapshots:
        jobs = jobs + 1 if snapshot.job else 0
        if jobs <= MAX_ROWS and (not snapshot.job or len(kept) < max_rows):
            kept.append(snapshot)
    return kept


def _cells(snapshot: Snapshot) -> dict[str, RenderableType]:
    """Return a row, by heading; an empty string where the value is unknown."""
    total = "" if snapshot.total is None else f"/{snapshot.total:,}"
    bar = ProgressBar(total=snapshot.total, completed=snapshot.done, width=BAR_COLUMNS)
    return {
        "name": messages.cell(f"  {snapshot.name}" if snapshot.job else snapshot.name),
        "status": messages.cell(snapshot.status, style=STYLES.get(snapshot.status, "red")),
        "": bar if snapshot.total else "",
        "done": f"{snapshot.done:,}{total}" + (" jobs" if snapshot.unit == "jobs" else ""),
        "loss": _number(snapshot.loss, ".4f"),
        VALIDATION: _number(snapshot.error, ".2f"),
        "best %": _number(snapshot.best_error, ".2f"),
        "images/s": _number(snapshot.images_per_second, ",.0f"),
        "left": _time_left(snapshot),
    }


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _time_left(snapshot: Snapshot) -> str:
    if snapshot.seconds_left is None:
        return ""
    if snapshot.unit == "jobs":
        return f"≈ {duration(snapshot.seconds_left)}"
    if snapshot.done == snapshot.total:
        return "soon"
    return ("≤ " if snapshot.may_stop_early else "") + duration(snapshot.seconds_left)
