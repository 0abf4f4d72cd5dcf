"""Snapshots of runs and sweeps, read from their files and locks: nothing is written."""

import contextlib
import os
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mnist_exp.errors import IntegrityError
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs import history
from mnist_exp.runs.directory import last_change, read_config, warn_unreadable
from mnist_exp.runs.history import Epoch
from mnist_exp.runs.lock import is_alive
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import FINISHED, NO_STATUS_RECORDED, Record, read_record
from mnist_exp.sweep import plan
from mnist_exp.sweep.plan import Plan, Sweep
from mnist_exp.sweep.progress import time_left

RECENT_EPOCHS = 5  # whose seconds are the estimate for later ones
MAX_EPOCHS = 10**9  # a larger number is not a valid setting


@dataclass(frozen=True)
class Snapshot:
    """A run or a sweep at one moment; None is unknown. Errors are validation errors in percent."""

    name: str
    status: str
    running: bool  # or about to start
    unit: Literal["epochs", "jobs"]  # of `done` and `total`
    done: int
    total: int | None
    job: bool = False  # belongs to the last sweep above it
    loss: float | None = None
    error: float | None = None
    best_error: float | None = None
    images_per_second: float | None = None  # in the last epoch
    seconds_left: float | None = None
    may_stop_early: bool = False
    note: str | None = None


class Watcher:
    """Takes snapshots again and again; finished runs are cached, so that this is fast for any number of runs."""

    def __init__(self, places: Sequence[Path], named: bool) -> None:
        """Take no snapshot yet; `places` that the user `named` are shown even if they have finished."""
        self._places = places
        self._shown = {str(place) for place in places} if named else set()  # once shown, always shown
        self._completed: set[str] = set()  # as text: creating a Path takes ten times as long
        self._plans: dict[Path, tuple[int, Plan | None]] = {}  # with the time of the last change
        self._records: dict[Path, tuple[int, Record]] = {}  # of runs that are not active, with that time
        self._first: dict[Path, tuple[int, float]] = {}  # a run's number of epochs in the first snapshot, and their time
        self._training: dict[Path, dict[str, Any]] = {}  # the section of a run's configuration

    def snapshots(self) -> list[Snapshot]:
        """Return what is running, what was running in an earlier snapshot, and what lost its process, sorted by name."""
        snapshots: list[Snapshot] = []
        seen: set[Path] = set()
        for place in self._places:
            for directory, known in self._find(place):
                if directory not in seen:
                    seen.add(directory)
                    name = str(directory.relative_to(place)) if directory != place else directory.resolve().name
                    snapshots += self._single(directory, name) if known is None else self._sweep(directory, name, known)
        return snapshots

    def _find(self, directory: Path) -> Iterator[tuple[Path, Plan | None]]:
        """Find the runs and sweeps at or below a directory, without hidden completed runs; a sweep has a plan."""
        known = self._plan(directory)
        if known is not None:
            yield directory, known
        elif self._has_completed(str(directory)):
            if str(directory) in self._shown:
                yield directory, None
        elif _modified(Run(directory).status):
            yield directory, None
        else:
            for child in _children(directory):
                path = f"{directory}/{child}"
                if path not in self._completed or path in self._shown:
                    yield from self._find(directory / child)

    def _plan(self, directory: Path) -> Plan | None:
        """Return the plan of a sweep; None if it cannot be read: then its runs are shown one by one."""
        modified = _modified(Sweep(directory).plan)
        if modified and self._plans.get(directory, (0, None))[0] != modified:
            self._plans[directory] = modified, None
            with contextlib.suppress(IntegrityError):
                self._plans[directory] = modified, plan.read(Sweep(directory))
        return self._plans[directory][1] if modified else None

    def _is_shown(self, directory: Path, running: bool, records: Iterable[Record]) -> bool:
        if running:
            self._shown.add(str(directory))
        return str(directory) in self._shown or any(
            record.status == "interrupted" and record.cause == NO_STATUS_RECORDED for record in records
        )

    def _single(self, directory: Path, name: str) -> list[Snapshot]:
        record = self._record(directory)
        if record.status == "unreadable" and str(directory) not in self._shown:
            warn_unreadable(str(directory), record.cause)
        return [self._run(record, name, False)] if self._is_shown(directory, _is_active(record), [record]) else []

    def _run(self, record: Record, name: str, job: bool) -> Snapshot:
        run = Run(record.directory)
        rows = history.read(run.history)
        training = self._training_section(run)
        epochs = training.get("epochs")
        total = epochs if isinstance(epochs, int) and 0 < epochs < MAX_EPOCHS else None
        errors = [row.validation_error_percent for row in rows]
        running = record.status == "running"
        return Snapshot(
            name=name,
            status=record.status,
            running=_is_active(record),
            unit="epochs",
            done=len(rows),
            total=total,
            job=job,
            loss=rows[-1].train_loss if rows else None,
            error=errors[-1] if rows else None,
            best_error=min((error for error in errors if error is not None), default=None),
            images_per_second=rows[-1].images_per_second if rows and running else None,
            seconds_left=self._seconds_left(run, rows, total - len(rows)) if rows and total and running else None,
            may_stop_early=training.get("early_stopping_patience") is not None,
            note="; ".join(text for text in (record.cause, record.remedy) if text) or None,
        )

    def _seconds_left(self, run: Run, rows: Sequence[Epoch], epochs: int) -> float:
        """Estimate the time of the remaining epochs, from the epochs since the first snapshot.

        In the first snapshot only the seconds of training are known, without validation and checkpoints.
        """
        written = _modified(run.history) / 1e9
        first_epoch, first_written = self._first.setdefault(run.directory, (len(rows), written))
        if len(rows) > first_epoch and written > first_written:
            seconds = (written - first_written) / (len(rows) - first_epoch)
        else:
            seconds = statistics.fmean(row.seconds for row in rows[-RECENT_EPOCHS:])
        current_epoch = min(max(time.time() - written, 0), seconds)
        return max(seconds * epochs - current_epoch, 0)

    def _sweep(self, directory: Path, name: str, known: Plan) -> list[Snapshot]:
        """Return the snapshots of a sweep and of its jobs in training; none if it is not shown."""
        sweep, total = Sweep(directory), len(known.jobs)
        is_search = files.exists(sweep.study)  # its plan has only the jobs drawn so far
        completed = total and all(self._has_completed(f"{directory}/{job.directory}") for job in known.jobs)
        if completed and str(directory) not in self._shown and not is_search:
            return []
        present = set(_children(directory))
        records = [self._record(directory / job.directory) for job in known.jobs if job.directory in present]
        running = is_alive(sweep.lock, sweep.log, {}) or any(_is_active(record) for record in records)
        if not self._is_shown(directory, running, records):
            return []
        training = [self._run(record, record.directory.name, True) for record in records if record.status == "running"]
        states = Counter({"waiting": total - len(records)}) + Counter(record.status for record in records)
        left = total - sum(states[state] for state in FINISHED)
        failed = states["failed"] + states["diverged"]
        status = "running" if running else "interrupted" if left else "failed" if failed else "completed"
        summaries = [record.summary for record in records if record.summary is not None]
        errors = [summary.validation.error_percent for summary in summaries if summary.validation is not None]
        errors += [job.best_error for job in training if job.best_error is not None]
        trained = sum(job.done / job.total for job in training if job.total)
        seconds = time_left([summary.wall_seconds for summary in summaries], left - trained, len(training))
        notes = [f"{states[state]:,} {state}" for state in sorted(states)]
        notes += [f"continue: mnist-exp resume {directory}"] if status == "interrupted" else []
        notes += [f"retry failed jobs: mnist-exp resume {directory} --retry-failed"] if status == "failed" else []
        snapshot = Snapshot(
            name=name,
            status=status,
            running=running,
            unit="jobs",
            done=total - left,
            total=None if is_search else total,
            best_error=min(errors, default=None),
            seconds_left=seconds if running and not is_search else None,
            note=", ".join(notes),
        )
        return [snapshot, *training]

    def _has_completed(self, directory: str) -> bool:
        if directory not in self._completed and files.exists(Run(Path(directory)).summary):
            self._completed.add(directory)
        return directory in self._completed

    def _record(self, directory: Path) -> Record:
        """Return a run's record, read only if it may have changed."""
        known = self._records.get(directory)
        if known is not None and (known[1].summary is not None or known[0] == last_change(Run(directory))):
            return known[1]
        changed, record = last_change(Run(directory)), read_record(directory)
        if record.status not in {"running", "waiting"}:
            self._records[directory] = changed, record
        return record

    def _training_section(self, run: Run) -> dict[str, Any]:
        """Return the section `training` of a run's configuration; empty if it cannot be read."""
        if run.directory not in self._training:
            section = None
            with contextlib.suppress(ValueError):
                section = read_config(run).get("training")
            self._training[run.directory] = section if isinstance(section, dict) else {}
        return self._training[run.directory]


def _is_active(record: Record) -> bool:
    """Return whether a run is in training, or waits for a driver that has not ended."""
    if record.status == "waiting":
        driver = Sweep(record.directory.parent)
        return is_alive(driver.lock, driver.log, read_json(Run(record.directory).status))
    return record.status == "running"


def _modified(path: Path) -> int:
    """Return when a file was last written, in nanoseconds; 0 if it does not exist."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _children(directory: Path) -> list[str]:
    """Return the names of the directories in a directory, sorted; links are not followed, since they may form a circle."""
    try:
        with os.scandir(directory) as entries:
            return sorted(
                entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
            )
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        warn_unreadable(str(directory), error.strerror)
        return []
