"""A comparison as text: for the terminal, as Markdown and as LaTeX."""

import io
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mnist_exp.comparison import verdicts
from mnist_exp.comparison.columns import Column
from mnist_exp.comparison.fields import TEST
from mnist_exp.comparison.ranking import Comparison
from mnist_exp.terminal import messages
from mnist_exp.terminal.messages import join_some, pluralize

WRAP_WIDTHS = (32, 24, 16)  # characters of a column that wraps; the smaller ones where the needed columns do not fit
MAX_NAMED = 10  # runs that are listed for each reason
# Without images, links, HTML and emphasis; `_` within a word is no emphasis. Addresses become links without any markup.
MARKDOWN = str.maketrans(
    {character: f"\\{character}" for character in "\\|[]`*~"} | {"<": "&lt;", "&": "&amp;", "@": "&#64;"}
)
LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "–": "--",
    "<": r"\textless{}", ">": r"\textgreater{}",
})  # fmt: skip


def print_comparison(comparison: Comparison, columns: Sequence[Column], console: Console) -> None:
    """Print a table that fits or, where it does not, a record for each row; the caption; the runs that are not ranked."""
    if columns:
        shown, table = _fit(columns, console.width)
        console.print(table)
        notes = caption(comparison, _has_significance(shown))
        if hidden := [column.heading for column in columns if column not in shown]:
            notes.append(f"hidden, the terminal is too narrow: {', '.join(hidden)}")
        console.print(messages.cell("; ".join(notes), style="italic"))
    for note in _not_ranked(comparison):
        console.print(messages.cell(note))


def to_text(comparison: Comparison, columns: Sequence[Column]) -> str:
    """Return the printed table for a file, with all columns."""
    console = messages.console(file=io.StringIO(), width=messages.MAX_WIDTH)
    with console.capture() as captured:
        print_comparison(comparison, columns, console)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def to_markdown(comparison: Comparison, columns: Sequence[Column]) -> str:
    """Return a Markdown table, with the caption and the runs that are not ranked below it."""
    lines = []
    if columns:
        rows = [[column.heading for column in columns], ["---"] * len(columns), *_rows(columns)]
        lines += ["| " + " | ".join(map(escape_markdown, row)) + " |" for row in rows]
        lines += ["", f"*{escape_markdown('; '.join(caption(comparison, _has_significance(columns))))}*"]
    lines += [f"- {escape_markdown(note)}" for note in _not_ranked(comparison)]
    return "\n".join(lines)


def to_latex(comparison: Comparison, columns: Sequence[Column]) -> str:
    """Return a LaTeX table in the style of the package booktabs, with the notes as comments above it."""
    heading, *rows = [
        " & ".join(messages.sanitize(text).translate(LATEX) for text in row) + r" \\"
        for row in ([column.heading for column in columns], *_rows(columns))
    ]
    alignment = "".join(column.justify[0] for column in columns)
    return "\n".join([
        *(f"% {messages.sanitize(note)}" for note in notes(comparison, columns)),
        rf"\begin{{tabular}}{{{alignment}}}", r"\toprule", heading, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}",
    ])  # fmt: skip


def notes(comparison: Comparison, columns: Sequence[Column]) -> list[str]:
    """Return the notes below a table of these columns: the caption, and the runs that are not ranked."""
    about = caption(comparison, _has_significance(columns)) if columns else []
    return [*about, *_not_ranked(comparison)]


def caption(comparison: Comparison, with_significance: bool) -> list[str]:
    """Return the notes below a table; `with_significance` says whether it shows the significance tests."""
    order = "lowest" if comparison.metric.lower_is_better else "highest"
    mean = "mean " if comparison.has_repetitions else ""
    notes = [f"ranked by {order} {mean}{comparison.metric.heading}"]
    if comparison.metric.key == TEST and comparison.metric.of_test_images:
        notes[0] += ": choosing a model from this ranking is selecting on the test data"
    summaries = [summary for line in comparison.lines for summary in line.group.summaries]
    if comparison.metric.images == "validation" and (seen := sum(summary.has_seen_validation for summary in summaries)):
        begin = f"{pluralize(seen, 'run')} began with weights that had been trained on validation images"
        notes.append(f"{begin}: that validation error is too low")
    if comparison.has_repetitions:
        distinct = all(len(set(line.group.seeds)) == line.group.n for line in comparison.lines)
        notes.append("n runs, each with a different seed" if distinct else "n runs")
    if comparison.superseded:
        runs = pluralize(comparison.superseded, "run")
        notes.append(f"{runs} not counted: a later run has the same configuration and seed")
    if len(comparison.lines) < len(comparison.groups):
        notes.append(f"{len(comparison.lines):,} of {len(comparison.groups):,} are shown")
    return notes + (verdicts.notes(comparison) if with_significance else [])


def _has_significance(columns: Sequence[Column]) -> bool:
    return any(column.key == "significance" for column in columns)


def _not_ranked(comparison: Comparison) -> Iterator[str]:
    for reason, rows in comparison.not_ranked.items():
        names = [f"{row.name} ({row.record.cause})" if row.record.cause else row.name for row in rows]
        yield f"not ranked, {reason}: {join_some(names, MAX_NAMED)}"


def _fit(columns: Sequence[Column], width: int) -> tuple[list[Column], Table]:
    """Return the shown columns, and a table that fits a width.

    It wraps headings and sentences first, then hides columns that are not needed, then has no vertical lines. Where the
    needed columns do not fit, it is a record for each row.
    """
    for shown, table in _tables(columns):
        if messages.width_of(table) <= width:
            return shown, table
    return list(columns), _records(columns)


def _tables(columns: Sequence[Column]) -> Iterator[tuple[list[Column], Table]]:
    """Yield tables of these columns, from the widest to the narrowest, each with the columns that it shows."""
    shown = list(columns)
    yield shown, _table(shown, Table())
    yield shown, _table(shown, Table(), WRAP_WIDTHS[0])
    optional = [column for column in reversed(columns) if not column.is_needed]
    for hidden in sorted(optional, key=lambda column: column.priority):
        shown = [column for column in shown if column is not hidden]
        yield shown, _table(shown, Table(), WRAP_WIDTHS[0])
    for wrap_width in WRAP_WIDTHS:
        yield shown, _table(shown, messages.table_without_lines(), wrap_width)


def _records(columns: Sequence[Column]) -> Table:
    """Return a table of two columns: the headings, and the cells of one row after the other."""
    table = Table(show_header=False)
    table.add_column(style="bold", overflow="fold")
    table.add_column(overflow="fold")
    for row in _rows(columns):
        for column, text in zip(columns, row, strict=True):
            table.add_row(messages.cell(column.heading), messages.cell(text))
        table.add_section()
    return table


def _table(columns: Sequence[Column], table: Table, wrap_width: int | None = None) -> Table:
    """Fill a table; with `wrap_width`, a column is no wider than its cells and the longest word of its heading."""
    for column in columns:
        heading, max_width = messages.cell(column.heading), None
        if wrap_width is not None:
            parts = column.heading.replace(".", ".\n").split("\n")
            heading = Text("\n").join(messages.cell(part) for part in parts)
            words = [len(word) for part in parts for word in part.split()]
            max_width = wrap_width if column.wraps else max(*map(len, column.cells), *words, 1)
        table.add_column(heading, justify=column.justify, overflow="fold", max_width=max_width)  # type: ignore[arg-type]
    for row in _rows(columns):
        table.add_row(*(messages.cell(text) for text in row))
    return table


def _rows(columns: Sequence[Column]) -> list[tuple[str, ...]]:
    return list(zip(*(column.cells for column in columns), strict=True))


def escape_markdown(text: str) -> str:
    """Return text without control characters and without markup, for a cell or a sentence."""
    return messages.sanitize(text).translate(MARKDOWN).replace("://", "&#58;//").replace("www.", "www&#46;")
