"""What the user sees at the end of a run or a sweep, and its exit code."""

import json
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from mnist_exp import comparison, runs
from mnist_exp.commands import console
from mnist_exp.comparison import tables
from mnist_exp.errors import EXIT_DONE, EXIT_FAILED
from mnist_exp.runs import Run


def of_run(run: Run, hydra_code: int) -> int:
    """Print how a single run ended; its exit code is in its status."""
    record = runs.read(run.directory)
    if record.summary is not None:
        console.output().print(summary_table(record.directory, record.summary))
        return EXIT_DONE
    try:
        status = json.loads(run.status.read_bytes())
    except OSError:
        return hydra_code or EXIT_FAILED
    console.error(f"{status['cause']}\n{status['remedy']}\nthe log: {run.log}")
    return int(status["exit_code"] or EXIT_FAILED)


def of_sweep(directory: Path, jobs: int) -> int:
    """Print the jobs of a sweep as a table and its failures with cause and log; 1 if any job did not complete."""
    rows = comparison.gather([directory])
    console.output().print(tables.of_runs(rows))
    failures = [row for row in rows if row.record.summary is None]
    for failure in failures:
        console.error(f"{directory / failure.name}: {failure.record.status}: {failure.record.cause}")
    missing = jobs - len(rows)
    if missing > 0:
        console.error(f"{missing} of {jobs} jobs never started")
    console.output().print(Text(f"the sweep: {directory}"))
    return EXIT_FAILED if failures or missing > 0 else EXIT_DONE


def sentence(run: Run) -> str:
    """How a run ended, in one line."""
    record = runs.read(run.directory)
    return f"test error {tables.rate(record.summary['test'])}" if record.summary else f"{record.status}: {record.cause}"


def summary_table(directory: Path, summary: dict[str, Any]) -> Table:
    """A run's result, where it is, and how to open its report."""
    table = Table(title=Text(summary["name"]), show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    test, validation, dataset = summary["test"], summary["validation"], summary["dataset"]
    table.add_row("test error", Text(tables.rate(test), style="bold green"))
    if validation is not None:
        table.add_row("validation error", tables.rate(validation))
    table.add_row("model", Text(f"{summary['model']['name']}, {summary['model']['parameters']:,} parameters"))
    images = f"{dataset['train']:,} training, {dataset['validation']:,} validation, {dataset['test']:,} test"
    table.add_row("images", Text(f"{dataset['name']}: {images}"))
    speed = f"{summary['images_per_second']:,.0f} images/s"
    table.add_row("training", f"{tables.counted(summary['epochs'], 'epoch')} in {summary['train_seconds']:.1f} s, {speed}")
    table.add_row("seed", str(summary["seed"]))
    table.add_row("run directory", Text(str(directory)))
    table.add_row("report", Text(f"open {(directory / 'report.html').resolve().as_uri()} in a browser"))
    return table
