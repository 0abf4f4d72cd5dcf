"""The two streams: results to standard output, everything else to standard error."""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.markup import escape

STANDARD_ERROR = 2
PIPE_WIDTH = 1000  # a pipe or file has no width; no table is that wide


def output() -> Console:
    """Standard output, as wide as the terminal, or wide enough where there is none."""
    return Console(width=None if sys.stdout.isatty() else max(PIPE_WIDTH, shutil.get_terminal_size().columns))


def error(text: str) -> None:
    """Print an error: its first line is the cause."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"[bold red]error:[/] {escape(text)}")


def note(text: str) -> None:
    """Print a line about what is going on."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(escape(text))


@contextlib.contextmanager
def busy(text: str) -> Iterator[None]:
    """A sign of life in a terminal during a wait; nothing elsewhere."""
    console = Console(stderr=True)
    with console.status(escape(text)) if console.is_terminal else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def native_messages_to(path: Path) -> Iterator[None]:
    """Send to a file what libraries in C++ write to standard error; Python's own standard error stays where it is.

    TensorFlow greets every user with a dozen lines that no setting silences, and they would tear a live display apart.
    """
    sys.stderr.flush()
    terminal = os.dup(STANDARD_ERROR)
    before = sys.stderr
    with path.open("ab") as file:
        os.dup2(file.fileno(), STANDARD_ERROR)
    if _descriptor(before) == STANDARD_ERROR:
        sys.stderr = os.fdopen(os.dup(terminal), "w", buffering=1, encoding=before.encoding, errors=before.errors)
    try:
        yield
    finally:
        if sys.stderr is not before:
            sys.stderr.close()
            sys.stderr = before
        os.dup2(terminal, STANDARD_ERROR)
        os.close(terminal)


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):  # a stream of a test or a notebook
        return None
