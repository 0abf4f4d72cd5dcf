"""Select the runs that an ensemble averages: completed runs with the same test images and consistent files."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import yaml

from mnist_exp import config, datasets
from mnist_exp.comparison.fields import METRICS, TEST
from mnist_exp.comparison.groups import select_comparable
from mnist_exp.comparison.predictions import read_probabilities
from mnist_exp.comparison.rows import Row, read_rows
from mnist_exp.config.checks import validation_images
from mnist_exp.config.schema import Experiment
from mnist_exp.datasets.dataset import Dataset, Split, split
from mnist_exp.errors import ConfigError, InputError, IntegrityError
from mnist_exp.machine.files import file_sha256
from mnist_exp.run.directory import read_config
from mnist_exp.run.run import Run
from mnist_exp.run.summary import MemberSummary
from mnist_exp.terminal import messages
from mnist_exp.terminal.messages import pluralize


@dataclass(frozen=True, eq=False)
class Member:
    """A run that is averaged."""

    row: Row
    experiment: Experiment  # its config.yaml
    split: Split  # of the training images
    probabilities: np.ndarray  # float32 (n, classes), of the test images
    predictions_sha256: str
    model_sha256: str

    @property
    def run(self) -> Run:
        return Run(self.row.record.directory)

    def described(self, directory: Path) -> MemberSummary:
        """Return the member's entry in summary.json of the ensemble in `directory`."""
        return MemberSummary(
            run=os.path.relpath(self.run.directory.resolve(), directory.resolve()),
            name=self.row.summary.name,
            seed=self.row.summary.seed,
            config_hash=self.row.summary.config_hash,
        )


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The members of an ensemble, its label and its data."""

    name: str
    members: Sequence[Member]
    data: Dataset
    split: Split  # training images of any member; validation images if they are the same for all members, else none

    @property
    def probabilities(self) -> np.ndarray:
        """The mean of the members' probabilities for the test images, summed in float64, float32 (n, classes)."""
        mean = np.mean([member.probabilities for member in self.members], axis=0, dtype=np.float64)
        return np.asarray(mean, np.float32)

    def to_yaml(self, directory: Path) -> str:
        """Return the content of ensemble.yaml in `directory`."""
        members = [
            member.described(directory).model_dump()
            | {"predictions_sha256": member.predictions_sha256, "model_sha256": member.model_sha256}
            for member in self.members
        ]
        return yaml.safe_dump({"name": self.name, "members": members}, sort_keys=False, allow_unicode=True)


def read_ensemble(name: str, places: Sequence[Path]) -> Ensemble:
    """Read the members of an ensemble: runs, and all completed runs of directories.

    Raises:
        InputError: there are fewer than two, or one has no result, is an ensemble, was tested on other images, or
            is there twice.
        IntegrityError: a file of a member is damaged.
    """
    selected = _select(places)
    data = _load_data(selected[0])
    members = [_read_member(row, data) for row in selected]
    _refuse_copies(members)
    splits = [member.split for member in members]
    validation = splits[0].validation if len({one.sha256 for one in splits}) == 1 else splits[0].validation[:0]
    return Ensemble(name, members, data, Split(reduce(np.union1d, [one.train for one in splits]), validation))


def _select(places: Sequence[Path]) -> list[Row]:
    rows = read_rows(places)
    selected = [row for row in rows if row.record.summary is not None and row.record.summary.members is None]
    named = {place.resolve() for place in places}
    for row in rows:
        if row.record.directory.resolve() in named and row not in selected:
            reason = "is an ensemble" if row.record.summary else f"has no result: {row.record.cause or row.record.status}"
            raise InputError(f"{row.record.directory}: {reason}", "choose completed runs that are not ensembles")
    _, incomparable, _ = select_comparable(selected, METRICS[TEST], None)
    for reason, others in incomparable.items():
        names = ", ".join(row.name for row in others)
        raise InputError(f"{names}: cannot be averaged with the others: {reason}", "choose runs of one data set")
    if len(selected) < 2:
        cause = f"{', '.join(map(str, places))}: contains {pluralize(len(selected), 'completed run')}; an ensemble needs two"
        raise InputError(cause, "choose other runs, or train them")
    if skipped := len(rows) - len(selected):
        messages.note(f"skipped: {pluralize(skipped, 'run')} without a result, or ensembles")
    return selected


def _load_data(row: Row) -> Dataset:
    name, sha256 = row.summary.dataset.name, row.summary.dataset.sha256
    data = datasets.load(name) if name in datasets.LOADERS else None
    if data is None or data.sha256 != sha256:
        cause = f"{row.record.directory}: was tested on {name} with SHA-256 {sha256[:12]}, which this version does not have"
        raise InputError(cause, "average it with the version of mnist-exp that trained it")
    return data


def _read_member(row: Row, data: Dataset) -> Member:
    run = Run(row.record.directory)
    experiment = _read_experiment(run)
    images = experiment.dataset
    parts = split(data.train_labels, images.limit, validation_images(images), images.split_seed)
    if parts.sha256 != row.summary.dataset.split_sha256:
        cause = f"{run.config}: its settings give other validation images than those in summary.json"
        raise IntegrityError(cause, "train the run again")
    probabilities, labels = read_probabilities(run, row.summary.test)
    if not np.array_equal(labels, data.test_labels) or probabilities.shape[1] != len(data.class_names):
        raise InputError(f"{run.predictions}: belongs to other images", "choose runs that were tested on the same images")
    if not run.model.is_file():
        raise InputError(f"{run.model}: does not exist", "choose completed runs with their model")
    return Member(row, experiment, parts, probabilities, file_sha256(run.predictions), file_sha256(run.model))


def _refuse_copies(members: Sequence[Member]) -> None:
    """Refuse a run that is there twice, as a copy: it would count twice in the mean."""
    known: dict[tuple[str, str], Member] = {}
    for member in members:
        if (other := known.setdefault((member.model_sha256, member.predictions_sha256), member)) is not member:
            cause = f"{member.run.directory}: has the same model and predictions as {other.run.directory}"
            raise InputError(cause, "a run is averaged once: remove the copy, or name the runs to average")


def _read_experiment(run: Run) -> Experiment:
    try:
        return config.validate(read_config(run))
    except ConfigError as error:
        cause = f"{run.config}: {error.problems[0].cause}"
        raise InputError(cause, "average the run with the version of mnist-exp that trained it") from None
    except ValueError as error:
        raise IntegrityError(str(error), "train the run again") from None
