"""The stored predictions of runs, read from untrusted files, and the errors of two networks on the same images."""

import io
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mnist_exp.comparison.repetitions import Repetitions
from mnist_exp.comparison.statistics import Difference, two_networks
from mnist_exp.errors import InputError, IntegrityError
from mnist_exp.machine.arrays import MAX_BYTES, read_arrays
from mnist_exp.machine.files import array_sha256
from mnist_exp.machine.plain_data import describe, read_bytes
from mnist_exp.runs.run import Run
from mnist_exp.runs.summary import ImageGroups, Score

MAX_CLASSES = 1000


class Predictions(NamedTuple):
    """The predictions of a network for n test images."""

    classes: np.ndarray  # uint16 (n,), the predicted class, which is the most probable one
    labels: np.ndarray  # uint8 or uint16 (n,)
    confidence: np.ndarray  # float32 (n,), the probability of the predicted class

    @classmethod
    def of(cls, probabilities: np.ndarray, labels: np.ndarray) -> "Predictions":
        """Return the predictions of probabilities, float32 (n, classes)."""
        return cls(probabilities.argmax(axis=1).astype(np.uint16), labels, probabilities.max(axis=1))


@dataclass(frozen=True)
class PairedErrors:
    """The errors of two networks A and B on the same n test images."""

    n: int
    both_right: int
    only_a: int  # only A is wrong
    only_b: int
    both_wrong: int
    same_prediction: int  # of the images on which both are wrong
    disagreements: np.ndarray  # int64, indices of images with different predictions, highest mean confidence first
    difference: Difference  # the error of A minus the error of B, in percentage points


def pair_errors(a: Predictions, b: Predictions, image_groups: np.ndarray | None = None) -> PairedErrors:
    """Count the errors of two networks on images with the same labels, and test their difference.

    Args:
        image_groups: the group of each image, from `read_image_groups`; None: each image is one.
    """
    wrong_a, wrong_b, differ = a.classes != a.labels, b.classes != b.labels, a.classes != b.classes
    disagreements = np.flatnonzero(differ)
    confidence = a.confidence[disagreements] + b.confidence[disagreements]
    n, only_a, only_b = len(a.labels), int(np.sum(wrong_a & ~wrong_b)), int(np.sum(wrong_b & ~wrong_a))
    return PairedErrors(
        n=n,
        both_right=int(np.sum(~wrong_a & ~wrong_b)),
        only_a=only_a,
        only_b=only_b,
        both_wrong=int(np.sum(wrong_a & wrong_b)),
        same_prediction=int(np.sum(wrong_a & ~differ)),
        disagreements=disagreements[np.argsort(-confidence, kind="stable")],
        difference=two_networks(*(Repetitions(np.packbits(wrong)[None], n, image_groups) for wrong in (wrong_a, wrong_b))),
    )


def read_predictions(run: Run, score: Score | None = None) -> Predictions:
    """Read the predictions of a run for the test images, as `read_probabilities` does."""
    return Predictions.of(*read_probabilities(run, score))


def read_probabilities(run: Run, score: Score | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Read predictions.npz, an untrusted file, without unpickling.

    Args:
        score: in summary.json, with which the predictions must agree; None: this is not checked.

    Returns:
        The probabilities, float32 (n, classes), and the labels, uint8 or uint16 (n,).

    Raises:
        InputError: the run has no predictions.
        IntegrityError: the file is damaged.
    """
    arrays = _read_arrays(run)
    try:
        probabilities, labels = arrays["probabilities"], arrays["labels"]
        _check(probabilities, labels, score)
    except (KeyError, ValueError) as error:
        raise IntegrityError(f"{run.predictions}: is damaged: {describe(error)}", "train the run again") from None
    return probabilities, labels


def _read_arrays(run: Run) -> dict[str, np.ndarray]:
    try:
        content = read_bytes(run.predictions, MAX_BYTES)
    except FileNotFoundError:
        raise InputError(f"{run.directory}: has no predictions.npz", "only a completed run has one") from None
    except OSError as error:
        raise IntegrityError(f"{run.predictions}: cannot be read: {error.strerror}", "check its permissions") from None
    try:
        return read_arrays(io.BytesIO(content), MAX_BYTES)
    except Exception as error:  # noqa: BLE001  (zipfile, zlib and NumPy raise many kinds of errors for a damaged archive)
        raise IntegrityError(f"{run.predictions}: is damaged: {describe(error)}", "train the run again") from None


def read_image_groups(run: Run, stated: ImageGroups, n: int) -> np.ndarray:
    """Read the group of each test image from predictions.npz, int64 (n,), numbered from 0 without a gap.

    Args:
        stated: the groups in summary.json, with which the file must agree.
        n: number of test images.

    Raises:
        InputError: the run has no predictions.
        IntegrityError: the file is damaged, or has other groups.
    """
    stored = _read_arrays(run).get("image_groups")
    if stored is not None and stored.shape == (n,) and stored.dtype == np.int32 and array_sha256(stored) == stated.sha256:
        names, groups = np.unique(stored, return_inverse=True)
        if len(names) == stated.n:
            return groups
    raise IntegrityError(f"{run.predictions}: has no groups of images as in summary.json", "train the run again")


def _check(probabilities: np.ndarray, labels: np.ndarray, score: Score | None) -> None:
    """Raise ValueError unless these are probabilities, float32 (n, classes), and labels, integers (n,), with this score."""
    if probabilities.dtype != np.float32 or probabilities.ndim != 2 or not 2 <= probabilities.shape[1] <= MAX_CLASSES:
        raise ValueError(f"probabilities are {probabilities.dtype} of shape {probabilities.shape}")
    n, classes = probabilities.shape
    if labels.dtype not in (np.uint8, np.uint16) or labels.shape != (n,) or not n:
        raise ValueError(f"labels of {n:,} images are {labels.dtype} of shape {labels.shape}")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():  # also fails for NaN
        raise ValueError("a probability is not between 0 and 1")
    if labels.max() >= classes:
        raise ValueError(f"a label is {labels.max()}, but there are {classes} classes")
    wrong = int(np.sum(probabilities.argmax(axis=1) != labels))
    if score is not None and (score.errors, score.n) != (wrong, n):
        stated = f"{score.errors:,} of {score.n:,}"
        raise ValueError(f"{wrong:,} of {n:,} predictions are wrong, but summary.json states {stated}")
