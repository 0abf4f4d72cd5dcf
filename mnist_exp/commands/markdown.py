"""Markdown in a terminal: as Rich prints it, except that output and wide tables keep their width, for a pager to scroll."""

import re
from typing import ClassVar

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Markdown, MarkdownElement, TableElement
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

INDENT = "    "
NARROW_COLUMNS = 4  # a table of at most this many columns is wrapped to the terminal
WIDEST_CELL = 40  # columns of a cell in a wider table


class Code(CodeBlock):
    """A code block: commands are bold and continued on the next line, all other lines keep their width."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in str(self.text).rstrip().splitlines():
            if line.startswith("$ "):
                for part in wrapped(line, options.max_width - len(INDENT)):
                    yield Text(INDENT + part, style="bold", no_wrap=True, overflow="ignore")
            else:
                yield Text(INDENT + line, style="markdown.code_block", no_wrap=True, overflow="ignore")


def wrapped(command: str, width: int) -> list[str]:
    """A command on several lines that still can be copied: each but the last ends with a backslash."""
    words = re.findall(r"(?:'[^']*'|\"[^\"]*\"|\S)+", command)
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(word) + 3 > width and lines[-1].strip() != "$":
            lines[-1] += " \\"
            lines.append(f"    {word}")
        else:
            lines[-1] += f" {word}"
    return lines


class WideTable(TableElement):
    """A table that is wrapped to the terminal when it has few columns, and otherwise as wide as it needs to be."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for table in super().__rich_console__(console, options):
            if not isinstance(table, Table) or len(table.columns) <= NARROW_COLUMNS:
                yield table
                continue
            for column in table.columns:
                column.max_width = WIDEST_CELL
            unlimited = options.update(max_width=1000)
            width = max(options.max_width, Measurement.get(console, unlimited, table).maximum)
            yield from console.render(table, options.update(width=width))


class Page(Markdown):
    """A page of the manual."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "fence": Code,
        "code_block": Code,
        "table_open": WideTable,
    }

    def __init__(self, text: str) -> None:
        super().__init__(text, hyperlinks=False, inline_code_theme="")
