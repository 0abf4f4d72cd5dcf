"""The output at the end of a run or a sweep, and the exit code."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.table import Table

from mnist_exp.comparison import columns, tables
from mnist_exp.comparison.ranking import Comparison, compare_each
from mnist_exp.comparison.rows import Row
from mnist_exp.errors import EXIT_DONE, EXIT_FAILED, UserError
from mnist_exp.machine import files
from mnist_exp.runs.evaluations import read_scores
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import FAILED, Record, read_record
from mnist_exp.runs.summary import Score, Summary
from mnist_exp.sweep import leaderboard, plan
from mnist_exp.sweep.plan import Plan, Sweep
from mnist_exp.sweep.progress import Counts, count_outcomes
from mnist_exp.terminal import messages, streams
from mnist_exp.terminal.messages import pluralize

log = logging.getLogger(__name__)

MAX_ROWS = 20  # of a leaderboard in the terminal
MAX_TABLES = 10  # leaderboards that are printed, one for each set of images


def print_run_result(run: Run, code: int) -> int:
    """Print the result of a run that exited with a code, or why it has none, and return the exit code of the command."""
    record = read_record(run.directory)
    streams.is_stored(run.directory)
    if record.summary is not None:
        print_summary(record.directory, record.summary)
        return EXIT_DONE
    if record.cause:
        print_failure(record)
    return code or EXIT_FAILED


def print_failure(record: Record) -> None:
    """Print why a run has no result, what to do, and where its log is."""
    log_file = Run(record.directory).log
    more = [line for line in (record.remedy, f"log: {log_file}" if files.exists(log_file) else None) if line]
    messages.error(f"{record.directory}: {record.status}: {record.cause}", *more)


def print_sweep(sweep: Sweep) -> int:
    """Print the leaderboard of a sweep, its failures and its remaining jobs, without writing anything."""
    known = plan.read(sweep)
    rows = leaderboard.job_rows(sweep, known)
    counts = count_outcomes((row.record for row in rows), len(known.jobs))
    _print_jobs(sweep, rows, compare_each(rows), counts, all_drawn=not files.exists(sweep.study))
    if files.exists(sweep.report):
        messages.print_address(sweep.report)
    return EXIT_DONE


def finish_sweep(sweep: Sweep, known: Plan, total: int, peak_memory: int = 0, interrupted: bool = False) -> int:
    """Print the leaderboard, failures and remaining jobs of a sweep, and write its leaderboard and report.

    Args:
        sweep: the sweep, locked by this process.
        known: its plan, which is written again if it was removed.
        total: the number of jobs; for a search, the maximum number.
        peak_memory: the highest memory of one training process in bytes, 0 if unknown.
        interrupted: whether the user interrupted the sweep; then no report is written, so that the command exits at once.

    Returns:
        The exit code of the command: 0 if every job is completed or pruned, else 1.
    """
    if not sweep.plan.exists():
        plan.write(sweep, known)
    rows = leaderboard.job_rows(sweep, known)
    boards, counts = compare_each(rows), count_outcomes((row.record for row in rows), total)
    failure = None
    try:
        leaderboard.write(sweep, boards)
        has_report = not interrupted and _write_report(sweep, known, rows, boards, total)
    except UserError as error:  # a full disk must not hide the result
        failure, has_report = error, False
    streams.is_stored(sweep.directory)
    _print_jobs(sweep, rows, boards, counts, peak_memory)
    if has_report:
        messages.print_address(sweep.report)
    if failure is not None:
        messages.error(failure.cause, failure.remedy)
        return failure.exit_code
    return EXIT_FAILED if counts.failed or counts.left else EXIT_DONE


def _write_report(sweep: Sweep, known: Plan, rows: Sequence[Row], boards: Sequence[Comparison], total: int) -> bool:
    """Write report.html and return whether that was possible."""
    from mnist_exp.sweep import report

    try:
        with messages.spinner("writing the report"):
            report.write(sweep, known, rows, boards, total)
    except ValueError as error:  # from the drawing library, for unexpected values in a run
        log.exception("no report")
        cause = " ".join(str(error).split())
        messages.warning(f"report.html was not written: {cause}; the leaderboard is complete")
        return False
    return True


def _print_jobs(
    sweep: Sweep,
    rows: Sequence[Row],
    boards: Sequence[Comparison],
    counts: Counts,
    peak_memory: int = 0,
    all_drawn: bool = True,
) -> None:
    """Print the leaderboard, the failures and the numbers of jobs; not their total if a search may draw more trials."""
    for board in boards[:MAX_TABLES]:
        if not board.lines:
            continue
        if board.title:
            messages.output().print(messages.cell(board.title, style="bold"))
        best = replace(board, lines=board.lines[:MAX_ROWS], not_ranked={})  # failures are printed below
        tables.print_comparison(best, columns.build(best), messages.output())
        if len(board.lines) > MAX_ROWS:
            messages.print_line(f"all lines: {sweep.leaderboard.with_suffix('.md')}")
    if len(boards) > MAX_TABLES:
        text = f"all {len(boards):,} leaderboards, one for each set of images: {sweep.leaderboard.with_suffix('.md')}"
        messages.print_line(text)
    for row in rows:
        if row.record.status in FAILED:
            print_failure(row.record)
    total, completed, pruned, failed, left = counts
    of_total = f"{completed:,} of {pluralize(total, 'job')}" if all_drawn else pluralize(completed, "job")
    parts = [f"{sweep.directory}: {of_total} completed"]
    parts += [f"{pruned:,} pruned"] if pruned else []
    parts += [f"{peak_memory / 1e6:,.0f} MB at most in one process"] if peak_memory else []
    parts += [f"{pluralize(left, 'job')} left: mnist-exp resume {sweep.directory}"] if left else []
    parts += [f"{failed:,} failed: mnist-exp resume {sweep.directory} --retry-failed"] if failed else []
    messages.print_line("; ".join(parts))


def print_summary(directory: Path, summary: Summary) -> None:
    """Print the result of a run and the address of its report."""
    messages.output().print(_summary_table(directory, summary))
    messages.print_address(Run(directory).report)


def _summary_table(directory: Path, summary: Summary) -> Table:
    table = Table(title=messages.cell(summary.name), show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for number, (name, text) in enumerate(summary_rows(directory, summary)):
        table.add_row(messages.cell(name), messages.cell(text, style="" if number else "bold green"))
    return table


def summary_rows(directory: Path, summary: Summary) -> list[tuple[str, str]]:
    """Return the result of a run as names and values, the test error first; they may contain untrusted text."""
    rows = [("test error", _format_score(summary.test))]
    if (groups := summary.image_groups) is not None:
        low, high = groups.ci95
        rows.append(("by group", f"95 %: {low:.2f} – {high:.2f}, for new groups such as the {groups.n:,} tested"))
    if summary.validation is not None:
        rows.append(("validation error", _format_score(summary.validation)))
    rows += [(f"{name} error", _format_score(score)) for name, score in read_scores(Run(directory)).items()]
    shift = summary.settings.get("evaluation.tta")
    averaged = f", averaged over shifts by up to {pluralize(shift, 'pixel')}" if shift and isinstance(shift, int) else ""
    rows.append(("model", f"{summary.model.name}, {summary.model.parameters:,} parameters{averaged}"))
    data = summary.dataset
    images = f"{data.train:,} training, {data.validation:,} validation, {data.test:,} test"
    rows.append(("images", f"{data.name}: {images}"))
    epochs = pluralize(summary.epochs, "epoch")
    training = f"{epochs} in {summary.train_seconds:.1f} s, {summary.images_per_second:,.0f} images/s"
    compiled = f", compiled in {summary.compile_seconds:.1f} s" if summary.compile_seconds else ""
    rows.append(("training", training + compiled))
    rows += summary.origin.items()
    if summary.members is None:
        rows.append(("seed", str(summary.seed)))
    else:
        names = ", ".join(Path(member.run).name for member in summary.members)
        rows.append(("members", f"{len(summary.members):,}: {names}"))
    return [*rows, ("run directory", str(directory))]


def _format_score(score: Score) -> str:
    low, high = score.ci95
    return f"{score.error_percent:.2f} %  (95 %: {low:.2f} – {high:.2f}; {score.errors:,} of {score.n:,})"
