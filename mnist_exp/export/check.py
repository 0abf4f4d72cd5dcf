"""The check of an artefact: its predictions for all test images against those of the network that was exported."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mnist_exp.comparison.predictions import PairedErrors, Predictions, pair_errors
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.errors import UserError
from mnist_exp.export.formats import Predict
from mnist_exp.runs import evaluation
from mnist_exp.runs.summary import summarize_groups

TIMED = 100  # images, one at a time
TIMED_SECONDS = 2.0  # after which no further one is timed
MAX_CHANGED = 50  # images that are listed


@dataclass(frozen=True, eq=False)
class Check:
    """The predictions of an artefact, or of a network, next to those of its original, for the same images."""

    data: Dataset
    probabilities: np.ndarray  # float32 (n, classes), of its test images
    original: np.ndarray
    milliseconds: float | None = None  # for one image at a time, the median; None: not measured

    @cached_property
    def largest_difference(self) -> float:
        """The largest difference of a probability."""
        return float(np.abs(self.probabilities - self.original).max())

    @cached_property
    def score(self) -> dict[str, Any]:
        """The errors, with their interval."""
        return evaluation.score(self.probabilities, self.data.test_labels)

    @cached_property
    def paired(self) -> PairedErrors:
        """The errors next to those of the original, with McNemar's test."""
        groups = self.data.test_groups
        if groups is not None:
            groups = None if np.ptp(groups) == 0 else np.unique(groups, return_inverse=True)[1]
        labels = self.data.test_labels
        return pair_errors(Predictions.of(self.probabilities, labels), Predictions.of(self.original, labels), groups)

    @property
    def changed(self) -> np.ndarray:
        """The indices of the images with another prediction, those with the highest confidence first."""
        return self.paired.disagreements

    def to_json(self) -> dict[str, Any]:
        """Return the results for the sidecar file."""
        groups = summarize_groups(self.data, self.probabilities)
        test = self.paired.difference
        changed = [
            {
                "index": int(index),
                "label": int(self.data.test_labels[index]),
                "original": int(self.original[index].argmax()),
                "predicted": int(self.probabilities[index].argmax()),
            }
            for index in self.changed[:MAX_CHANGED]
        ]
        return {
            "n": self.paired.n,
            "largest_difference": self.largest_difference,
            "changed": len(self.changed),
            "changed_images": changed,
            "error": self.score,
            "image_groups": None if groups is None else groups.model_dump(),
            "mcnemar": {
                "test": test.test,
                "only_original_wrong": self.paired.only_b,
                "only_artefact_wrong": self.paired.only_a,
                "difference_percent": test.value,
                "ci95": list(test.interval),
                "p": test.p,
            },
            "milliseconds_per_image": self.milliseconds,
        }


def check(predict: Predict, data: Dataset, original: np.ndarray, batch: int, advance: Callable[[int], None]) -> Check:
    """Run an artefact on all test images, and time it.

    Args:
        original: the probabilities of the network that was exported, float32 (n, classes).
        batch: images at once.
        advance: called with the number of images of each batch.

    Raises:
        UserError: its output is not probabilities of these classes.
    """
    images, parts = data.test_images, []
    for start in range(0, len(images), batch):
        parts.append(predict(images[start : start + batch]))
        advance(len(parts[-1]))
    probabilities = np.concatenate(parts)
    if probabilities.shape != original.shape or not np.isfinite(probabilities).all():
        cause = f"its output, {probabilities.dtype} of shape {probabilities.shape}, is not a probability of each class"
        raise UserError(cause, "choose another format, and report this")
    return Check(data, probabilities.astype(np.float32), original, _milliseconds(predict, images))


def _milliseconds(predict: Predict, images: np.ndarray) -> float:
    """Return the median time for one image at a time."""
    seconds: list[float] = []
    predict(images[:1])
    start = time.perf_counter()
    for index in range(min(TIMED, len(images))):
        before = time.perf_counter()
        predict(images[index : index + 1])
        seconds.append(time.perf_counter() - before)
        if time.perf_counter() - start > TIMED_SECONDS:
            break
    return 1000 * float(np.median(seconds))
