"""`mnist-exp compare [RUN|SWEEP|GLOB …]`: configurations side by side, and which differences are real."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from mnist_exp.commands import arguments as command_line
from mnist_exp.comparison import columns, conditions, export, fields, tables
from mnist_exp.comparison.ranking import Comparison, compare
from mnist_exp.comparison.rows import Row, read_rows
from mnist_exp.errors import EXIT_DONE, InputError
from mnist_exp.machine import files
from mnist_exp.run.status import NOT_A_RUN
from mnist_exp.terminal import messages

EXAMPLES = """\
  mnist-exp compare                                      everything below runs/, a line for each configuration
  mnist-exp compare runs/2026-11-22T07-35-03_sweep 'runs/*mlp*'
  mnist-exp compare --by run                             a line for each run
  mnist-exp compare --by model.name,optimizer.learning_rate
  mnist-exp compare --where 'model.name=cnn_large and test.error_percent<1'
  mnist-exp compare --baseline latest --metric test.loss
  mnist-exp compare --sort -images_per_second --top 5 --columns name,n,test.error_percent,training.epochs
  mnist-exp compare --output leaderboard.tex             or .csv, .json, .md, .html
"""
SUFFIXES = {".json": "json", ".csv": "csv", ".md": "markdown", ".tex": "latex", ".html": "html", ".txt": "table"}
FORMATS = tuple(dict.fromkeys(["table", *SUFFIXES.values()]))
MOST_LINES = 50  # of a table for the terminal, unless the user says how many
PAGE = "comparison.html"


def main(arguments: list[str]) -> int:
    """Print or write a comparison."""
    parsed = _parser().parse_args(_joined(arguments))
    form = parsed.format or SUFFIXES.get(Path(parsed.output or "").suffix, "table")
    output = parsed.output or (PAGE if form == "html" else None)
    if parsed.top is not None and parsed.top < 1:
        raise InputError(f"--top {parsed.top}: not allowed", "allowed: an integer from 1")
    rows = _rows(parsed)
    board = compare(
        rows,
        metric=None if parsed.metric is None else fields.metric(parsed.metric),
        by=parsed.by,
        sort=parsed.sort,
        top=parsed.top or (MOST_LINES if form == "table" else None),
        baseline=_baseline(parsed, rows),
    )
    if form == "html":
        return _page(Path(str(output)), ", ".join(parsed.runs) or parsed.runs_dir, board)
    if output is None and form == "table":
        tables.print_comparison(board, _columns(board, parsed.columns), messages.output())
        if len(board.lines) < board.total:
            messages.output().print(f"all of them: --top {board.total}")
        return EXIT_DONE
    text = _text(form)(board, parsed.columns)
    if output is None:
        print(text)
        return EXIT_DONE
    files.write(Path(output), f"{text}\n".encode())
    messages.note(f"{form}: {output}")
    return EXIT_DONE


def _page(path: Path, title: str, board: Comparison) -> int:
    """Write the page, and say where it is."""
    from mnist_exp.report import comparison_page
    from mnist_exp.report.comparison_view import ComparisonView

    with messages.spinner("drawing"):
        comparison_page.write(path, ComparisonView(title, board))
    messages.output().print(messages.cell(f"open {path.resolve().as_uri()} in a browser"))
    return EXIT_DONE


def _parser() -> argparse.ArgumentParser:
    parser = command_line.parser("compare", "Which configuration is best, and which differences are real.", EXAMPLES)
    parser.add_argument(
        "runs", nargs="*", metavar="RUN|SWEEP|GLOB", help="runs, sweeps or directories of them (default: all of --runs-dir)"
    )
    listed = command_line.comma_separated
    parser.add_argument("--by", type=listed, metavar="KEY,…", help="group by these fields; run: each run by itself")
    parser.add_argument("--where", metavar="CONDITION", help="only runs for which it holds: and or not = != < <= > >= ~")
    parser.add_argument("--metric", metavar="KEY", help=f"rank by: {', '.join(fields.METRICS)} (default: validation error)")
    parser.add_argument("--baseline", metavar="RUN", help="test against its configuration, in place of the best")
    parser.add_argument("--sort", type=listed, default=[], metavar="KEY,…", help="order by fields; -KEY: from high to low")
    parser.add_argument("--top", type=int, metavar="N", help=f"the first N lines (table: {MOST_LINES})")
    parser.add_argument("--columns", type=listed, metavar="KEY,…", help="these columns, in this order")
    parser.add_argument("--format", choices=FORMATS, help="(default: by the end of FILE's name, or table)")
    parser.add_argument("--output", metavar="FILE", help=f"write it there (html: {PAGE})")
    command_line.add_runs_dir(parser)
    return parser


def _joined(arguments: list[str]) -> list[str]:
    """`--sort -KEY` as one word: argparse would take the second for an option."""
    joined = list(arguments)
    for place in [place for place, word in enumerate(arguments[:-1]) if word == "--sort"][::-1]:
        joined[place : place + 2] = [f"--sort={arguments[place + 1]}"]
    return joined


def _rows(parsed: argparse.Namespace) -> list[Row]:
    """The runs that are to be compared.

    Raises:
        InputError: there is none, or the condition cannot be used.
    """
    places = [place for name in parsed.runs for place in command_line.find_directories(name, parsed.runs_dir)] or [
        Path(parsed.runs_dir)
    ]
    rows = [row for row in read_rows(places) if row.record.status != NOT_A_RUN]
    told = ", ".join(map(str, parsed.runs or places))
    if not rows:
        raise InputError(f"{told}: holds no run", "train one with mnist-exp")
    if parsed.where is None:
        return rows
    condition = conditions.parse(parsed.where)
    fields.check(condition.fields, rows, "--where")
    chosen = [row for row in rows if condition.holds(row)]
    if not chosen:
        told = "; ".join(fields.told_values(key, rows) for key in sorted(condition.fields))
        raise InputError(
            f"--where {parsed.where}: holds for none of {messages.pluralize(len(rows), 'run')}", f"of these, {told}"
        )
    return chosen


def _baseline(parsed: argparse.Namespace, rows: list[Row]) -> Row | None:
    if parsed.baseline is None:
        return None
    directory = command_line.find_run(parsed.baseline, parsed.runs_dir).directory.resolve()
    for row in rows:
        if row.record.directory.resolve() == directory:
            return row
    raise InputError(f"--baseline {parsed.baseline}: is not among the runs that are compared", "name it among them")


def _columns(board: Comparison, chosen: list[str] | None) -> list[columns.Column]:
    return columns.build(board, chosen) if board.lines else []


def _text(form: str) -> Callable[[Comparison, list[str] | None], str]:
    """How a board becomes text of a format; JSON and CSV always have everything."""
    return {
        "table": lambda board, chosen: tables.to_text(board, _columns(board, chosen)),
        "markdown": lambda board, chosen: tables.to_markdown(board, _columns(board, chosen)),
        "latex": lambda board, chosen: tables.to_latex(board, _columns(board, chosen)),
        "csv": lambda board, _: export.to_csv(board).rstrip("\n"),
        "json": lambda board, _: json.dumps(export.to_json(board), indent=2, allow_nan=False, ensure_ascii=False),
    }[form]
