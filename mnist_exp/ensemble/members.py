"""Select the runs that an ensemble averages: completed runs with the same test images and consistent files."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import yaml

from mnist_exp.comparison.fields import METRICS, TEST
from mnist_exp.comparison.groups import select_comparable
from mnist_exp.comparison.rows import Row, read_rows
from mnist_exp.datasets.dataset import Dataset, Split
from mnist_exp.errors import InputError
from mnist_exp.runs.summary import MemberSummary
from mnist_exp.terminal import messages
from mnist_exp.terminal.messages import pluralize
from mnist_exp.trained import trained_run
from mnist_exp.trained.trained_run import TrainedRun


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The members of an ensemble, its label and its data."""

    name: str
    members: Sequence[TrainedRun]
    data: Dataset
    split: Split  # training images of any member; validation images if all members have the same and learned from none

    @property
    def probabilities(self) -> np.ndarray:
        """The mean of the members' probabilities for the test images, summed in float64, float32 (n, classes)."""
        mean = np.mean([member.probabilities for member in self.members], axis=0, dtype=np.float64)
        return np.asarray(mean, np.float32)

    @property
    def config_hash(self) -> str:
        """The hash of the members' models, independent of their order."""
        return hashlib.sha256("".join(sorted(member.model_sha256 for member in self.members)).encode()).hexdigest()[:16]

    def to_yaml(self, directory: Path) -> str:
        """Return the content of ensemble.yaml in `directory`."""
        members = [
            describe_member(member, directory).model_dump()
            | {"predictions_sha256": member.predictions_sha256, "model_sha256": member.model_sha256}
            for member in self.members
        ]
        return yaml.safe_dump({"name": self.name, "members": members}, sort_keys=False, allow_unicode=True)


def describe_member(member: TrainedRun, directory: Path) -> MemberSummary:
    """Return the entry of a member in summary.json of the ensemble in `directory`."""
    summary = member.row.summary
    return MemberSummary(
        run=os.path.relpath(member.run.directory.resolve(), directory.resolve()),
        name=summary.name,
        seed=summary.seed,
        config_hash=summary.config_hash,
    )


def read_ensemble(name: str, places: Sequence[Path]) -> Ensemble:
    """Read the members of an ensemble: runs, and all completed runs of directories.

    Raises:
        InputError: there are fewer than two, or one has no result, is an ensemble, was tested on other images, or
            is there twice.
        IntegrityError: a file of a member is damaged.
    """
    members = [trained_run.read(row) for row in _select(places)]
    _refuse_copies(members)
    splits = [member.split for member in members]
    is_common = len({one.sha256 for one in splits}) == 1
    is_seen = any(member.row.summary.has_seen_validation for member in members)
    validation = splits[0].validation if is_common and not is_seen else splits[0].validation[:0]
    parts = Split(reduce(np.union1d, [one.train for one in splits]), validation)
    return Ensemble(name, members, members[0].data, parts)


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


def _refuse_copies(members: Sequence[TrainedRun]) -> None:
    """Refuse a run that is there twice, as a copy: it would count twice in the mean."""
    known: dict[tuple[str, str], TrainedRun] = {}
    for member in members:
        if (other := known.setdefault((member.model_sha256, member.predictions_sha256), member)) is not member:
            cause = f"{member.run.directory}: has the same model and predictions as {other.run.directory}"
            raise InputError(cause, "a run is averaged once: remove the copy, or name the runs to average")
