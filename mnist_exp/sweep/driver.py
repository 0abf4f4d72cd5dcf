"""The driver of a sweep: hands jobs to a launcher, retries them, and counts the results."""

import contextlib
import logging
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mnist_exp import config
from mnist_exp.config.schema import Experiment, SweepConfig
from mnist_exp.errors import EXIT_FAILED, InputError, UserError
from mnist_exp.machine import files
from mnist_exp.runs.directory import read_config
from mnist_exp.runs.lock import lock_run
from mnist_exp.runs.outcome import prepare_run
from mnist_exp.runs.run import Run, refuse_special_files
from mnist_exp.runs.status import FINISHED, NO_STATUS_RECORDED, Record, read_record, write_status
from mnist_exp.sweep.display import Quiet
from mnist_exp.sweep.launchers.launcher import Launcher
from mnist_exp.sweep.plan import Job, Plan, Sweep
from mnist_exp.sweep.progress import Progress, State, state_of

log = logging.getLogger(__name__)

WAIT_SECONDS = 0.25  # between two updates
MAX_LOST = 3  # how often a job may lose its process or machine without progress before it counts as failed


class JobSource:
    """The jobs of a sweep, all known in advance; the base of a source that chooses them by earlier results."""

    def __init__(self, plan: Plan, jobs: Sequence[tuple[Job, Experiment]], finished: Mapping[int, State]) -> None:
        """Set the plan of the sweep, the remaining jobs, and the states of the finished jobs by number."""
        self.plan = plan  # a search adds the jobs of its trials
        self._jobs = deque(jobs)
        self._total = len(jobs) + len(finished)
        self.finished = dict(finished)

    @property
    def total(self) -> int:
        """The number of jobs of the whole sweep, as far as it is known; finished jobs count."""
        return self._total

    def take(self) -> tuple[Job, Experiment] | None:
        """Return the next job; None if there is none at the moment."""
        return self._jobs.popleft() if self._jobs else None

    def finish(self, job: Job, record: Record) -> None:
        """Take note of a job that completed, was pruned, or failed for good."""

    def poll(self) -> None:
        """Read the progress of the running jobs; called several times a second."""


class Driver:
    """Hands the jobs of one sweep to a launcher."""

    def __init__(
        self, sweep: Sweep, settings: SweepConfig, source: JobSource, launcher: Launcher, display: Quiet, queue_limit: int
    ) -> None:
        """Set the parts, and how many jobs are submitted at once: at most the launcher's `queue_limit`."""
        self.progress = Progress(source.total, launcher.parallel_jobs, source.finished)
        self._sweep = sweep
        self._settings = settings
        self._source = source
        self._launcher = launcher
        self._queue_limit = queue_limit
        self._display = display
        self._retries: deque[tuple[Job, Experiment]] = deque()
        self._failures: Counter[int] = Counter()  # by the job's number
        self._lost: Counter[tuple[int, str]] = Counter()  # by the job's number and its newest checkpoint
        self._stopped = False

    def run(self) -> None:
        """Have all jobs trained until each has completed, was pruned, or failed for good.

        Raises:
            KeyboardInterrupt, Interrupted: the user or the system stops the sweep; jobs in training can be resumed.
        """
        with contextlib.closing(self._display), contextlib.closing(self._launcher):
            while self._hand_out() or self.progress.running:
                for run, lost_cause in self._launcher.wait(WAIT_SECONDS).items():
                    job, experiment = self.progress.running.pop(run)
                    record = read_record(run.directory)
                    if self._stopped and record.status == "waiting":
                        continue  # cancelled before it started
                    if cause := self._retry_cause(job, run, record, lost_cause):
                        self._retries.append((job, experiment))
                        log.warning("%s: retrying: %s", job.directory, cause)
                        self._display.job_retried(job, cause)
                    else:
                        self._finish(job, _final_record(run, record, lost_cause))
                self._source.poll()
                self._display.update(self.progress)

    def _hand_out(self) -> int:
        """Submit as many jobs as the launcher accepts; return their number."""
        batch: list[Run] = []
        while not self._stopped and len(self.progress.running) < self._queue_limit:
            taken = self._retries.popleft() if self._retries else self._source.take()
            self.progress.total = self._source.total
            if taken is None:
                break
            job, experiment = taken
            run = self._sweep.run(job)
            if (failure := self._prepare(job, experiment, run)) is not None:
                self._finish(job, failure)
                continue
            self.progress.running[run] = taken
            batch.append(run)
        self._launcher.submit(batch)
        return len(batch)

    def _prepare(self, job: Job, experiment: Experiment, run: Run) -> Record | None:
        """Make the job's directory a waiting run with the current settings; return a record if this fails."""
        try:
            refuse_special_files(run.directory, *run.written_in_place)
            if files.exists(run.config) and not _is_config_of(job, run):
                cause = f"{run.config}: does not match the planned job"
                raise InputError(cause, "restore the file, or remove the directory to train the job again")
            with files.writing(run.directory):
                run.directory.mkdir(exist_ok=True)
            prepare_run(experiment, run, job.overrides, "waiting")
        except UserError as error:
            return Record(run.directory, "failed", error.cause, error.remedy, None)
        return None

    def _finish(self, job: Job, record: Record) -> None:
        self.progress.add(job, record)
        log.info("%s: %s%s", job.directory, record.status, f": {record.cause}" if record.cause else "")
        self._source.finish(job, record)
        self._display.job_finished(self.progress, job, record)
        if state_of(record) == "failed" and self._settings.on_failure == "stop" and not self._stopped:
            self._stopped = True
            self._launcher.cancel_waiting()

    def _retry_cause(self, job: Job, run: Run, record: Record, lost_cause: str | None) -> str | None:
        """Return why a job that ended must be trained again; None if it must not."""
        if record.status in FINISHED - {"failed"}:  # a diverged run would diverge again, bit for bit
            return None
        if record.status == "failed":
            self._failures[job.number] += 1
            return (record.cause or "it failed") if self._failures[job.number] <= self._settings.retries else None
        checkpoint = max((path.name for path in run.checkpoints.glob("epoch_*")), default="")
        self._lost[job.number, checkpoint] += 1
        return lost_cause or NO_STATUS_RECORDED if self._lost[job.number, checkpoint] <= MAX_LOST else None


def _final_record(run: Run, record: Record, lost_cause: str | None) -> Record:
    """Write the status "failed" for a run that has no final status."""
    if record.status in FINISHED:
        return record
    failure = Record(run.directory, "failed", lost_cause or NO_STATUS_RECORDED, "its log may contain the cause", None)
    try:
        with lock_run(run):
            write_status(run, "failed", EXIT_FAILED, failure.cause, failure.remedy)
    except InputError as error:  # another process trains it
        return replace(failure, cause=error.cause, remedy=error.remedy)
    except UserError:  # the status cannot be written
        pass
    return failure


def _is_config_of(job: Job, run: Run) -> bool:
    """Return whether a run's config.yaml is that of a job; an unreadable file counts as such, since it is replaced."""
    try:
        return job.is_planned_from(config.validate(read_config(run)))
    except (ValueError, UserError):
        return True
