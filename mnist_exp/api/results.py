"""Runs and sweeps as objects, read from their directories."""

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mnist_exp.api import html, models, workers
from mnist_exp.api.boundary import public
from mnist_exp.api.comparisons import Comparison
from mnist_exp.api.names import RunName, default_runs_dir
from mnist_exp.commands import results
from mnist_exp.commands.named_runs import find_directory, find_run
from mnist_exp.comparison.predictions import read_probabilities
from mnist_exp.comparison.ranking import compare_each
from mnist_exp.errors import InputError, IntegrityError
from mnist_exp.machine.plain_data import LISTS, read_json
from mnist_exp.runs import history
from mnist_exp.runs import run as run_directory
from mnist_exp.runs.status import Record, read_record
from mnist_exp.runs.summary import Summary
from mnist_exp.sweep import leaderboard, plan

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of a run for the n test images."""

    probabilities: np.ndarray  # float32 (n, classes)
    labels: np.ndarray  # uint8 or uint16 (n,), the true classes

    @property
    def classes(self) -> np.ndarray:
        """The predicted classes, int64 (n,)."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def wrong(self) -> np.ndarray:
        """The indices of the test images that are classified wrongly, int64."""
        return np.flatnonzero(self.classes != self.labels)


class Place:
    """The directory of a run or a sweep, which is a path."""

    def __init__(self, directory: RunName) -> None:
        """Use `mx.run`, `mx.load`, `mx.run_sweep` and `mx.load_sweep` instead."""
        self.directory = Path(directory).absolute()

    @property
    def report(self) -> Path:
        """The path of report.html."""
        return self.directory / "report.html"

    def __fspath__(self) -> str:
        return str(self.directory)


class Run(Place):
    """One run. Its directory is read again at each access, so a running run shows its progress."""

    @property
    def name(self) -> str:
        """The name of the directory."""
        return self.directory.name

    @property
    def status(self) -> str:
        """waiting, running, completed, interrupted, pruned, failed or diverged; incomplete or unreadable if files are."""
        return self._record.status

    @property
    @public
    def summary(self) -> Summary:
        """The content of summary.json, such as `run.summary.test.error_percent`; InputError without a result."""
        return self._require_summary()

    @property
    def history(self) -> dict[str, np.ndarray]:
        """The columns of history.csv, float64 (epochs,); NaN where a value was not measured. `epoch` is int64."""
        rows = history.read(self._files.history)
        columns = {name: np.array([getattr(row, name) for row in rows], np.float64) for name in history.COLUMNS}
        return columns | {"epoch": np.array([row.epoch for row in rows], np.int64)}

    @property
    @public
    def predictions(self) -> Predictions:
        """The predictions for the test images."""
        return Predictions(*read_probabilities(self._files, self._require_summary().test))

    @property
    @public
    def errors(self) -> dict[str, Any]:
        """The content of errors.json: errors by class, confusions, calibration, and the worst mistakes."""
        self._require_summary()
        if not (content := read_json(self._files.errors, LISTS)):
            raise IntegrityError(f"{self._files.errors}: is missing or damaged", "train the run again")
        return content

    @public
    def model(self) -> "keras.Model":
        """Return the trained network: raw uint8 images (n, height, width, channels) to probabilities (n, classes).

        It is built from the settings of the run, gets the stored weights, and must give the stored probabilities.
        """
        self._require_summary()
        return models.load(self._files, self._record)

    @public
    def resume(self, overrides: Sequence[str] = ()) -> "Run":
        """Train the remaining epochs of an interrupted run, and return the run.

        Args:
            overrides: for a completed run: `training.epochs=N`, to train it longer, as a new run, which is returned.
        """
        if overrides:
            return Run(workers.extend(self.directory, overrides))
        workers.resume(self.directory)
        return self

    @property
    def _files(self) -> run_directory.Run:
        return run_directory.Run(self.directory)

    @property
    def _record(self) -> Record:
        return read_record(self.directory)

    def _require_summary(self) -> Summary:
        record = self._record
        if record.summary is not None:
            return record.summary
        cause = f"{self.directory}: has no result: {record.status}" + (f": {record.cause}" if record.cause else "")
        remedy = record.remedy or "wait until it is completed"
        raise (IntegrityError if record.status == "unreadable" else InputError)(cause, remedy)

    def __repr__(self) -> str:
        record = self._record
        result = "" if record.summary is None else f", test error {record.summary.test.error_percent:.2f} %"
        return f"<Run {self.name}: {record.status}{result}>"

    def _repr_html_(self) -> str:
        record = self._record
        if record.summary is not None:
            rows = results.summary_rows(self.directory, record.summary)
            return html.table([*rows, ("report", str(self.report))], title=record.summary.name)
        rows = [("status", record.status), ("cause", record.cause or ""), ("remedy", record.remedy or "")]
        return html.table([*(row for row in rows if row[1]), ("run directory", str(self.directory))], title=self.name)


class Sweep(Place):
    """Many runs from one command."""

    @property
    @public
    def runs(self) -> list[Run]:
        """The runs of the jobs that have started, in the order of the jobs."""
        known = plan.read(self._files)
        started = {row.name for row in leaderboard.job_rows(self._files, known)}
        return [Run(self._files.run(job).directory) for job in known.jobs if job.directory in started]

    @property
    @public
    def comparisons(self) -> list[Comparison]:
        """The leaderboards: one for each set of images, such as those of each data set, the largest first."""
        rows = leaderboard.job_rows(self._files, plan.read(self._files))
        return [Comparison(one) for one in compare_each(rows)]

    @property
    def comparison(self) -> Comparison:
        """The first leaderboard: the configurations of the sweep, ranked over their seeds."""
        return self.comparisons[0]

    @public
    def resume(self, overrides: Sequence[str] = (), retry_failed: bool = False) -> "Sweep":
        """Train the remaining jobs, and return the sweep.

        Args:
            overrides: jobs to add, such as `seed=range(10)`, or how to run it, such as `hydra/launcher=joblib`.
            retry_failed: whether to train failed jobs again.
        """
        workers.resume_jobs(self.directory, overrides, retry_failed)
        return self

    @functools.cached_property
    def _files(self) -> plan.Sweep:
        return plan.Sweep(self.directory)

    def __repr__(self) -> str:
        return f"<Sweep {self.directory.name}>"

    def _repr_html_(self) -> str:
        return "".join(one._repr_html_() for one in self.comparisons) + html.paragraphs([f"report: {self.report}"])


@public
def load(run: RunName = "latest", *, runs_dir: RunName | None = None) -> Run:
    """Return a run by its directory, its name in `runs_dir`, or `latest`.

    Args:
        run: as on the command line.
        runs_dir: the directory of the runs; None for runs/.

    Raises:
        InputError: it does not exist, or the directory contains several runs.
    """
    return Run(find_run(os.fspath(run), default_runs_dir(runs_dir)).directory)


@public
def load_sweep(sweep: RunName = "latest", *, runs_dir: RunName | None = None) -> Sweep:
    """Return a sweep by its directory, its name in `runs_dir`, or `latest`.

    Raises:
        InputError: it does not exist, or is not a sweep.
    """
    place = find_directory(os.fspath(sweep), default_runs_dir(runs_dir))
    if not plan.is_sweep(place):
        raise InputError(f"{place}: not a sweep", "name the directory of a sweep; for a run, use mx.load")
    return Sweep(place)
