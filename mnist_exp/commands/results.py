"""What the user sees at the end of a run or a sweep, and its exit code."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.table import Table

from mnist_exp.comparison import columns, tables
from mnist_exp.comparison.ranking import Comparison, compare
from mnist_exp.comparison.rows import Row, read_rows
from mnist_exp.errors import EXIT_DONE, EXIT_FAILED
from mnist_exp.run.names import Run
from mnist_exp.run.status import Record, read_record
from mnist_exp.run.summary import Summary
from mnist_exp.sweep import leaderboard, plan
from mnist_exp.sweep.plan import Plan, Sweep
from mnist_exp.terminal import messages

log = logging.getLogger(__name__)

MOST_ROWS = 20  # of a leaderboard in the terminal


def print_run_result(run: Run, code: int) -> int:
    """Print how a single run ended, and hand on its exit code."""
    record = read_record(run.directory)
    if record.summary is not None:
        messages.output().print(summary_table(record.directory, record.summary))
        return EXIT_DONE
    if record.cause:
        explain(record)
    return code or EXIT_FAILED


def explain(record: Record) -> None:
    """Print why a run has no result, what to do, and where its log is."""
    log = Run(record.directory).log
    more = [line for line in (record.remedy, f"its log: {log}" if log.exists() else None) if line]
    messages.error(f"{record.directory}: {record.status}: {record.cause}", *more)


def finish_sweep(sweep: Sweep, total: int, peak_memory: int | None = None, interrupted: bool = False) -> int:
    """Print and write what a sweep came to, with its failures and what is left; 1 unless every job came to its end.

    Args:
        sweep: which this process holds.
        total: how many jobs it has or, if it is a search, may have.
        peak_memory: the most that one of its processes took, in bytes, where that is known.
        interrupted: whether the user waits for the command to end; then there is no report.
    """
    known = plan.read(sweep)
    jobs = {job.directory for job in known.jobs}
    rows = [row for row in read_rows([sweep.directory]) if row.name in jobs]
    board = compare(rows)
    if board.lines:
        best = replace(board, lines=board.lines[:MOST_ROWS], not_ranked=())  # the failures are told below
        tables.print_comparison(best, columns.build(best), messages.output())
        if len(board.lines) > MOST_ROWS:
            messages.output().print(messages.cell(f"all stand in {sweep.leaderboard.with_suffix('.md')}"))
    failures = [row.record for row in rows if row.record.status in {"failed", "diverged", "unreadable"}]
    for failure in sorted(failures, key=lambda record: record.directory):
        explain(failure)
    completed = sum(row.record.summary is not None for row in rows)
    pruned = sum(row.record.status == "pruned" for row in rows)
    left = total - completed - pruned - len(failures)
    told = [f"{sweep.directory}: {completed:,} of {messages.pluralize(total, 'job')} completed"]
    told += [f"{pruned:,} pruned"] if pruned else []
    told += [f"{peak_memory / 1e6:,.0f} MB at most in one process"] if peak_memory else []
    told += [f"{messages.pluralize(left, 'job')} left: mnist-exp resume {sweep.directory}"] if left else []
    told += [f"{len(failures):,} failed: mnist-exp resume {sweep.directory} --retry-failed"] if failures else []
    messages.output().print(messages.cell("; ".join(told)))
    leaderboard.write(sweep, board)  # after what was printed: on a full disk that is not lost
    if not interrupted:
        _write_report(sweep, known, rows, board, total)
    return EXIT_DONE if completed + pruned == total else EXIT_FAILED


def _write_report(sweep: Sweep, known: Plan, rows: Sequence[Row], board: Comparison, total: int) -> None:
    """Write a sweep's report.html, and say where it is."""
    from mnist_exp.sweep import report

    try:
        with messages.spinner("writing the report"):
            report.write(sweep, known, rows, board, total)
    except ValueError as error:  # by the library that draws, of whatever it found in the runs
        log.exception("no report")
        messages.warning(f"report.html could not be drawn: {' '.join(str(error).split())}; the leaderboard is there")
        return
    messages.output().print(messages.cell(f"report: open {sweep.report.resolve().as_uri()} in a browser"))


def summary_table(directory: Path, summary: Summary) -> Table:
    """A run's result, where it is, and how to open its report."""
    table = Table(title=messages.cell(summary.name), show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("test error", messages.cell(tables.rate(summary.test), style="bold green"))
    if summary.validation is not None:
        table.add_row("validation error", tables.rate(summary.validation))
    most = summary.settings.get("evaluation.tta")
    averaged = (
        f", averaged over shifts by up to {messages.pluralize(most, 'pixel')}" if most and isinstance(most, int) else ""
    )
    table.add_row("model", messages.cell(f"{summary.model.name}, {summary.model.parameters:,} parameters{averaged}"))
    data = summary.dataset
    images = f"{data.train:,} training, {data.validation:,} validation, {data.test:,} test"
    table.add_row("images", messages.cell(f"{data.name}: {images}"))
    epochs = messages.pluralize(summary.epochs, "epoch")
    table.add_row("training", f"{epochs} in {summary.train_seconds:.1f} s, {summary.images_per_second:,.0f} images/s")
    if summary.members is None:
        table.add_row("seed", str(summary.seed))
    else:
        names = ", ".join(Path(member.run).name for member in summary.members)
        table.add_row("members", messages.cell(f"{len(summary.members):,}: {names}"))
    table.add_row("run directory", messages.cell(directory))
    table.add_row("report", messages.cell(f"open {(directory / 'report.html').resolve().as_uri()} in a browser"))
    return table
