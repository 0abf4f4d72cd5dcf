"""`mnist-exp compare [RUN|SWEEP|GLOB …]`: rank configurations and test which differences are significant."""

import argparse
import contextlib
import gc
from collections.abc import Iterable, Iterator
from pathlib import Path

from mnist_exp.commands import arguments as command_line
from mnist_exp.commands.named_runs import find_directories, find_run
from mnist_exp.comparison import columns, export, tables
from mnist_exp.comparison.conditions import Condition
from mnist_exp.comparison.fields import METRICS, check_fields, describe_values
from mnist_exp.comparison.ranking import Comparison, compare
from mnist_exp.comparison.rows import Row, read_rows
from mnist_exp.comparison.significance import Question
from mnist_exp.errors import EXIT_DONE, InputError
from mnist_exp.machine import files
from mnist_exp.runs.status import NOT_A_RUN
from mnist_exp.terminal import messages, streams
from mnist_exp.terminal.messages import pluralize

EXAMPLES = """\
  mnist-exp compare                                      all runs in runs/, a line for each configuration
  mnist-exp compare runs/2026-11-22T07-35-03_sweep 'runs/*mlp*'
  mnist-exp compare --by run                             a line for each run
  mnist-exp compare --by model.name,optimizer.learning_rate
  mnist-exp compare --where 'model.name=cnn_large and test.error_percent<1'
  mnist-exp compare --baseline latest --equivalence 0.1
  mnist-exp compare --on these-images                    would other seeds give the same order on these test images?
  mnist-exp compare --sort -images_per_second --top 5 --columns name,n,test.error_percent,training.epochs
  mnist-exp compare --output leaderboard.tex             or .csv, .json, .md, .html
"""
SUFFIXES = {".json": "json", ".csv": "csv", ".md": "markdown", ".tex": "latex", ".html": "html", ".txt": "table"}
FORMATS = tuple(dict.fromkeys(["table", *SUFFIXES.values()]))
MAX_LINES = 50  # of a table, unless the user gives --top
PAGE = "comparison.html"
QUESTIONS: dict[str, Question] = {"new-images": "new images", "these-images": "these images"}


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Pause the garbage collector: a third of the time, it would visit the objects of many runs, which are no garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_without_collection()
def main(arguments: list[str]) -> int:
    """Print or write a comparison."""
    parsed = parse(arguments)
    output, form = None, parsed.format
    if parsed.output is not None:
        ending = Path(parsed.output).suffix.lower()
        output = command_line.output_file(parsed.output, {ending} if form else ("", *SUFFIXES))
        form = form or SUFFIXES.get(ending)
    form = form or "table"
    comparison = compare_runs(parsed, MAX_LINES if form == "table" else None)
    if form == "html":
        return _write_page(output or Path(PAGE), ", ".join(parsed.runs) or parsed.runs_dir, comparison)
    if output is None and form == "table":
        tables.print_comparison(comparison, columns.build(comparison, parsed.columns), messages.output())
        if len(comparison.lines) < len(comparison.groups):
            messages.output().print(f"show all lines: --top {len(comparison.groups)}")
        return EXIT_DONE
    parts = _to_text(comparison, form, parsed.columns)
    if output is None:
        for part in parts:
            print(part, end="")
        return EXIT_DONE
    files.write_output(output, b"".join(part.encode() for part in parts))
    messages.note(f"{form}: {output}")
    return EXIT_DONE


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parse the arguments of the command.

    Raises:
        InputError: an argument is unknown.
    """
    return _parser().parse_args(_join_sort(arguments))


def compare_runs(parsed: argparse.Namespace, max_lines: int | None = None) -> Comparison:
    """Compare the runs that parsed arguments name; `max_lines` applies unless the user gives `--top`.

    Raises:
        InputError: an argument cannot be used, or the runs do not exist.
    """
    if parsed.top is not None and parsed.top < 1:
        raise InputError(f"--top {parsed.top}: not allowed", "allowed: an integer from 1")
    if parsed.equivalence is not None and not 0 < parsed.equivalence < 100:
        raise InputError(
            f"--equivalence {parsed.equivalence:g}: not allowed", "allowed: percentage points between 0 and 100"
        )
    rows = _select_rows(parsed)
    if parsed.metric is not None:
        check_fields([parsed.metric], (), "--metric", "metric", METRICS)
    return compare(
        rows,
        metric=METRICS.get(parsed.metric),
        by=parsed.by,
        sort=parsed.sort,
        top=parsed.top or max_lines,
        baseline=_baseline(parsed, rows),
        question=QUESTIONS[parsed.on],
        equivalence=parsed.equivalence,
    )


def _write_page(path: Path, title: str, comparison: Comparison) -> int:
    """Write the page and print its address."""
    from mnist_exp.report import comparison_page
    from mnist_exp.report.comparison_view import ComparisonView

    with messages.spinner("drawing"):
        comparison_page.write(path, title, ComparisonView(comparison))
    streams.is_stored(path)
    messages.print_address(path)
    return EXIT_DONE


def _parser() -> argparse.ArgumentParser:
    parser = command_line.parser("compare", EXAMPLES)
    parser.add_argument(
        "runs", nargs="*", metavar="RUN|SWEEP|GLOB", help="runs, sweeps or directories of them (default: all of --runs-dir)"
    )
    listed = command_line.comma_separated
    parser.add_argument("--by", type=listed, metavar="KEY,…", help="group by these fields; run: each run by itself")
    parser.add_argument("--where", metavar="CONDITION", help="only matching runs: and or not = != < <= > >= ~")
    parser.add_argument("--metric", metavar="KEY", help=f"rank by: {', '.join(METRICS)} (default: validation error)")
    parser.add_argument("--baseline", metavar="RUN", help="test against its configuration instead of the best")
    parser.add_argument(
        "--on", choices=QUESTIONS, default="new-images", help="other seeds and images (default), or other seeds only"
    )
    parser.add_argument("--equivalence", type=float, metavar="POINTS", help="test errors this close count as equal")
    parser.add_argument("--sort", type=listed, default=[], metavar="KEY,…", help="sort by fields; -KEY: descending")
    parser.add_argument("--top", type=int, metavar="N", help=f"the first N lines (table: {MAX_LINES})")
    parser.add_argument("--columns", type=listed, metavar="KEY,…", help="show these columns, in this order")
    parser.add_argument("--format", choices=FORMATS, help="(default: by the suffix of FILE, or table)")
    parser.add_argument("--output", type=command_line.path, metavar="FILE", help=f"write to this file (html: {PAGE})")
    return parser


def _join_sort(arguments: list[str]) -> list[str]:
    """Join `--sort -KEY` to one argument, since argparse would parse -KEY as an option."""
    joined = list(arguments)
    for index in reversed(range(len(joined) - 1)):
        if joined[index] == "--sort":
            joined[index : index + 2] = [f"--sort={joined[index + 1]}"]
    return joined


def _select_rows(parsed: argparse.Namespace) -> list[Row]:
    """Return the runs to compare.

    Raises:
        InputError: no run is found or matches the condition, or the condition is invalid.
    """
    if setting := next(filter(command_line.is_override, parsed.runs), None):
        raise InputError(
            f"{setting}: not a run", "select runs by a setting: --where, such as --where 'model.name=cnn_large'"
        )
    places = [place for name in parsed.runs for place in find_directories(name, parsed.runs_dir)]
    rows = [row for row in read_rows(places or [Path(parsed.runs_dir)]) if row.record.status != NOT_A_RUN]
    if not rows:
        raise InputError(f"{', '.join(parsed.runs) or parsed.runs_dir}: contains no runs", "train a model: mnist-exp")
    if parsed.where is None:
        return rows
    condition = Condition(parsed.where)
    check_fields(condition.fields, rows, "--where")
    matching = [row for row in rows if condition.matches(row)]
    if not matching:
        values = "; ".join(describe_values(key, rows) for key in sorted(condition.fields))
        raise InputError(
            f"--where {parsed.where}: matches none of {pluralize(len(rows), 'run')}", f"in these runs, {values}"
        )
    return matching


def _baseline(parsed: argparse.Namespace, rows: list[Row]) -> Row | None:
    if parsed.baseline is None:
        return None
    directory = find_run(parsed.baseline, parsed.runs_dir).directory.resolve()
    for row in rows:
        if row.record.directory.resolve() == directory:
            return row
    raise InputError(f"--baseline {parsed.baseline}: not among the compared runs", "add it to the compared runs")


def _to_text(comparison: Comparison, form: str, chosen: list[str] | None) -> Iterable[str]:
    """Return the parts of a comparison in a text format; JSON and CSV always contain everything."""
    if form == "json":
        return export.to_json(comparison)
    if form == "csv":
        return [export.to_csv([comparison])]
    write = {"table": tables.to_text, "markdown": tables.to_markdown, "latex": tables.to_latex}[form]
    return [write(comparison, columns.build(comparison, chosen)), "\n"]
