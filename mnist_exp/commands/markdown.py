"""Markdown in a terminal, printed by Rich, except that output and wide tables keep their width; a pager scrolls them."""

import re
import textwrap
from typing import ClassVar

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Markdown, MarkdownElement, TableElement
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

INDENT = "    "
NARROW_COLUMNS = 4  # a table of at most this many columns is wrapped to the terminal
MAX_CELL_WIDTH = 40  # columns of a cell in a wider table


class Code(CodeBlock):
    """A code block: commands are bold and wrapped, all other lines keep their width."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in str(self.text).rstrip().splitlines():
            if line.startswith("$ "):
                for part in wrap_command(line, options.max_width - len(INDENT)):
                    yield Text(INDENT + part, style="bold", no_wrap=True, overflow="ignore")
            else:
                yield Text(INDENT + line, style="markdown.code_block", no_wrap=True, overflow="ignore")


def wrap_command(command: str, width: int) -> list[str]:
    """Split a command into lines that can still be copied: all lines except the last end with a backslash."""
    words = re.sub(r"^\$ |\'[^\']*\'|\"[^\"]*\"", lambda quoted: quoted[0].replace(" ", "\0"), command)
    lines = textwrap.wrap(words, width - 2, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    return " \\\n".join(lines).replace("\0", " ").splitlines()


class WideTable(TableElement):
    """A table that is wrapped to the terminal if it has few columns; otherwise it is as wide as its content."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for table in super().__rich_console__(console, options):
            if not isinstance(table, Table) or len(table.columns) <= NARROW_COLUMNS:
                yield table
                continue
            for column in table.columns:
                column.max_width = MAX_CELL_WIDTH
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
