"""The progress of a sweep: finished jobs, the best result, and an estimate of the time left."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from mnist_exp.config.schema import Experiment
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import FAILED, Record
from mnist_exp.runs.summary import Score, Summary
from mnist_exp.sweep.plan import Job

State = Literal["completed", "pruned", "failed"]  # of a finished job


@dataclass
class Progress:
    """The state of a sweep's jobs; the driver keeps it up to date."""

    total: int
    parallel_jobs: int  # jobs in training at once, at most
    states: dict[int, State]  # of the finished jobs, by number
    running: dict[Run, tuple[Job, Experiment]] = field(default_factory=dict)  # handed out: in training or next
    seconds: list[float] = field(default_factory=list)  # wall time of each job completed by this process
    best: tuple[float, str] | None = None  # the lowest error % of these jobs, and a description

    @property
    def in_training(self) -> int:
        """How many jobs are in training."""
        return min(len(self.running), self.parallel_jobs)

    @property
    def seconds_left(self) -> float | None:
        """An estimate that counts a job in training as half done; None before the first job completes."""
        return time_left(self.seconds, self.total - len(self.states) - self.in_training / 2, self.parallel_jobs)

    def add(self, job: Job, record: Record) -> None:
        """Count a job that completed, was pruned, or failed for good."""
        self.states[job.number] = state_of(record)
        if record.summary is not None:
            self.seconds.append(record.summary.wall_seconds)
            name, score = ranking_score(record.summary)
            best = score.error_percent, f"job {job.number}, {name} error {score.error_percent:.2f} %"
            if self.best is None or best[0] < self.best[0]:
                self.best = best


class Counts(NamedTuple):
    """The numbers of jobs of a sweep."""

    total: int
    completed: int
    pruned: int
    failed: int
    left: int


def count_outcomes(records: Iterable[Record], total: int) -> Counts:
    """Count the jobs of a sweep with `total` jobs, from the records of those that have a directory."""
    statuses = Counter(record.status for record in records)
    completed, pruned, failed = statuses["completed"], statuses["pruned"], sum(statuses[status] for status in FAILED)
    return Counts(total, completed, pruned, failed, max(total - completed - pruned - failed, 0))


def state_of(record: Record) -> State:
    """Return the state of a finished job; a job without a known result has failed."""
    if record.summary is not None:
        return "completed"
    return "pruned" if record.status == "pruned" else "failed"


def ranking_score(summary: Summary) -> tuple[str, Score]:
    """Return the name and value of the score that ranks a run: validation, or test where there are no validation images."""
    return ("test", summary.test) if summary.validation is None else ("validation", summary.validation)


def time_left(seconds: Sequence[float], jobs: float, parallel_jobs: int) -> float | None:
    """Estimate the seconds of the remaining `jobs` from those of each completed one; None if no job has completed.

    A job in training counts with its remaining share.
    """
    return sum(seconds) / len(seconds) * jobs / max(min(parallel_jobs, jobs), 1) if seconds else None


def duration(seconds: float) -> str:
    """Format a time: 40 s, 12 min, 3 h 05 min."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
