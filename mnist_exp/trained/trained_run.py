"""A completed run that is used again: its settings, its images and its predictions, all from untrusted files."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mnist_exp import config, datasets
from mnist_exp.comparison.predictions import read_probabilities
from mnist_exp.comparison.rows import Row
from mnist_exp.config.schema import Experiment
from mnist_exp.datasets.dataset import Dataset, Split
from mnist_exp.errors import ConfigError, InputError, IntegrityError
from mnist_exp.machine.files import file_sha256
from mnist_exp.runs.directory import read_config
from mnist_exp.runs.held_out import split_images
from mnist_exp.runs.run import Run

# How far a probability may be from the stored one. Another machine rounds differently: a GPU may keep 10 bits of a product
# in float32, and a network in bfloat16, which keeps 7, differs from itself in float32 by up to 0.03. With other weights,
# some image of the sample differs by far more.
TOLERANCES = {"float32": 0.01, "bfloat16": 0.1, "float16": 0.1}


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A completed run whose files agree with each other."""

    row: Row
    experiment: Experiment  # its config.yaml
    data: Dataset  # that it was trained and tested on
    split: Split  # of the training images
    probabilities: np.ndarray  # float32 (n, classes), of the test images

    @cached_property
    def run(self) -> Run:
        return Run(self.row.record.directory)

    @cached_property
    def model_sha256(self) -> str:
        """The SHA-256 of model.keras."""
        return file_sha256(self.run.model)

    @cached_property
    def predictions_sha256(self) -> str:
        """The SHA-256 of predictions.npz."""
        return file_sha256(self.run.predictions)

    @property
    def tolerance(self) -> float:
        """How far a probability may be from the stored one."""
        return TOLERANCES[self.experiment.precision]


def read(row: Row) -> TrainedRun:
    """Read a completed run that is not an ensemble.

    Raises:
        InputError: another version trained it, its data set is not available, or its model or predictions do not exist.
        IntegrityError: one of its files is damaged.
    """
    run = Run(row.record.directory)
    experiment = _read_experiment(run)
    data, images = _load_data(row, experiment), experiment.dataset
    parts = split_images(data, images)
    if parts.sha256 != row.summary.dataset.split_sha256:
        cause = f"{run.config}: its settings give other validation images than those in summary.json"
        raise IntegrityError(cause, "train the run again")
    probabilities, labels = read_probabilities(run, row.summary.test)
    if not np.array_equal(labels, data.test_labels) or probabilities.shape[1] != len(data.class_names):
        raise InputError(f"{run.predictions}: belongs to other images", "choose runs that were tested on the same images")
    if not run.model.is_file():
        raise InputError(f"{run.model}: does not exist", "choose completed runs with their model")
    return TrainedRun(row, experiment, data, parts, probabilities)


def _load_data(row: Row, experiment: Experiment) -> Dataset:
    name, sha256 = row.summary.dataset.name, row.summary.dataset.sha256
    data = datasets.load(experiment.dataset.source)
    if data.sha256 != sha256:
        cause = f"{row.record.directory}: was tested on {name} with SHA-256 {sha256[:12]}, which this version does not have"
        raise InputError(cause, "use the version of mnist-exp that trained it")
    return data


def _read_experiment(run: Run) -> Experiment:
    try:
        return config.validate(read_config(run))
    except ConfigError as error:
        problem = error.problems[0]
        remedy = "use the version of mnist-exp that trained it"
        if problem.key in ("dataset.path", "dataset.fingerprint"):  # of a user's own images
            remedy = "the run is checked with the images that it was trained on: put them back, unchanged"
        raise InputError(f"{run.config}: {problem.cause}", remedy) from None
    except ValueError as error:
        raise IntegrityError(str(error), "train the run again") from None
