"""Output to a terminal: results to standard output, all else to standard error; control characters are replaced."""

import contextlib
import logging
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mnist_exp.terminal import streams

log = logging.getLogger(__name__)
logging.getLogger("mnist_exp").addHandler(logging.NullHandler())  # without a log file, Python would print warnings twice

MISSING = "–"  # a cell without a value
MAX_WIDTH = 10_000  # characters; no table is wider
PIPE_WIDTH = 1000  # characters, for a pipe or file: wider than any table
# Control characters of ASCII and Latin-1, with which a name could move the cursor, change colours or break a table; those of
# Unicode that break a line or change its direction; and surrogates, which stand for undecodable bytes of a file name.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
FORMULA_START = ("=", "+", "-", "@", "\t", "\r")  # of text in a spreadsheet; an apostrophe before it makes the cell text


def sanitize(text: object) -> str:
    """Replace control characters, so that text stays on one line: it may come from an untrusted file."""
    return CONTROL.sub("�", str(text))


def cell(text: object, style: str = "") -> Text:
    """Return untrusted text for a table, without control characters and without Rich's markup."""
    return Text(sanitize(text), style=style)


def width_of(table: Table) -> int:
    """Return the width in characters at which no cell of a table is broken."""
    return console(width=MAX_WIDTH).measure(table).maximum


def table_without_lines() -> Table:
    """Return an empty table with a line below the headings only, for a narrow terminal."""
    return Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False, show_edge=False)


def csv_value(value: Any) -> Any:
    """Return a value for CSV, in which untrusted text is no formula of a spreadsheet and has no control characters."""
    if not isinstance(value, str):
        return value
    text = sanitize(value)
    if text == "-" or not text.startswith(FORMULA_START):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def pluralize(count: int, noun: str) -> str:
    """Return a number with its noun: 1 epoch, 2 epochs."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def join_some(names: Sequence[str], limit: int) -> str:
    """Return the first names and the number of the others: a, b and 3 more."""
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more:,} more" if more > 0 else "")


def console(**options: Any) -> Console:
    """Return a console with options of Rich.

    In a notebook it prints plain text. Rich would display HTML, which cannot be redirected, or take the notebook for a
    terminal, since its kernel sets FORCE_COLOR, and print each state of a live display.
    """
    if streams.is_notebook():
        options["force_terminal"] = False
    return Console(emoji=False, force_jupyter=False, **options)


def output() -> Console:
    """Return a console for standard output, as wide as the terminal; wide enough for any table without one."""
    return console(width=None if sys.stdout.isatty() else max(PIPE_WIDTH, shutil.get_terminal_size().columns))


def print_line(text: object) -> None:
    """Print a result on one line, whole: a path, address or command that a line break cut could not be copied."""
    output().print(cell(text), soft_wrap=True)


def print_address(page: Path) -> None:
    """Print the address of a page on a line of its own, so that a terminal makes it a link."""
    print_line(f"report: {page.resolve().as_uri()}")


def error(cause: str, *more: str) -> None:
    """Print an error to standard error; above a live display, as `note`.

    Args:
        cause: the subject and what is wrong.
        more: further lines: what is allowed, what to do.
    """
    lines = [f"[bold red]error:[/] {escape(sanitize(cause))}", *(f"  {escape(sanitize(line))}" for line in more)]
    target = console(stderr=True, soft_wrap=True, highlight=False)
    with target.capture() as text:
        target.print("\n".join(lines))
    print(text.get(), end="", file=sys.stderr, flush=True)


def warning(text: str) -> None:
    """Print a warning, and log it."""
    log.warning("%s", text)
    note(f"warning: {text}")


def warn_all(texts: Iterable[str]) -> None:
    """Print and log several warnings."""
    for text in texts:
        warning(text)


def note(text: str) -> None:
    """Print a line to standard error; above a live display, which another console would break."""
    print(sanitize(text), file=sys.stderr, flush=True)


def note_without_spinner(text: str) -> None:
    """Print a line about something that takes long, unless a terminal shows a spinner meanwhile."""
    if not console(stderr=True).is_terminal:
        note(text)


@contextlib.contextmanager
def spinner(text: str) -> Iterator[None]:
    """Show a spinner with a text while the block runs, in a terminal only."""
    target = console(stderr=True)
    with target.status(escape(text)) if target.is_terminal else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def progress_bar(noun: str, total: int, prints_results: bool = True) -> Iterator[Callable[[int], None]]:
    """Show a bar in a terminal; yield a function to which the block reports what is done.

    Results that the block prints in a terminal show the progress themselves, and a bar would break their lines.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    target = console(stderr=True)
    columns = TextColumn(escape(noun)), BarColumn(), MofNCompleteColumn(), TextColumn("left"), TimeRemainingColumn()
    hidden = not target.is_terminal or (prints_results and sys.stdout.isatty()) or total < 2
    # Rich would send standard output to the console of the bar, and not to the file.
    with Progress(*columns, console=target, transient=True, disable=hidden, redirect_stdout=False) as bar:
        task = bar.add_task(noun, total=total)
        yield lambda count: bar.advance(task, count)


@contextlib.contextmanager
def redirect_native_stderr(path: Path) -> Iterator[None]:
    """Redirect what C++ libraries write to standard error to a file, but not Python's own standard error.

    TensorFlow prints a dozen lines at its start that no setting silences and that would break a live display.
    """
    stream = streams.stream_of(sys.stderr)
    if stream is None:  # replaced by a test or a notebook
        yield
        return
    with path.open("ab") as file:
        os.dup2(file.fileno(), streams.STANDARD_ERROR)
    try:
        yield
    finally:
        os.dup2(stream.fileno(), streams.STANDARD_ERROR)
