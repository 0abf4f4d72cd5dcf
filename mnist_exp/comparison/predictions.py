"""Two networks on the same images: what each has wrong that the other has right, and whether that is more than chance."""

import io
import zipfile
from typing import NamedTuple

import numpy as np

from mnist_exp.errors import InputError, IntegrityError
from mnist_exp.run.names import Run
from mnist_exp.run.summary import Score

MOST_BYTES = 2**30  # of an array: a small file can unpack to any size


class Predictions(NamedTuple):
    """What a run's network says of the test images."""

    answers: np.ndarray  # uint8 (n,), the most probable class
    labels: np.ndarray  # uint8 (n,)
    confidence: np.ndarray  # float32 (n,), the probability of the answer


def read_predictions(run: Run) -> Predictions:
    """What a run's network says of the test images.

    Raises:
        InputError, IntegrityError: as `read_probabilities` does.
    """
    return to_predictions(*read_probabilities(run))


def to_predictions(probabilities: np.ndarray, labels: np.ndarray) -> Predictions:
    """The answers in probabilities, float32 (n, classes), of images with these labels, uint8 (n,)."""
    return Predictions(probabilities.argmax(axis=1).astype(np.uint8), labels, probabilities.max(axis=1))


def check_against_summary(run: Run, told: Score, predictions: Predictions) -> None:
    """See that a run's predictions are those that its summary counts.

    Raises:
        IntegrityError: they are not.
    """
    wrong, n = int(np.count_nonzero(predictions.answers != predictions.labels)), len(predictions.labels)
    if (told.errors, told.n) != (wrong, n):
        cause = f"it has {wrong:,} wrong answers of {n:,}, summary.json {told.errors:,} of {told.n:,}"
        raise IntegrityError(f"{run.predictions}: is damaged: {cause}", "train the run again")


def read_probabilities(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Read predictions.npz; of a file that anyone may have written nothing is unpickled.

    Returns:
        The probabilities, float32 (n, classes), and the labels, uint8 (n,).

    Raises:
        InputError: the run has none.
        IntegrityError: it is not what a run writes.
    """
    if not run.predictions.exists():
        raise InputError(f"{run.directory}: has no predictions.npz", "only a run that completed has one")
    content = run.predictions.read_bytes()
    try:
        probabilities, labels = _arrays(content, "probabilities", "labels")
        _check(probabilities, labels)
    except Exception as error:  # noqa: BLE001  (what zipfile, zlib and NumPy raise for a damaged archive is no short list)
        cause = " ".join(str(error).split()) or type(error).__name__
        raise IntegrityError(f"{run.predictions}: is damaged: {cause}", "train the run again") from None
    return probabilities, labels


def _arrays(content: bytes, *names: str) -> list[np.ndarray]:
    """The arrays of an .npz archive, as `files.write_arrays` writes it."""
    arrays = []
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in names:
            member = archive.getinfo(f"{name}.npy")
            if member.file_size > MOST_BYTES:
                raise ValueError(f"{name} would take {member.file_size:,} bytes")
            with archive.open(member) as file:
                arrays.append(np.lib.format.read_array(file, allow_pickle=False))
    return arrays


def _check(probabilities: np.ndarray, labels: np.ndarray) -> None:
    """Raise ValueError unless these are probabilities of so many images, and labels among their classes."""
    if probabilities.dtype != np.float32 or probabilities.ndim != 2 or not 2 <= probabilities.shape[1] <= 256:
        raise ValueError(f"probabilities are {probabilities.dtype} of shape {probabilities.shape}")
    n, classes = probabilities.shape
    if labels.dtype != np.uint8 or labels.shape != (n,) or not n:
        raise ValueError(f"labels of {n:,} images are {labels.dtype} of shape {labels.shape}")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():  # nor is NaN
        raise ValueError("a probability does not lie between 0 and 1")
    if labels.max() >= classes:
        raise ValueError(f"a label is {labels.max()}, and there are {classes} classes")
