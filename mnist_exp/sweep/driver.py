"""The driver of a sweep: hands jobs to a launcher, retries them, and counts the results."""

import contextlib
import logging
from collections import Counter, deque
from collections.abc import Iterable
from typing import Protocol

from mnist_exp import config
from mnist_exp.config.identity import config_hashes
from mnist_exp.config.schema import Experiment, SweepConfig
from mnist_exp.errors import EXIT_FAILED, InputError, UserError
from mnist_exp.machine import files
from mnist_exp.run import job as single
from mnist_exp.run.directory import locked_run, read_config
from mnist_exp.run.names import Run
from mnist_exp.run.status import NO_STATUS_RECORDED, Record, read_record, write_status
from mnist_exp.sweep.display import Quiet
from mnist_exp.sweep.launchers.launcher import Launcher
from mnist_exp.sweep.plan import Job, Sweep
from mnist_exp.sweep.progress import FINISHED, Progress, State, state_of

log = logging.getLogger(__name__)

WAIT_SECONDS = 0.25  # between two updates
MAX_LOSSES = 3  # how often a job may lose its process or machine without progress before it counts as failed


class JobSource(Protocol):
    """Supplies the jobs of a sweep one by one."""

    @property
    def total(self) -> int:
        """The number of jobs of the whole sweep, as far as it is known; finished jobs count."""

    def take(self, running: int) -> tuple[Job, Experiment] | None:
        """Return the next job, given the number of jobs handed out; None if there is none at the moment."""

    def finish(self, job: Job, record: Record) -> None:
        """Take note of a job that completed, was pruned, or failed for good."""

    def poll(self) -> None:
        """Read the progress of the running jobs; called several times a second."""


class PlannedJobs:
    """A source of jobs that are all known in advance."""

    def __init__(self, jobs: Iterable[tuple[Job, Experiment]], total: int) -> None:
        self._jobs = iter(jobs)
        self.total = total

    def take(self, running: int) -> tuple[Job, Experiment] | None:  # noqa: ARG002
        """Return the next job."""
        return next(self._jobs, None)

    def finish(self, job: Job, record: Record) -> None:
        """Do nothing: later jobs do not depend on results."""

    def poll(self) -> None:
        """Do nothing."""


class Driver:
    """Hands the jobs of one sweep to a launcher."""

    def __init__(self, sweep: Sweep, settings: SweepConfig, launcher: Launcher, display: Quiet) -> None:
        self._sweep = sweep
        self._settings = settings
        self._launcher = launcher
        self._display = display
        self._retries: deque[tuple[Job, Experiment]] = deque()
        self._failures: Counter[int] = Counter()
        self._losses: Counter[int] = Counter()
        self._checkpoints: dict[int, str] = {}  # name of a job's newest checkpoint when it was last lost
        self._stopped = False

    def run(self, source: JobSource, progress: Progress) -> None:
        """Have all jobs trained until each has completed, was pruned, or failed for good.

        Args:
            source: supplies the jobs.
            progress: of the whole sweep; kept up to date.

        Raises:
            KeyboardInterrupt, Interrupted: by the user or the system; jobs in training can be resumed.
        """
        with contextlib.closing(self._display), contextlib.closing(self._launcher):
            while self._hand_out(source, progress) or progress.running:
                for run, loss in self._launcher.wait(WAIT_SECONDS).items():
                    job, experiment = progress.running.pop(run)
                    record = read_record(run.directory)
                    if self._stopped and record.status == "waiting":
                        continue  # cancelled before it started
                    if cause := self._retry_cause(job, run, record, loss):
                        self._retries.append((job, experiment))
                        log.warning("%s: retrying: %s", job.directory, cause)
                        self._display.job_retried(job, cause)
                    else:
                        self._finish(job, _final_record(run, record, loss), source, progress)
                source.poll()
                self._display.update(progress)

    def _hand_out(self, source: JobSource, progress: Progress) -> int:
        """Submit as many jobs as the launcher accepts; return their number."""
        batch: list[Run] = []
        while not self._stopped and len(progress.running) < self._launcher.queue_limit:
            taken = self._retries.popleft() if self._retries else source.take(len(progress.running))
            progress.total = source.total
            if taken is None:
                break
            job, experiment = taken
            run = self._sweep.run(job)
            if (failure := self._prepare(job, experiment, run)) is not None:
                self._finish(job, failure, source, progress)
                continue
            progress.running[run] = taken
            batch.append(run)
        self._launcher.submit(batch)
        return len(batch)

    def _prepare(self, job: Job, experiment: Experiment, run: Run) -> Record | None:
        """Make the job's directory a waiting run with the current settings; return a record if this fails."""
        try:
            if run.config.exists() and not _is_config_of(job, run):
                cause = f"{run.config}: does not match the planned job"
                raise InputError(cause, "restore the file, or remove the directory to train the job again")
            with files.writing(run.directory):
                run.directory.mkdir(exist_ok=True)
            single.prepare(experiment, run, job.overrides, "waiting")
        except UserError as error:
            return Record(run.directory, "failed", error.cause, error.remedy, None)
        return None

    def _finish(self, job: Job, record: Record, source: JobSource, progress: Progress) -> None:
        progress.add(job, record)
        log.info("%s: %s%s", job.directory, record.status, f": {record.cause}" if record.cause else "")
        source.finish(job, record)
        self._display.job_finished(progress, job, record)
        if state_of(record) == "failed" and self._settings.on_failure == "stop" and not self._stopped:
            self._stopped = True
            self._launcher.cancel_waiting()

    def _retry_cause(self, job: Job, run: Run, record: Record, loss: str | None) -> str | None:
        """Why a job that ended must be trained again; None if it must not."""
        if state_of(record) != "failed" or record.status == "diverged":  # it would diverge again, bit for bit
            return None
        if record.status == "failed":
            self._failures[job.number] += 1
            return (record.cause or "it failed") if self._failures[job.number] <= self._settings.retries else None
        checkpoint = max((path.name for path in run.checkpoints.glob("epoch_*")), default="")
        if self._checkpoints.get(job.number, checkpoint) != checkpoint:  # it made progress since the last loss
            self._losses[job.number] = 0
        self._checkpoints[job.number] = checkpoint
        self._losses[job.number] += 1
        return loss or NO_STATUS_RECORDED if self._losses[job.number] <= MAX_LOSSES else None


def job_states(sweep: Sweep, jobs: Iterable[Job]) -> dict[int, State]:
    """Read the states of finished jobs, by number."""
    return {job.number: state_of(read_record(sweep.run(job).directory)) for job in jobs}


def _final_record(run: Run, record: Record, loss: str | None) -> Record:
    """Write the status "failed" for a run that has no final status."""
    if record.status in FINISHED:
        return record
    cause, remedy = loss or NO_STATUS_RECORDED, "its log may contain the cause"
    try:
        with locked_run(run):
            write_status(run, "failed", EXIT_FAILED, cause, remedy)
    except InputError as error:  # another process trains it
        return Record(run.directory, "failed", error.cause, error.remedy, None)
    except UserError:  # the status cannot be written
        return Record(run.directory, "failed", cause, remedy, None)
    return read_record(run.directory)


def _is_config_of(job: Job, run: Run) -> bool:
    """Whether a run's config.yaml is that of a job; an unreadable file counts as such, since it is replaced."""
    try:
        experiment = config.validate(read_config(run))
    except (ValueError, UserError):
        return True
    return job.seed == experiment.seed and job.config_hash in config_hashes(experiment)
