"""The terminal: results to standard output, everything else to standard error; stored text made harmless."""

import contextlib
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.text import Text

log = logging.getLogger(__name__)

STANDARD_ERROR = 2
MISSING = "–"  # a cell without a value
PIPE_WIDTH = 1000  # a pipe or file has no width; no table is that wide
# The control characters of ASCII and Latin-1, by which a name could move the cursor, change colours or break a table; those
# of Unicode that break a line or turn its direction; and bytes of a file's name that are no character at all.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def sanitize(text: object) -> str:
    """Text on one line, its control characters replaced: names come from files that anyone may have written."""
    return CONTROL.sub("�", str(text))


def cell(text: object, style: str = "") -> Text:
    """Stored text for a table, its control characters and Rich's markup inert."""
    return Text(sanitize(text), style=style)


def pluralize(count: int, noun: str) -> str:
    """A number with its noun: 1 epoch, 2 epochs."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def output() -> Console:
    """Standard output, as wide as the terminal, or wide enough where there is none."""
    return Console(emoji=False, width=None if sys.stdout.isatty() else max(PIPE_WIDTH, shutil.get_terminal_size().columns))


def error(cause: str, *more: str) -> None:
    """Print an error: a line of cause, and a line each of what to do and where to look."""
    lines = [f"[bold red]error:[/] {escape(sanitize(cause))}", *(f"  {escape(sanitize(line))}" for line in more)]
    _standard_error().print("\n".join(lines))


def warning(text: str) -> None:
    """Print a warning, and log it."""
    log.warning("%s", text)
    note(f"warning: {text}")


def note(text: str) -> None:
    """Print a line about what is going on; above a live display if there is one, which a console of its own would tear."""
    print(sanitize(text), file=sys.stderr, flush=True)


def _standard_error() -> Console:
    return Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)


@contextlib.contextmanager
def spinner(text: str) -> Iterator[None]:
    """A sign of life in a terminal during a wait; nothing elsewhere."""
    console = Console(stderr=True)
    with console.status(escape(text)) if console.is_terminal else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def redirect_native_stderr(path: Path) -> Iterator[None]:
    """Send to a file what libraries in C++ write to standard error; Python's own standard error stays where it is.

    TensorFlow greets every user with a dozen lines that no setting silences, and they would tear a live display apart.
    """
    before = sys.stderr
    if _descriptor(before) != STANDARD_ERROR:  # closed, or replaced by a test or a notebook
        yield
        return
    before.flush()
    terminal = os.dup(STANDARD_ERROR)
    with path.open("ab") as file:
        os.dup2(file.fileno(), STANDARD_ERROR)
    sys.stderr = os.fdopen(os.dup(terminal), "w", buffering=1, encoding=before.encoding, errors=before.errors)
    try:
        yield
    finally:
        sys.stderr.close()
        sys.stderr = before
        os.dup2(terminal, STANDARD_ERROR)
        os.close(terminal)


def _descriptor(stream: TextIO | None) -> int | None:
    try:
        return stream.fileno() if stream is not None else None
    except (OSError, ValueError):
        return None
