"""What is running, as a table that fits its terminal."""

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
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
MOST_OF_NAME = 32  # characters, for which other columns are left out
VALIDATION = "validation\nerror %"
# Headings, in their order; of what does not fit, the first to go stand first in LEAST.
COLUMNS = ("name", "status", "", "done", "loss", VALIDATION, "best %", "images/s", "left")
LEAST = ("images/s", "loss", "", "best %", VALIDATION, "status")
STYLES = {"running": "green", "waiting": "cyan", "completed": "bold", "interrupted": "yellow"}


def render(lines: Sequence[Snapshot], width: int, most: int | None = None) -> Group:
    """A table with a row for each line, and the notes below it.

    Args:
        lines: from `watching.Watcher.look`.
        width: of the terminal, in characters.
        most: rows; None for all.
    """
    shown = _some(lines, most)
    rows = [_cells(line) for line in shown]
    chosen = [heading for heading in COLUMNS if heading in {"name", "done"} or any(row[heading] for row in rows)]
    for heading in LEAST:
        if _width(rows, chosen) > width and heading in chosen:
            chosen.remove(heading)
    others = _width(rows, [heading for heading in chosen if heading != "name"]) + GAP
    room = max(width - others, 1)
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False)
    for heading in chosen:
        left = heading in {"name", "status", ""}
        table.add_column(heading, justify="left" if left else "right", no_wrap=True, overflow="ellipsis")
    for row in rows:
        cells = [row[heading] for heading in chosen]
        if isinstance(cells[0], Text):
            cells[0].truncate(room, overflow="ellipsis")
        table.add_row(*(MISSING if isinstance(cell, str) and not cell else cell for cell in cells))
    notes = [messages.cell(f"{line.name}: {line.note}") for line in shown if line.note and not line.job]
    hidden = len(lines) - len(shown)
    more = [Text(f"and {pluralize(hidden, 'job')} more in training")] if hidden else []
    return Group(table, *more, *notes)


def _some(lines: Sequence[Snapshot], most: int | None) -> list[Snapshot]:
    """The lines without those of jobs for which there is no room."""
    if most is None:
        return list(lines)
    kept: list[Snapshot] = []
    jobs = 0
    for line in lines:
        jobs = jobs + 1 if line.job else 0
        if jobs <= MAX_ROWS and (not line.job or len(kept) < most):
            kept.append(line)
    return kept


def _cells(line: Snapshot) -> dict[str, RenderableType]:
    """A row, by heading; an empty string where nothing is known."""
    of = "" if line.total is None else f"/{line.total:,}"
    return {
        "name": messages.cell(f"  {line.name}" if line.job else line.name),
        "status": messages.cell(line.status, style=STYLES.get(line.status, "red")),
        "": ProgressBar(total=line.total, completed=line.done, width=BAR_COLUMNS) if line.total else "",
        "done": f"{line.done:,}{of}" + (" jobs" if line.unit == "jobs" else ""),
        "loss": "" if line.loss is None else f"{line.loss:.4f}",
        VALIDATION: "" if line.error is None else f"{line.error:.2f}",
        "best %": "" if line.best is None else f"{line.best:.2f}",
        "images/s": "" if line.rate is None else f"{line.rate:,.0f}",
        "left": _left(line),
    }


def _left(line: Snapshot) -> str:
    if line.seconds_left is None:
        return ""
    if line.unit == "jobs":
        return f"≈ {duration(line.seconds_left)}"
    if line.done == line.total:
        return "soon"
    return ("≤ " if line.at_most else "") + duration(line.seconds_left)


def _width(rows: Sequence[dict[str, RenderableType]], chosen: Sequence[str]) -> int:
    """How wide these columns are, of a long name only its beginning."""
    console = Console(width=10_000)
    total = -GAP
    for heading in chosen:
        cells = [row[heading] for row in rows]
        widest = max((console.measure(cell).maximum for cell in cells), default=0)
        total += max(min(widest, MOST_OF_NAME) if heading == "name" else widest, *map(len, heading.split("\n"))) + GAP
    return total
