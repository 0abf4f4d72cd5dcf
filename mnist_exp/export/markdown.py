"""Markdown from untrusted text: names of classes, runs and settings cannot become markup."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from mnist_exp.comparison.tables import escape_markdown
from mnist_exp.terminal.messages import sanitize


def text(value: object) -> str:
    """Return text without line breaks and markup."""
    return escape_markdown(str(value))


def code(value: object) -> str:
    """Return text as code, on one line; not for a table, in which | ends a cell even there."""
    content = sanitize(value)
    ticks = "`" * (_longest_ticks(content) + 1)
    space = " " if content[:1] in ("`", " ") or content[-1:] in ("`", " ") else ""
    return f"{ticks}{space}{content}{space}{ticks}"


def block(lines: Iterable[object], language: str = "text") -> str:
    """Return lines as a block of code."""
    content = [sanitize(line) for line in lines]
    ticks = "`" * max(3, _longest_ticks("\n".join(content)) + 1)
    return "\n".join([f"{ticks}{language}", *content, ticks])


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table, with numbers on the right; cells are formatted text, whose markup stays."""
    listed = [list(map(str, row)) for row in rows]
    numeric = [all(re.match(r"[\d<–−-]", row[column]) for row in listed) for column in range(len(headings))]
    rule = ["---:" if number else "---" for number in numeric]
    return "\n".join(f"| {' | '.join(row)} |" for row in [list(headings), rule, *listed])


def bullets(items: Iterable[str]) -> str:
    """Return a list."""
    return "\n".join(f"- {item}" for item in items)


def _longest_ticks(content: str) -> int:
    return max(map(len, re.findall("`+", content)), default=0)
