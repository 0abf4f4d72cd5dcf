"""A completed run or ensemble as one network with its data, for commands that use it: predict, export, draw."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mnist_exp.comparison.predictions import read_probabilities
from mnist_exp.comparison.rows import Row, read_rows
from mnist_exp.datasets.dataset import Dataset, Split
from mnist_exp.ensemble.members import read_ensemble
from mnist_exp.errors import InputError, IntegrityError
from mnist_exp.runs.directory import is_run
from mnist_exp.runs.run import Run
from mnist_exp.trained import trained_run
from mnist_exp.trained.trained_run import TrainedRun


@dataclass(frozen=True, eq=False)
class CompletedRun:
    """A completed run, or a completed ensemble with its members, whose files agree with each other."""

    row: Row
    runs: Sequence[TrainedRun]  # the run itself, or the members of the ensemble
    data: Dataset
    split: Split  # of the training images; of an ensemble, as in `Ensemble`
    probabilities: np.ndarray  # float32 (n, classes), stored, of the test images

    @property
    def run(self) -> Run:
        """The files of the run or of the ensemble."""
        return Run(self.row.record.directory)

    @property
    def is_ensemble(self) -> bool:
        """Whether it is an ensemble."""
        return self.row.summary.members is not None

    @property
    def passes(self) -> int:
        """How often each image passes through a network."""
        return sum(run.experiment.evaluation.passes for run in self.runs)

    @property
    def not_calibrated(self) -> str | None:
        """Why the run cannot be calibrated; None if it has held-out images, and was trained on none of them before."""
        if any(run.row.summary.has_seen_validation for run in self.runs):
            return "the weights from which it started were trained on some of the held-out images"
        return None if len(self.split.validation) else "the run held out no images"


def read_directory(directory: Path) -> CompletedRun:
    """Read the completed run or ensemble in a directory, as `read`."""
    (row,) = read_rows([directory])
    return read(row)


def read(row: Row) -> CompletedRun:
    """Read a completed run or ensemble.

    Raises:
        InputError: it is not completed, a file or a member does not exist, or its data set is not available.
        IntegrityError: a file is damaged, or a member has changed since the ensemble was built.
    """
    record = row.record
    if record.summary is None:
        reason = record.cause or record.status
        raise InputError(f"{record.directory}: has no result: {reason}", "choose a completed run")
    if record.summary.members is None:
        trained = trained_run.read(row)
        return CompletedRun(row, [trained], trained.data, trained.split, trained.probabilities)
    places = [record.directory / member.run for member in record.summary.members]
    for place in places:
        if not is_run(place):
            cause = f"{record.directory}: its member {place} does not exist"
            raise InputError(cause, "an ensemble is computed by its members: put the member back")
    ensemble = read_ensemble(record.summary.name, places)
    if ensemble.config_hash != record.summary.config_hash:
        cause = f"{record.directory}: a member has another model than when the ensemble was built"
        raise IntegrityError(cause, "build the ensemble again: mnist-exp ensemble RUN…")
    probabilities, _ = read_probabilities(Run(record.directory), record.summary.test)
    if probabilities.shape != ensemble.probabilities.shape:
        raise IntegrityError(f"{record.directory}: its predictions are of other images", "build the ensemble again")
    return CompletedRun(row, ensemble.members, ensemble.data, ensemble.split, probabilities)
