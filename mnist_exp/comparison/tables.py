"""A board as text: for the terminal, as Markdown and as LaTeX; a table too wide for the terminal says what it leaves out."""

import io
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mnist_exp.comparison.columns import Column
from mnist_exp.comparison.groups import NotRanked
from mnist_exp.comparison.ranking import Comparison
from mnist_exp.run.summary import Score
from mnist_exp.terminal import messages
from mnist_exp.terminal.messages import pluralize

LARGE = 10_000  # columns: no table is that wide
TESTS = {"McNemar": "McNemar's exact test", "paired t": "paired t-test", "Welch": "Welch's t-test"}
SENTENCE = 32  # characters in a line of a sentence, where room is short
MOST_APART = 10  # runs of one reason that are named
LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "–": "--",
    "<": r"\textless{}", ">": r"\textgreater{}",
})  # fmt: skip


def rate(score: Score) -> str:
    """An error with its interval and counts."""
    low, high = score.ci95
    return f"{score.error_percent:.2f} %  (95 %: {low:.2f} – {high:.2f}; {score.errors:,} of {score.n:,})"


def print_comparison(board: Comparison, columns: Sequence[Column], console: Console) -> None:
    """Print a board, as many columns as fit, and what is not ranked."""
    if columns:
        kept, table = _fitting(columns, console.width)
        console.print(table)
        left_out = [column.heading for column in columns if column not in kept]
        notes = caption(board, _judged(kept)) + ([f"too wide for this terminal: {', '.join(left_out)}"] if left_out else [])
        console.print(messages.cell("; ".join(notes), style="italic"))
    for apart in board.not_ranked:
        console.print(messages.cell(_told(apart)))


def to_text(board: Comparison, columns: Sequence[Column]) -> str:
    """What `show` prints, for a file: as wide as it needs to be."""
    console = Console(file=io.StringIO(), width=LARGE, emoji=False)
    with console.capture() as captured:
        print_comparison(board, columns, console)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _judged(columns: Sequence[Column]) -> bool:
    """Whether verdicts are among the columns."""
    return any(column.key == "significance" for column in columns)


def caption(board: Comparison, with_significance: bool) -> list[str]:
    """How to read a board, with its verdicts or without them."""
    order = "lowest" if board.metric.lower_is_better else "highest"
    mean = "mean " if board.has_repetitions else ""
    notes = [f"ranked by {order} {mean}{board.metric.heading}"]
    if board.metric.key == "test.error_percent":
        notes[0] += ": who chooses by it has chosen on the test images"
    if board.has_repetitions:
        apart = all(len(set(line.group.seeds)) == line.group.n for line in board.lines)
        notes.append("n runs, each with a seed of its own" if apart else "n runs")
    if board.superseded:
        notes.append(f"{pluralize(board.superseded, 'run')} not counted: a later one has the same configuration and seed")
    if len(board.lines) < board.total:
        notes.append(f"{len(board.lines):,} of {board.total:,} are shown")
    tested = [
        line.significance for line in board.lines if line.significance is not None and line.significance.test is not None
    ]
    if tested and with_significance:
        tests = " and ".join(dict.fromkeys(TESTS[verdict.test] for verdict in tested if verdict.test is not None))
        notes.append(f"p by {tests}" + (f", corrected by Holm over {len(tested)} comparisons" if len(tested) > 1 else ""))
        if any(verdict.test == "McNemar" for verdict in tested):
            notes.append("one run each shows which of two networks is better, not which configuration")
    return notes


def to_markdown(board: Comparison, columns: Sequence[Column]) -> str:
    """The same as a Markdown table, with what is not ranked below it."""
    lines = []
    if columns:
        rows = [[column.heading for column in columns], ["---"] * len(columns), *_rows(columns)]
        lines += ["| " + " | ".join(_markdown(text) for text in row) + " |" for row in rows]
        lines += ["", f"*{_markdown('; '.join(caption(board, _judged(columns))))}*"]
    lines += [f"- {_markdown(_told(apart))}" for apart in board.not_ranked]
    return "\n".join(lines)


def to_latex(board: Comparison, columns: Sequence[Column]) -> str:
    """The same as a table for LaTeX, in the style of the package booktabs."""
    form = "".join("l" if column.justify == "left" else "r" for column in columns)
    rows = [" & ".join(_latex(text) for text in row) + r" \\" for row in _rows(columns)]
    heading = " & ".join(_latex(column.heading) for column in columns) + r" \\"
    notes = [f"% {messages.sanitize(note)}" for note in [*caption(board, _judged(columns)), *map(_told, board.not_ranked)]]
    return "\n".join(
        [*notes, rf"\begin{{tabular}}{{{form}}}", r"\toprule", heading, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}"]
    )


def _told(apart: NotRanked) -> str:
    """What is not ranked, and why, in a line."""
    some = [f"{row.name} ({row.record.cause})" if row.record.cause else row.name for row in apart.rows[:MOST_APART]]
    more = len(apart.rows) - len(some)
    return f"not ranked, {apart.reason}: {', '.join(some)}" + (f" and {more:,} more" if more else "")


def _fitting(columns: Sequence[Column], width: int) -> tuple[list[Column], Table]:
    """As many columns as have room: first headings and sentences are wrapped, then the least important are left out."""
    kept, table = list(columns), _table(columns, narrow=False)
    if not _fits(table, width):
        table = _table(kept, narrow=True)
    while len(kept) > 1 and not _fits(table, width):
        kept.remove(min(reversed(kept), key=lambda column: column.priority))
        table = _table(kept, narrow=True)
    return kept, table


def _fits(table: Table, width: int) -> bool:
    return Console(width=LARGE).measure(table).maximum <= width


def _table(columns: Sequence[Column], narrow: bool) -> Table:
    """The table, each column as wide as it is, or no wider than its cells and the longest word of its heading."""
    table = Table()
    for column in columns:
        heading, most = messages.cell(column.heading), None
        if narrow:
            parts = [f"{part}." for part in column.heading.split(".")[:-1]] + [column.heading.split(".")[-1]]
            heading = Text("\n").join(messages.cell(part) for part in parts)
            words = [len(word) for part in parts for word in part.split()]
            most = SENTENCE if column.wraps else max(*map(len, column.cells), *words, 1)
        table.add_column(heading, justify=column.justify, overflow="fold", max_width=most)  # type: ignore[arg-type]
    for row in _rows(columns):
        table.add_row(*(messages.cell(text) for text in row))
    return table


def _rows(columns: Sequence[Column]) -> list[tuple[str, ...]]:
    return list(zip(*(column.cells for column in columns), strict=True))


def _markdown(text: str) -> str:
    return messages.sanitize(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _latex(text: str) -> str:
    return messages.sanitize(text).translate(LATEX)
