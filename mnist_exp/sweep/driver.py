"""The jobs of a sweep: handed out, tried again, counted, whatever happens to them."""

import contextlib
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from mnist_exp import job as single
from mnist_exp import runs
from mnist_exp.config.schema import Experiment, SweepConfig
from mnist_exp.errors import EXIT_FAILED, InputError
from mnist_exp.runs import Record, Run
from mnist_exp.sweep.launchers import Launcher
from mnist_exp.sweep.plan import Job, Sweep

log = logging.getLogger(__name__)

WAIT_SECONDS = 0.25  # between two looks at the jobs in training, if none ends
MOST_LOSSES = 3  # how often a job may lose its process or its machine, through no fault of its own, before it has failed

State = Literal["waiting", "running", "completed", "failed"]


@dataclass
class Progress:
    """Where the jobs stand."""

    states: dict[int, State]  # by the number of the job
    began: float = field(default_factory=time.monotonic)
    ended: int = 0  # jobs since then

    def count(self, state: State) -> int:
        """How many jobs are there."""
        return sum(found == state for found in self.states.values())

    @property
    def seconds_left(self) -> float | None:
        """Judged by the jobs that ended so far; None as long as there is none."""
        left = self.count("waiting") + self.count("running")
        return (time.monotonic() - self.began) / self.ended * left if self.ended else None


class Watcher(Protocol):
    """Is told what happens to the jobs."""

    def job_ended(self, progress: Progress, job: Job, record: Record) -> None:
        """A job completed, or failed for good."""

    def job_again(self, progress: Progress, job: Job, cause: str) -> None:
        """A job failed or was lost, and will be tried again."""

    def tick(self, progress: Progress) -> None:
        """A moment has passed."""


class Driver:
    """Hands the jobs of one sweep to a launcher."""

    def __init__(self, sweep: Sweep, settings: SweepConfig, launcher: Launcher, watcher: Watcher) -> None:
        self._sweep = sweep
        self._settings = settings
        self._launcher = launcher
        self._watcher = watcher
        self._handed_out: dict[Run, Job] = {}
        self._failures: dict[int, int] = {}
        self._losses: dict[int, int] = {}

    def run(self, jobs: Sequence[Job], experiments: Mapping[int, Experiment]) -> Progress:
        """Train the jobs that have an experiment here, until each has completed or failed.

        Args:
            jobs: all of the sweep.
            experiments: of those that are to be trained, by number.

        Raises:
            KeyboardInterrupt, Interrupted: by the user or the system; jobs in training have kept their states.
        """
        waiting = deque(job for job in jobs if job.number in experiments)
        progress = Progress({job.number: self._standing(job, job.number in experiments) for job in jobs})
        with contextlib.closing(self._launcher):
            while waiting or self._handed_out:
                room = self._launcher.holds - len(self._handed_out)
                self._hand_out([waiting.popleft() for _ in range(min(len(waiting), room))], experiments, progress)
                for run, lost in self._launcher.ended(WAIT_SECONDS).items():
                    job = self._handed_out.pop(run)
                    if again := self._again(job, run, lost):
                        progress.states[job.number] = "waiting"
                        waiting.append(job)
                        self._watcher.job_again(progress, job, again)
                    elif not self._ended(job, run, lost, progress) and self._settings.on_failure == "stop":
                        waiting.clear()
                        for recalled in self._launcher.recall():
                            progress.states[self._handed_out.pop(recalled).number] = "waiting"
                self._watcher.tick(progress)
        return progress

    def _standing(self, job: Job, wanted: bool) -> State:
        if wanted:
            return "waiting"
        return "completed" if runs.read(self._sweep.run(job).directory).summary is not None else "failed"

    def _hand_out(self, batch: Sequence[Job], experiments: Mapping[int, Experiment], progress: Progress) -> None:
        """Make what is new a run, and submit all."""
        for job in batch:
            run = self._sweep.run(job)
            if not run.config.exists():
                with contextlib.suppress(FileExistsError):  # made before the plug was pulled
                    run.directory.mkdir()
                single.prepare(experiments[job.number], run, job.overrides, "waiting")
            progress.states[job.number] = "running"
            self._handed_out[run] = job
        self._launcher.submit([self._sweep.run(job) for job in batch])

    def _again(self, job: Job, run: Run, lost: str | None) -> str | None:
        """Why a job that ended is to be tried again; None if it is not."""
        record = runs.read(run.directory)
        if record.summary is not None or record.status == "diverged":  # which it would do again, bit for bit
            return None
        if record.status == "failed":
            self._failures[job.number] = tries = self._failures.get(job.number, 0) + 1
            return (record.cause or "it failed") if tries <= self._settings.retries else None
        self._losses[job.number] = tries = self._losses.get(job.number, 0) + 1
        return lost or "its process ended without a word" if tries <= MOST_LOSSES else None

    def _ended(self, job: Job, run: Run, lost: str | None, progress: Progress) -> bool:
        """Whether a job completed; if nobody could say why it did not, that is said for it."""
        record = runs.read(run.directory)
        if record.summary is None and record.status not in {"failed", "diverged"}:
            with contextlib.suppress(InputError), runs.locked(run):  # another sweep or machine may be training it
                cause = lost or "its process ended without a word"
                runs.write_status(run, "failed", EXIT_FAILED, cause, "its log may say why")
            record = runs.read(run.directory)
        completed = record.summary is not None
        progress.states[job.number] = "completed" if completed else "failed"
        progress.ended += 1
        self._watcher.job_ended(progress, job, record)
        return completed
