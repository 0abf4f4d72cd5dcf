"""Places → the runs that an ensemble averages: completed, tested on the same images, and each file of them looked at."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from mnist_exp import datasets
from mnist_exp.comparison.fields import METRICS, TEST
from mnist_exp.comparison.groups import select_comparable
from mnist_exp.comparison.predictions import check_against_summary, read_probabilities, to_predictions
from mnist_exp.comparison.rows import Row, read_rows
from mnist_exp.config.checks import validation_images
from mnist_exp.config.schema import MnistConfig
from mnist_exp.datasets.dataset import Dataset, Split, split
from mnist_exp.errors import InputError, IntegrityError
from mnist_exp.models import untrusted
from mnist_exp.run.names import Run
from mnist_exp.run.summary import Summary
from mnist_exp.terminal import messages
from mnist_exp.terminal.messages import pluralize

FEWEST = 2  # members


@dataclass(frozen=True, eq=False)
class Member:
    """A run that is averaged."""

    row: Row
    summary: Summary
    probabilities: np.ndarray  # float32 (n, classes), of the test images
    predictions_sha256: str
    model_sha256: str

    @property
    def run(self) -> Run:
        return Run(self.row.record.directory)

    def relative_path(self, directory: Path) -> str:
        """The path that leads to its directory from another one."""
        return os.path.relpath(self.run.directory.resolve(), directory.resolve())


@dataclass(frozen=True, eq=False)
class Ensemble:
    """What is to be averaged, and under which label."""

    name: str
    members: Sequence[Member]
    data: Dataset  # on which all of them were tested
    split: Split  # all images that any of them was trained on, and those that each held out, if these are the same for all

    @property
    def probabilities(self) -> np.ndarray:
        """The mean of the members' for the test images, summed in float64, float32 (n, classes)."""
        together = np.stack([member.probabilities for member in self.members])
        return np.asarray(together.mean(axis=0, dtype=np.float64), np.float32)

    def content(self, directory: Path) -> dict[str, Any]:
        """Of ensemble.yaml."""
        return {
            "name": self.name,
            "members": [
                {
                    "run": member.relative_path(directory),
                    "name": member.summary.name,
                    "seed": member.summary.seed,
                    "config_hash": member.summary.config_hash,
                    "predictions_sha256": member.predictions_sha256,
                    "model_sha256": member.model_sha256,
                }
                for member in self.members
            ],
        }


def read_ensemble(name: str, places: Sequence[Path]) -> Ensemble:
    """The ensemble of the runs at some places; of a directory of runs, of all that completed.

    Raises:
        InputError: fewer than two, or one that has no result, is an ensemble itself, or was tested on other images.
        IntegrityError: a file of a member is damaged, or may not be loaded.
    """
    chosen = _chosen(places)
    data = _data(*chosen[0])
    splits = [_split(row, summary, data) for row, summary in chosen]
    held_out = splits[0].validation if len({one.sha256 for one in splits}) == 1 else splits[0].validation[:0]
    together = Split(reduce(np.union1d, [one.train for one in splits]), held_out)
    return Ensemble(name, [_member(row, summary, data) for row, summary in chosen], data, together)


def _chosen(places: Sequence[Path]) -> list[tuple[Row, Summary]]:
    found: list[tuple[Row, Summary]] = []
    passed_over = 0
    named = {place.resolve() for place in places}
    for row in read_rows(places):
        summary, reason = row.record.summary, None
        if summary is None:
            reason = f"has no result: {row.record.cause or row.record.status}"
        elif summary.members is not None:
            reason = "is an ensemble itself"
        else:
            found.append((row, summary))
        if reason is not None and row.record.directory.resolve() in named:
            raise InputError(f"{row.record.directory}: {reason}", "name runs that completed, each trained by itself")
        passed_over += reason is not None
    _, apart, _ = select_comparable([row for row, _ in found], METRICS[TEST], None)
    for other in apart:
        strange = ", ".join(row.name for row in other.rows)
        raise InputError(f"{strange}: cannot be averaged with the others: {other.reason}", "name runs of one data set")
    if len(found) < FEWEST:
        there = f"here is only {found[0][0].record.directory}" if found else f"{', '.join(map(str, places))}: has none"
        raise InputError(f"an ensemble needs two runs that completed; {there}", "name others, or train them")
    if passed_over:
        messages.note(f"passed over: {pluralize(passed_over, 'run')} without a result, or ensembles themselves")
    names = Counter(row.name for row, _ in found)
    return [
        (row if names[row.name] == 1 else replace(row, name=str(row.record.directory)), summary) for row, summary in found
    ]


def _data(row: Row, summary: Summary) -> Dataset:
    """The data that a run was tested on.

    Raises:
        InputError: this version of the program does not have it.
    """
    name, sha256 = summary.dataset.name, summary.dataset.sha256
    data = datasets.load(name) if name in datasets.LOADERS else None
    if data is None or data.sha256 != sha256:
        cause = f"{row.record.directory}: was tested on {name} with SHA-256 {sha256[:12]}, which is not here"
        raise InputError(cause, "average it with the version of mnist-exp that trained it")
    return data


def _member(row: Row, summary: Summary, data: Dataset) -> Member:
    run = Run(row.record.directory)
    probabilities, labels = read_probabilities(run)
    check_against_summary(run, summary.test, to_predictions(probabilities, labels))
    if not np.array_equal(labels, data.test_labels) or probabilities.shape[1] != len(data.class_names):
        raise InputError(f"{run.predictions}: is of other images", "name runs that were tested on the same images")
    model = untrusted.checked(run.model)
    return Member(row, summary, probabilities, _sha256(run.predictions.read_bytes()), _sha256(model))


def _split(row: Row, summary: Summary, data: Dataset) -> Split:
    """How a run divided the training images, made again from its settings."""
    told = {key.removeprefix("dataset."): value for key, value in summary.settings.items() if key.startswith("dataset.")}
    try:
        settings = MnistConfig.model_validate(told)
    except ValueError:
        settings = None
    if settings is not None:
        found = split(data.train_labels, settings.limit, validation_images(settings), settings.split_seed)
        if found.sha256 == summary.dataset.split_sha256:
            return found
    cause = f"{Run(row.record.directory).summary}: its settings do not lead to the validation images that it names"
    raise IntegrityError(cause, "train the run again")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
