"""What the user sees of a sweep: a live table in a terminal, a line for each job elsewhere, or nothing."""

import contextlib
import sys
import time
from collections import Counter
from types import TracebackType
from typing import Literal, Self

from rich.console import Console, Group
from rich.live import Live as LiveDisplay
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mnist_exp.run import history
from mnist_exp.run.status import Record
from mnist_exp.run.summary import Score, Summary
from mnist_exp.sweep.driver import Progress
from mnist_exp.sweep.plan import Job, Sweep
from mnist_exp.terminal import messages

SHOWN = 8  # running jobs in the table, at most
REFRESH_SECONDS = 0.5


def display(setting: Literal["auto", "live", "plain", "quiet"], sweep: Sweep) -> "Quiet":
    """The display that the `progress` setting asks for.

    Args:
        setting: `auto` is live in a terminal and plain elsewhere.
        sweep: the sweep.
    """
    if setting == "quiet":
        return Quiet(sweep)
    console = Console(stderr=True, force_terminal=True if setting == "live" else None)
    if setting == "live" or (setting == "auto" and console.is_terminal):
        return Live(sweep, console)
    return Plain(sweep)


class Quiet:
    """Nothing; but it knows the best job."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._best: tuple[float, str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def job_ended(self, progress: Progress, job: Job, record: Record) -> None:  # noqa: ARG002
        """Note the best."""
        if record.summary is not None:
            which, score = deciding(record.summary)
            if self._best is None or score.error_percent < self._best[0]:
                self._best = score.error_percent, f"job {job.number}, {which} error {score.error_percent:.2f} %"

    def job_again(self, progress: Progress, job: Job, cause: str) -> None:
        """Say nothing."""

    def tick(self, progress: Progress) -> None:
        """Say nothing."""


class Plain(Quiet):
    """A line for each job that ended, for logs and pipes."""

    def job_ended(self, progress: Progress, job: Job, record: Record) -> None:
        """Print how it ended, how far the sweep is, and how long it may still take."""
        super().job_ended(progress, job, record)
        done = len(progress.states)
        more = [self.ending(job, record), f"{done} of {progress.total} done"]
        if (left := progress.seconds_left) is not None and done < progress.total:
            more.append(f"about {duration(left)} left")
        self._print("; ".join(more))

    def job_again(self, progress: Progress, job: Job, cause: str) -> None:  # noqa: ARG002
        """Print why."""
        self._print(f"{job.directory}: is tried again: {cause}")

    def ending(self, job: Job, record: Record) -> str:
        """How a job ended, in a line."""
        if record.summary is None:
            return f"{job.directory}: {record.status}: {record.cause}"
        which, score = deciding(record.summary)
        return f"{job.directory}: {which} error {score.error_percent:.2f} %"

    def _print(self, line: str) -> None:
        with contextlib.suppress(OSError):  # whoever read it has gone: that is no reason to end the sweep
            print(messages.sanitize(line), file=sys.stderr, flush=True)


class Live(Plain):
    """A table of the running jobs below the lines of the finished ones, with the counts, the best and the time left."""

    def __init__(self, sweep: Sweep, console: Console) -> None:
        super().__init__(sweep)
        self._console = console
        self._live = LiveDisplay(console=console, transient=True, auto_refresh=False)
        self._refreshed = 0.0

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.stop()

    def tick(self, progress: Progress) -> None:
        """Draw the table anew, if it is time."""
        now = time.monotonic()
        if now - self._refreshed >= REFRESH_SECONDS:
            self._refreshed = now
            self._live.update(self._drawn(progress), refresh=True)

    def _print(self, line: str) -> None:
        self._live.console.print(messages.cell(line), soft_wrap=True)

    def _drawn(self, progress: Progress) -> Group:
        table = Table(box=None, pad_edge=False, show_header=False)
        for job, experiment in list(progress.running.values())[: min(SHOWN, progress.places)]:
            epochs = experiment.training.epochs
            rows = history.read(self._sweep.run(job).history)
            error = rows[-1].validation_error_percent if rows else None
            told = f"validation error {error:.2f} %" if error is not None else ""
            bar = ProgressBar(total=epochs, completed=len(rows), width=20)
            table.add_row(bar, f"epoch {len(rows)}/{epochs}", told, messages.cell(job.directory))
        if min(len(progress.running), progress.places) > SHOWN:
            table.add_row("", f"and {min(len(progress.running), progress.places) - SHOWN} more", "", "")
        states = Counter(progress.states.values())
        running = min(len(progress.running), progress.places)  # the others are next
        counts = [f"{states[state]} {state}" for state in ("completed", "pruned", "failed") if states[state]]
        counts += [f"{running} running", f"{progress.total - len(progress.states) - running} waiting"]
        if self._best is not None:
            counts.append(f"best: {self._best[1]}")
        if (left := progress.seconds_left) is not None:
            counts.append(f"about {duration(left)} left")
        return Group(table, Text("  ".join(counts), style="bold"))


def deciding(summary: Summary) -> tuple[str, Score]:
    """The error by which a run is judged, and its name: that of the validation images where there are any."""
    return ("test", summary.test) if summary.validation is None else ("validation", summary.validation)


def duration(seconds: float) -> str:
    """A time for people: 40 s, 12 min, 3 h 05 min."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
