"""The jobs of a sweep: handed out, tried again, counted, whatever happens to them."""

import contextlib
import logging
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from mnist_exp import config
from mnist_exp.config.identity import config_hash
from mnist_exp.config.schema import Experiment, SweepConfig
from mnist_exp.errors import EXIT_FAILED, InputError, UserError
from mnist_exp.machine import files
from mnist_exp.run import job as single
from mnist_exp.run.directory import locked_run, read_config
from mnist_exp.run.names import Run
from mnist_exp.run.status import NO_STATUS_RECORDED, Record, read_record, write_status
from mnist_exp.sweep.launchers.launcher import Launcher
from mnist_exp.sweep.plan import Job, Sweep

log = logging.getLogger(__name__)

WAIT_SECONDS = 0.25  # between two looks at the jobs in training, if none ends
MOST_LOSSES = 3  # how often a job may lose its process or its machine, through no fault of its own, before it has failed

State = Literal["completed", "pruned", "failed"]  # of a job that ended


@dataclass
class Progress:
    """Where the jobs stand."""

    total: int
    places: int  # jobs that can be in training at once
    states: dict[int, State]  # of the jobs that ended, by number
    running: dict[int, tuple[Job, Experiment]] = field(default_factory=dict)  # or handed out, by number
    seconds: list[float] = field(default_factory=list)  # that the jobs took which completed under this process

    @property
    def seconds_left(self) -> float | None:
        """Judged by the jobs that completed so far, as if those in training were half done; None if there is none."""
        training = min(len(self.running), self.places)
        return time_left(self.seconds, self.total - len(self.states) - training / 2, self.places)


def time_left(seconds: Sequence[float], jobs: float, places: int) -> float | None:
    """The seconds that jobs still take, so many at once, judged by those of the jobs that completed; None if none has."""
    return sum(seconds) / len(seconds) * jobs / max(min(places, jobs), 1) if seconds else None


class Source(Protocol):
    """Where jobs come from, one after the other."""

    @property
    def total(self) -> int:
        """How many jobs the sweep will have, those that ended before included, as far as can be told now."""

    def take(self, running: int) -> tuple[Job, Experiment] | None:
        """The next job, while so many are out; None if there is none, or none yet."""

    def ended(self, job: Job, record: Record) -> None:
        """A job that was taken completed, was pruned, or failed for good."""

    def tick(self) -> None:
        """A moment has passed."""


class Planned:
    """Jobs that are all known from the start."""

    def __init__(self, jobs: Iterable[tuple[Job, Experiment]], total: int) -> None:
        self._jobs = iter(jobs)
        self.total = total

    def take(self, running: int) -> tuple[Job, Experiment] | None:  # noqa: ARG002
        """The next job; None if there is none."""
        return next(self._jobs, None)

    def ended(self, job: Job, record: Record) -> None:
        """Nothing follows from it."""

    def tick(self) -> None:
        """Nothing follows from it."""


class Watcher(Protocol):
    """Is told what happens to the jobs."""

    def job_ended(self, progress: Progress, job: Job, record: Record) -> None:
        """A job completed, was pruned, or failed for good."""

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
        self._again: deque[tuple[Job, Experiment]] = deque()
        self._handed_out: dict[Run, tuple[Job, Experiment]] = {}
        self._failures: Counter[int] = Counter()
        self._losses: Counter[int] = Counter()
        self._reached: dict[int, object] = {}  # the newest checkpoint of a job when it was last lost
        self._stopped = False

    def run(self, source: Source, progress: Progress) -> None:
        """Have the jobs trained until each has completed or failed.

        Args:
            source: of the jobs that are to be trained.
            progress: of the whole sweep; kept up to date.

        Raises:
            KeyboardInterrupt, Interrupted: by the user or the system; jobs in training have kept their states.
        """
        with contextlib.closing(self._launcher):
            while self._hand_out(source, progress) or self._handed_out:
                for run, lost in self._launcher.ended(WAIT_SECONDS).items():
                    job, experiment = self._handed_out.pop(run)
                    del progress.running[job.number]
                    record = read_record(run.directory)
                    if self._stopped and record.status == "waiting":
                        continue  # it was recalled
                    if cause := self._to_be_tried_again(job, run, record, lost):
                        self._again.append((job, experiment))
                        log.warning("%s is tried again: %s", job.directory, cause)
                        self._watcher.job_again(progress, job, cause)
                    else:
                        self._conclude(job, _settled(run, record, lost), source, progress)
                source.tick()
                self._watcher.tick(progress)

    def _hand_out(self, source: Source, progress: Progress) -> int:
        """Give the launcher as much as it takes; how much that was."""
        batch: list[Run] = []
        while not self._stopped and len(self._handed_out) < self._launcher.holds:
            taken = self._again.popleft() if self._again else source.take(len(self._handed_out))
            progress.total = source.total
            if taken is None:
                break
            job, experiment = taken
            run = self._sweep.run(job)
            if (problem := self._prepare(job, experiment, run)) is not None:
                self._conclude(job, problem, source, progress)
                continue
            progress.running[job.number] = taken
            self._handed_out[run] = taken
            batch.append(run)
        self._launcher.submit(batch)
        return len(batch)

    def _prepare(self, job: Job, experiment: Experiment, run: Run) -> Record | None:
        """Make the job's directory a run that waits, with the settings that hold now; why it cannot be, if it cannot."""
        try:
            if run.config.exists() and not _is_of(job, run):
                cause = f"{run.config}: is not of the experiment that was planned"
                raise InputError(cause, "restore it, or remove the directory to train the job anew")
            with files.writing(run.directory):
                run.directory.mkdir(exist_ok=True)
            single.prepare(experiment, run, job.overrides, "waiting")
        except UserError as error:
            return Record(run.directory, "failed", error.cause, error.remedy, None)
        return None

    def _conclude(self, job: Job, record: Record, source: Source, progress: Progress) -> None:
        """A job completed, was pruned, or failed for good."""
        progress.states[job.number] = state = _state(record)
        if record.summary is not None:
            progress.seconds.append(record.summary.wall_seconds)
        log.info("%s: %s%s", job.directory, record.status, f": {record.cause}" if record.cause else "")
        source.ended(job, record)
        self._watcher.job_ended(progress, job, record)
        if state == "failed" and self._settings.on_failure == "stop" and not self._stopped:
            self._stopped = True
            self._launcher.recall()

    def _to_be_tried_again(self, job: Job, run: Run, record: Record, lost: str | None) -> str | None:
        """Why a job that ended is to be tried again; None if it is not."""
        if _state(record) != "failed" or record.status == "diverged":  # which it would do again, bit for bit
            return None
        if record.status == "failed":
            self._failures[job.number] += 1
            return (record.cause or "it failed") if self._failures[job.number] <= self._settings.retries else None
        epochs = len(list(run.checkpoints.glob("epoch_*"))) and max(run.checkpoints.glob("epoch_*")).name
        if self._reached.get(job.number, epochs) != epochs:  # it came further than when it was last lost
            self._losses[job.number] = 0
        self._reached[job.number] = epochs
        self._losses[job.number] += 1
        return lost or NO_STATUS_RECORDED if self._losses[job.number] <= MOST_LOSSES else None


def standing(sweep: Sweep, jobs: Iterable[Job]) -> dict[int, State]:
    """The states of jobs that are not to be trained, by number."""
    return {job.number: _state(read_record(sweep.run(job).directory)) for job in jobs}


def _state(record: Record) -> State:
    if record.summary is not None:
        return "completed"
    return "pruned" if record.status == "pruned" else "failed"


def _settled(run: Run, record: Record, lost: str | None) -> Record:
    """If nobody could say how a job ended, that is said for it."""
    if record.summary is not None or record.status in {"pruned", "failed", "diverged"}:
        return record
    cause, remedy = lost or NO_STATUS_RECORDED, "its log may say why"
    try:
        with locked_run(run):
            write_status(run, "failed", EXIT_FAILED, cause, remedy)
    except InputError as error:  # another process is training it
        return Record(run.directory, "failed", error.cause, error.remedy, None)
    except UserError:  # not even that can be written
        return Record(run.directory, "failed", cause, remedy, None)
    return read_record(run.directory)


def _is_of(job: Job, run: Run) -> bool:
    """Whether a run's config.yaml is that of a job; one that cannot be read is written anew."""
    try:
        experiment = config.validate(read_config(run))
    except (ValueError, UserError):
        return True
    return (config_hash(experiment), experiment.seed) == (job.config_hash, job.seed)
