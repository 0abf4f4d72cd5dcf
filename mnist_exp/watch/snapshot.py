"""What is running below some places, from their files alone: nothing is locked or written, and no run notices."""

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from mnist_exp.errors import IntegrityError
from mnist_exp.machine.plain_data import read_json
from mnist_exp.run import history
from mnist_exp.run.directory import last_change, read_config
from mnist_exp.run.history import Epoch, best_epoch
from mnist_exp.run.names import Run
from mnist_exp.run.status import NO_STATUS_RECORDED, Record, process_has_exited, read_record
from mnist_exp.sweep import plan
from mnist_exp.sweep.plan import Plan, Sweep
from mnist_exp.sweep.progress import time_left

RECENT = 5  # epochs, by whose seconds those to come are judged
SETTLE_SECONDS = 5.0  # for which a sweep without a job in training may be about to hand out the next one, or to end
MOST_EPOCHS = 10**9  # a larger number is not one that a configuration may have
ENDED = frozenset({"completed", "pruned", "failed", "diverged"})

Unit = Literal["epochs", "jobs"]


@dataclass(frozen=True)
class Snapshot:
    """Where a run or a sweep stands; what is not known is None. Errors are in percent, and those of validation images."""

    name: str
    status: str
    running: bool  # or about to: it goes on by itself
    unit: Unit
    done: int
    total: int | None
    job: bool = False  # of the sweep in the last line that is none
    loss: float | None = None
    error: float | None = None
    best: float | None = None
    rate: float | None = None  # images/s of the last epoch
    seconds_left: float | None = None
    at_most: bool = False  # since it may stop early
    note: str | None = None


class Watcher:
    """Looks again and again; what has ended is remembered, so that a look is cheap however many runs there are."""

    def __init__(self, places: Sequence[Path], named: bool) -> None:
        """Look at nothing yet.

        Args:
            places: runs, sweeps, or directories of them.
            named: whether the user asked for these places, whose own runs and sweeps are told even if they have ended.
        """
        self._places = places
        self._named = named
        self._told: set[Path] = set()  # once told, always told
        self._passed_over: set[str] = set()  # runs that had completed when they were first seen
        self._completed: set[Path] = set()  # jobs
        self._ended: dict[Path, tuple[int, Record]] = {}  # when they had said so
        self._plans: dict[Path, tuple[int, Plan]] = {}  # when it was written
        self._done: dict[Path, Plan] = {}  # sweeps of which every job had completed when they were first seen
        self._first: dict[Path, tuple[int, float]] = {}  # how many epochs a run had told of at the first look, and when
        self._training: dict[Path, tuple[int | None, bool]] = {}

    def snapshots(self) -> list[Snapshot]:
        """What is running, what was when it was last looked at, and what lost its process, in the order of the names."""
        lines: list[Snapshot] = []
        seen: set[Path] = set()
        for place in self._places:
            for directory, sweep in self._found(place):
                if directory not in seen:
                    seen.add(directory)
                    name = str(directory.relative_to(place)) if directory != place else directory.resolve().name
                    lines += self._sweep(directory, name, sweep) if sweep is not None else self._single(directory, name)
        return lines

    def _found(self, directory: Path) -> Iterator[tuple[Path, Plan | None]]:
        """The runs and sweeps at or below a directory, but for runs that have completed; a sweep comes with its plan."""
        known = self._plan(directory)
        if known is not None:
            yield directory, known
        elif self._has_completed(directory):
            if directory in self._told or (self._named and directory in self._places):
                yield directory, None
            else:
                self._passed_over.add(str(directory))
        elif _changed(Run(directory).status) is not None:
            yield directory, None
        else:
            for child in _children(directory):
                if f"{directory}/{child}" not in self._passed_over:  # text, since to make a path takes ten times as long
                    yield from self._found(directory / child)

    def _plan(self, directory: Path) -> Plan | None:
        """The plan of a sweep; None if there is none that can be read: then its runs are told one by one."""
        written = _changed(Sweep(directory).plan)
        if written is None:
            return None
        if directory not in self._plans or self._plans[directory][0] != written:
            try:
                self._plans[directory] = written, plan.read(Sweep(directory))
            except IntegrityError:
                return None
        return self._plans[directory][1]

    def _tells(self, directory: Path, running: bool) -> bool:
        if running or (self._named and directory in self._places):
            self._told.add(directory)
        return directory in self._told

    def _single(self, directory: Path, name: str) -> list[Snapshot]:
        record = self._record(directory)
        if not self._tells(directory, _goes_on(record)) and not _is_lost(record):
            return []
        return [self._run(record, name, False)]

    def _run(self, record: Record, name: str, job: bool) -> Snapshot:
        """The line of a run."""
        run = Run(record.directory)
        rows = history.read(run.history)
        epochs, may_stop = self._epochs(run)
        errors = [row.validation_error_percent for row in rows]
        best, left = best_epoch(rows), None
        if rows and epochs is not None and record.status == "running":
            told = (_changed(run.history) or 0) / 1e9
            epoch_seconds = self._epoch_seconds(run, rows, told)
            begun = min(max(time.time() - told, 0), epoch_seconds)
            left = max(epoch_seconds * (epochs - len(rows)) - begun, 0)
        return Snapshot(
            name=name,
            status=record.status,
            running=_goes_on(record),
            unit="epochs",
            done=len(rows),
            total=epochs,
            job=job,
            loss=rows[-1].train_loss if rows else None,
            error=errors[-1] if rows else None,
            best=errors[best - 1] if best is not None else None,
            rate=rows[-1].images_per_second if rows and record.status == "running" else None,
            seconds_left=left,
            at_most=may_stop,
            note="; ".join(text for text in (record.cause, record.remedy) if text) or None,
        )

    def _epoch_seconds(self, run: Run, rows: Sequence[Epoch], told: float) -> float:
        """What an epoch takes with all that is around it, since the first look; before, its training alone is known."""
        epochs, then = self._first.setdefault(run.directory, (len(rows), told))
        if len(rows) > epochs and told > then:
            return (told - then) / (len(rows) - epochs)
        return float(np.mean([row.seconds for row in rows[-RECENT:]]))

    def _sweep(self, directory: Path, name: str, known: Plan) -> list[Snapshot]:
        """The lines of a sweep and of its jobs in training; none if it is not to be told."""
        if self._done.get(directory) is known:
            return []
        there = set(_children(directory))
        sweep = Sweep(directory)
        places = [sweep.run(job).directory if job.directory in there else None for job in known.jobs]
        self._completed.update(place for place in places if place is not None and self._has_completed(place))
        asked_for = self._named or directory in self._told
        if known.jobs and self._completed.issuperset(places) and not asked_for and not sweep.study.exists():
            self._done[directory] = known
            return []
        records = [self._record(place) for place in places if place is not None]
        latest = max([_changed(sweep.plan) or 0, *(self._when(record) for record in records)])
        ended = (_changed(sweep.leaderboard) or 0) >= latest  # which is written at the very end
        settling = not ended and time.time() - latest / 1e9 < SETTLE_SECONDS
        running = settling or any(_goes_on(record) for record in records)
        if not self._tells(directory, running) and not any(_is_lost(record) for record in records):
            return []
        jobs = [self._run(record, record.directory.name, True) for record in records if record.status == "running"]
        return [_of_sweep(sweep, name, running, len(places), records, jobs), *jobs]

    def _has_completed(self, directory: Path) -> bool:
        return directory in self._completed or _changed(Run(directory).summary) is not None

    def _record(self, directory: Path) -> Record:
        """What a run says of itself; read again only if it may say something else."""
        when, known = self._ended.get(directory, (0, None))
        if known is not None and (known.summary is not None or when == last_change(Run(directory))):
            return known
        when, record = last_change(Run(directory)), read_record(directory)
        if record.status not in {"running", "waiting"}:
            self._ended[directory] = when, record
        if record.summary is not None:
            self._completed.add(directory)
        return record

    def _when(self, record: Record) -> int:
        """When a job ended, in nanoseconds; 0 if it did not."""
        return self._ended[record.directory][0] if record.status in ENDED else 0

    def _epochs(self, run: Run) -> tuple[int | None, bool]:
        """How many epochs a run has at most, and whether it may stop before."""
        if run.directory not in self._training:
            try:
                training = read_config(run).get("training")
            except ValueError:
                return None, False
            settings = training if isinstance(training, dict) else {}
            epochs = settings.get("epochs")
            known = epochs if isinstance(epochs, int) and 0 < epochs < MOST_EPOCHS else None
            self._training[run.directory] = known, settings.get("early_stopping_patience") is not None
        return self._training[run.directory]


def _of_sweep(
    sweep: Sweep, name: str, running: bool, total: int, records: Sequence[Record], training: Sequence[Snapshot]
) -> Snapshot:
    """The line of a sweep itself, from what its jobs say that have a directory, and the lines of those in training."""
    states = Counter({"waiting": total - len(records)}) + Counter(record.status for record in records)
    left = total - sum(states[state] for state in ENDED)
    failed = states["failed"] + states["diverged"]
    status = "running" if running else "interrupted" if left else "failed" if failed else "completed"
    summaries = [record.summary for record in records if record.summary is not None]
    errors = [summary.validation.error_percent for summary in summaries if summary.validation is not None]
    errors += [job.best for job in training if job.best is not None]
    searches = sweep.study.exists()  # how many jobs it will have, its plan does not say
    begun = sum(job.done / job.total for job in training if job.total)
    seconds = time_left([summary.wall_seconds for summary in summaries], left - begun, len(training))
    told = [f"{states[state]:,} {state}" for state in sorted(states)]
    told += [f"continue: mnist-exp resume {sweep.directory}"] if status == "interrupted" else []
    told += [f"try those that failed again: mnist-exp resume {sweep.directory} --retry-failed"] if status == "failed" else []
    return Snapshot(
        name=name,
        status=status,
        running=running,
        unit="jobs",
        done=total - left,
        total=None if searches else total,
        best=min(errors, default=None),
        seconds_left=seconds if running and not searches else None,
        note=", ".join(told),
    )


def _goes_on(record: Record) -> bool:
    """Whether a run is in training or about to be: it waits, and the process that prepared it has not ended."""
    if record.status == "waiting":
        return not process_has_exited(read_json(Run(record.directory).status))
    return record.status == "running"


def _is_lost(record: Record) -> bool:
    """Whether a run says that it is running, and is not."""
    return record.status == "interrupted" and record.cause == NO_STATUS_RECORDED


def _changed(path: Path) -> int | None:
    """When a file was last written, in nanoseconds; None if it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _children(directory: Path) -> list[str]:
    """The names of the directories in a directory, sorted; links are not followed, which may lead round in a circle."""
    try:
        with os.scandir(directory) as entries:
            return sorted(
                entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
            )
    except OSError:
        return []
