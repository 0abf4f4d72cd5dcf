"""Evaluate completed runs on other images than their test images: another data set, or their own training images.

The results are in `evaluations/NAME/` of the run's directory, and never mixed with the result of the run.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import yaml

from mnist_exp import __version__
from mnist_exp.comparison.rows import Row
from mnist_exp.config.dataset import AnyDataset
from mnist_exp.datasets import polarity
from mnist_exp.datasets.dataset import Dataset, Split
from mnist_exp.datasets.parts import ONE_GROUP, digest
from mnist_exp.errors import InputError
from mnist_exp.machine import files
from mnist_exp.report import run_page
from mnist_exp.runs import evaluation
from mnist_exp.runs.evaluations import RESULT, directory
from mnist_exp.runs.run import Run, refuse_special_files
from mnist_exp.runs.status import Record
from mnist_exp.runs.summary import Summary, summarize_images
from mnist_exp.terminal import messages
from mnist_exp.terminal.messages import join_some
from mnist_exp.trained.network import rebuild
from mnist_exp.trained.trained_run import TrainedRun
from mnist_exp.training.prediction import Predictor

MAX_NAMED = 10  # classes in a message

Part = Literal["test", "validation", "train"]


@dataclass(frozen=True, eq=False)
class Images:
    """Images with labels on which runs are evaluated."""

    data: Dataset  # its test images are the ones to evaluate
    split: Split  # of its training images
    part: Part
    settings: AnyDataset

    @property
    def text(self) -> str:
        """The images in words."""
        part = "training" if self.part == "train" else self.part
        return f"{len(self.data.test_labels):,} {part} images of {self.data.name}"

    def trained_on(self, trained: TrainedRun) -> int:
        """Return on how many of these images a run was trained; those of another data set are compared by their pixels."""
        if trained.data.sha256 != self.data.sha256:
            known = {digest(trained.data.train_images[index]) for index in trained.split.train}
            return sum(digest(image) in known for image in self.data.test_images)
        if self.part == "test":
            return 0
        return len(np.intersect1d(trained.split.train, getattr(self.split, self.part), assume_unique=True))


def select_images(data: Dataset, split: Split, part: Part, settings: AnyDataset) -> Images:
    """Select a part of a data set.

    Raises:
        InputError: the part has no images.
    """
    if part == "test":
        return Images(data, split, part, settings)
    indices = split.train if part == "train" else split.validation
    if not len(indices):
        raise InputError(f"split={part}: {data.name} has no {part} images", "allowed: split=test, or dataset.validation=N")
    selected = replace(
        data,
        test_images=data.train_images[indices],
        test_labels=data.train_labels[indices],
        mislabelled=None,
        test_groups=None if data.train_groups is None else data.train_groups[indices],
    )
    return Images(selected, split, part, settings)


def evaluate(trained: TrainedRun, images: Images, name: str, towers: int, environment: dict[str, Any]) -> Row:
    """Evaluate a run on images and write the results into its directory.

    Args:
        name: of the evaluation, and of its directory.
        towers: parts of each batch that are computed in parallel.
        environment: the content of environment.json.

    Returns:
        The run with the errors on these images in place of those on its test images.

    Raises:
        InputError: the images have another shape, or classes that the run does not know.
        IntegrityError: the files of the run do not agree, or a link is in place of a directory.
        EnvironmentFailure: a file cannot be written.
    """
    data = in_classes_of(trained, images.data)
    trained_on = images.trained_on(trained)
    if trained_on and images.part != "train":
        text = f"{trained_on:,} of the {len(data.test_labels):,} images are training images of the run"
        messages.warning(f"{trained.run.directory}: {text}: its error on new images is larger")
    is_other = trained.data.sha256 != data.sha256
    if is_other and (inverted := polarity.warning(data.test_images, trained.data.train_images)) is not None:
        messages.warning(f"{trained.run.directory}: {inverted}")
    model = rebuild(trained)
    probabilities = Predictor(model, towers, trained.experiment.evaluation.passes)(data.test_images)
    result = Run(directory(trained.run, name))
    refuse_special_files(result.directory.parent, result.directory, result.figures)
    with files.writing(result.directory):
        result.directory.mkdir(parents=True, exist_ok=True)
    changes = summarize_images(data, images.split, probabilities) | {"validation": None}
    summary = trained.row.summary.model_copy(update=changes)
    if (
        data.test_groups is not None and summary.image_groups is None and images.part != "test"
    ):  # the data warn of the latter
        messages.warning(f"all {images.text} {ONE_GROUP}")
    errors = evaluation.write_predictions(result, data, probabilities)
    config = yaml.safe_dump({"split": images.part, "dataset": images.settings.model_dump(mode="json")}, sort_keys=False)
    run_page.write(
        result, "last", summary, errors, [], np.empty(0, np.float32), data, probabilities, environment, config,
        evaluated=images.text,
    )  # fmt: skip
    files.write_json(result.directory / RESULT, _content(trained, summary, images, name, trained_on))
    return Row(trained.row.name, Record(trained.run.directory, "completed", None, None, summary), result)


def in_classes_of(trained: TrainedRun, data: Dataset) -> Dataset:
    """Return the data with labels that are indices into the classes of a run, which are matched by name.

    Raises:
        InputError: the images have another shape, or a class that the run does not know.
    """
    shapes = [one.test_images.shape[1:] for one in (data, trained.data)]
    if shapes[0] != shapes[1]:
        found, needed = ("×".join(map(str, shape)) for shape in shapes)
        cause = f"{trained.run.directory}: was trained on images of {needed} pixels, but those of {data.name} have {found}"
        raise InputError(cause, f"choose a data set with images of {needed} pixels, or set dataset.size")
    known = {name: index for index, name in enumerate(trained.data.class_names)}
    if unknown := [name for name in data.class_names if name not in known]:
        cause = f"{trained.run.directory}: does not know the classes {join_some(unknown, MAX_NAMED)} of {data.name}"
        raise InputError(cause, f"choose images of its classes: {join_some(trained.data.class_names, MAX_NAMED)}")
    indices = np.array([known[name] for name in data.class_names], trained.data.test_labels.dtype)
    if data.class_names == trained.data.class_names:
        return data
    return replace(data, test_labels=indices[data.test_labels], class_names=trained.data.class_names, mislabelled=None)


def _content(trained: TrainedRun, summary: Summary, images: Images, name: str, trained_on: int) -> dict[str, Any]:
    """Return the content of evaluation.json."""
    own = trained.row.summary
    return {
        "schema": 1,
        "name": name,
        "run": trained.run.directory.name,
        "config_hash": own.config_hash,
        "seed": own.seed,
        "model_sha256": files.file_sha256(trained.run.model),
        "split": images.part,
        "trained_on": trained_on,  # number of these images on which the run was trained
        "dataset": summary.dataset.model_dump(),
        "settings": images.settings.model_dump(mode="json"),
        "result": summary.test.model_dump(),
        "wrong_images": summary.wrong_images,
        "image_groups": summary.image_groups and summary.image_groups.model_dump(),
        "own_test": own.test.model_dump(),
        "version": __version__,
    }
