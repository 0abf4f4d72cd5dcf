"""What the user sees of a running sweep: a live table in a terminal, a line for each job elsewhere, or nothing."""

import time
from collections import Counter
from typing import Literal

from rich.console import Console, Group
from rich.live import Live as LiveTable
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mnist_exp.runs import history
from mnist_exp.runs.status import Record
from mnist_exp.sweep.plan import Job, Sweep
from mnist_exp.sweep.progress import Progress, duration, ranking_score
from mnist_exp.terminal import messages

MAX_ROWS = 8  # running jobs in a table
REFRESH_SECONDS = 0.5


def display(setting: Literal["auto", "live", "plain", "quiet"], sweep: Sweep) -> "Quiet":
    """Create the display for a value of `progress`; `auto` is live in a terminal and plain elsewhere."""
    if setting == "quiet":
        return Quiet()
    console = messages.console(stderr=True, force_terminal=True if setting == "live" else None)
    return Live(sweep, console) if console.is_terminal and setting != "plain" else Plain()


class Quiet:
    """Prints nothing; the interface of every display."""

    def job_finished(self, progress: Progress, job: Job, record: Record) -> None:
        """Show that a job completed, was pruned, or failed for good."""

    def job_retried(self, job: Job, cause: str) -> None:
        """Show why a job is trained again."""

    def update(self, progress: Progress) -> None:
        """Show the progress; called several times a second."""

    def close(self) -> None:
        """Restore the terminal."""


class Plain(Quiet):
    """Prints a line for each finished job, for logs and pipes."""

    def job_finished(self, progress: Progress, job: Job, record: Record) -> None:
        """Print the job's result, the number of finished jobs, and the time left."""
        if record.summary is None:
            result = f"{record.status}: {record.cause}"
        else:
            name, score = ranking_score(record.summary)
            result = f"{name} error {score.error_percent:.2f} %"
        parts = [f"{job.directory}: {result}", f"{len(progress.states)} of {progress.total} done"]
        if (left := progress.seconds_left) is not None and len(progress.states) < progress.total:
            parts.append(f"about {duration(left)} left")
        self._print("; ".join(parts))

    def job_retried(self, job: Job, cause: str) -> None:
        """Print the cause."""
        self._print(f"{job.directory}: retrying: {cause}")

    def _print(self, line: str) -> None:
        messages.note(line)


class Live(Plain):
    """A table of the running jobs, with counts, best result and time left, below the lines of the finished jobs."""

    def __init__(self, sweep: Sweep, console: Console) -> None:
        self._sweep = sweep
        self._table = LiveTable(console=console, transient=True, auto_refresh=False)
        self._refreshed = 0.0

    def update(self, progress: Progress) -> None:
        """Draw the table again after `REFRESH_SECONDS`."""
        if time.monotonic() - self._refreshed >= REFRESH_SECONDS:
            self._refreshed = time.monotonic()
            self._table.start()
            self._table.update(self._render(progress), refresh=True)

    def close(self) -> None:
        """Remove the table."""
        self._table.stop()

    def _print(self, line: str) -> None:
        self._table.console.print(messages.cell(line), soft_wrap=True)

    def _render(self, progress: Progress) -> Group:
        table = Table(box=None, pad_edge=False, show_header=False)
        running = progress.in_training
        for job, experiment in list(progress.running.values())[: min(MAX_ROWS, running)]:
            epochs = experiment.training.epochs
            rows = history.read(self._sweep.run(job).history)
            error = rows[-1].validation_error_percent if rows else None
            error_text = f"validation error {error:.2f} %" if error is not None else ""
            bar = ProgressBar(total=epochs, completed=len(rows), width=20)
            table.add_row(bar, f"epoch {len(rows)}/{epochs}", error_text, messages.cell(job.directory))
        if running > MAX_ROWS:
            table.add_row("", f"and {running - MAX_ROWS} more", "", "")
        states = Counter(progress.states.values())
        parts = [f"{states[state]} {state}" for state in ("completed", "pruned", "failed") if states[state]]
        parts += [f"{running} running", f"{progress.total - len(progress.states) - running} waiting"]
        parts += [f"best: {progress.best[1]}"] if progress.best is not None else []
        parts += [f"about {duration(progress.seconds_left)} left"] if progress.seconds_left is not None else []
        return Group(table, Text("  ".join(parts), style="bold"))
