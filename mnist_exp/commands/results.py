"""What the user sees at the end of a run or a sweep, and its exit code."""

from pathlib import Path

from rich.table import Table

from mnist_exp import comparison, runs, terminal
from mnist_exp.comparison import tables
from mnist_exp.errors import EXIT_DONE, EXIT_FAILED
from mnist_exp.runs import Record, Run
from mnist_exp.summary import Summary


def of_run(run: Run, code: int) -> int:
    """Print how a single run ended, and hand on its exit code."""
    record = runs.read(run.directory)
    if record.summary is not None:
        terminal.output().print(summary_table(record.directory, record.summary))
        return EXIT_DONE
    if record.cause:
        explain(record)
    return code or EXIT_FAILED


def explain(record: Record) -> None:
    """Print why a run has no result, what to do, and where its log is."""
    log = Run(record.directory).log
    more = [line for line in (record.remedy, f"its log: {log}" if log.exists() else None) if line]
    terminal.error(f"{record.directory}: {record.status}: {record.cause}", *more)


def of_sweep(directory: Path, jobs: int) -> int:
    """Print the jobs of a sweep as a table and its failures with cause and log; 1 if any job did not complete."""
    rows = [row for row in comparison.gather([directory]) if runs.is_run(row.record.directory)]
    if rows:
        tables.show(tables.of_runs(rows))
    failures = [row.record for row in rows if row.record.summary is None]
    for failure in failures:
        explain(failure)
    missing = jobs - len(rows)
    if missing > 0:
        terminal.error(f"{tables.counted(missing, 'job')} of {jobs} never started")
    terminal.output().print(terminal.cell(f"the sweep: {directory}"))
    return EXIT_FAILED if failures or missing > 0 else EXIT_DONE


def sentence(run: Run) -> str:
    """How a run ended, in one line."""
    record = runs.read(run.directory)
    return f"test error {tables.rate(record.summary.test)}" if record.summary else f"{record.status}: {record.cause}"


def summary_table(directory: Path, summary: Summary) -> Table:
    """A run's result, where it is, and how to open its report."""
    table = Table(title=terminal.cell(summary.name), show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("test error", terminal.cell(tables.rate(summary.test), style="bold green"))
    if summary.validation is not None:
        table.add_row("validation error", tables.rate(summary.validation))
    table.add_row("model", terminal.cell(f"{summary.model.name}, {summary.model.parameters:,} parameters"))
    data = summary.dataset
    images = f"{data.train:,} training, {data.validation:,} validation, {data.test:,} test"
    table.add_row("images", terminal.cell(f"{data.name}: {images}"))
    epochs = tables.counted(summary.epochs, "epoch")
    table.add_row("training", f"{epochs} in {summary.train_seconds:.1f} s, {summary.images_per_second:,.0f} images/s")
    table.add_row("seed", str(summary.seed))
    table.add_row("run directory", terminal.cell(directory))
    table.add_row("report", terminal.cell(f"open {(directory / 'report.html').resolve().as_uri()} in a browser"))
    return table
