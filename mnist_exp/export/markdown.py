"""Markdown from untrusted text: names of classes, runs and settings cannot become markup."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2

from mnist_exp.comparison.tables import escape_markdown
from mnist_exp.terminal.messages import sanitize


class Markdown(str):
    """Text that is Markdown already."""

    __slots__ = ()


def render(template: Path, **values: Any) -> str:
    """Render a template of Markdown: all values are escaped but those of the class `Markdown`."""
    environment = jinja2.Environment(  # noqa: S701  (`finalize` escapes)
        loader=jinja2.FileSystemLoader(template.parent),
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markdown) else escape_markdown(str(value)),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template.name).render(**values)


def code(value: object) -> Markdown:
    """Return text as code, on one line; not for a table, in which | ends a cell even there."""
    content = sanitize(value)
    ticks = "`" * (_longest_ticks(content) + 1)
    space = " " if content[:1] in ("`", " ") or content[-1:] in ("`", " ") else ""
    return Markdown(f"{ticks}{space}{content}{space}{ticks}")


def block(lines: Iterable[object], language: str = "text") -> Markdown:
    """Return lines as a block of code."""
    content = [sanitize(line) for line in lines]
    ticks = "`" * max(3, _longest_ticks("\n".join(content)) + 1)
    return Markdown("\n".join([f"{ticks}{language}", *content, ticks]))


def _longest_ticks(content: str) -> int:
    return max(map(len, re.findall("`+", content)), default=0)
