"""When a network does not know: sets of classes at a stated confidence, and images that are not digits.

The held-out images decide how improbable a class, and how strange an image may be. At a confidence of 99 %, one image of a
hundred may be lost: a quarter of this share to the sets, three quarters to the detector of other images. So a set contains
the true class of a new digit with the stated probability, at least: the bound of each part holds for itself (split conformal
prediction, and the sum of both shares).
"""

import contextlib
import io
import math
from dataclasses import dataclass

import keras
import numpy as np

from mnist_exp.ensemble.completed import CompletedRun
from mnist_exp.errors import EnvironmentFailure
from mnist_exp.machine import files
from mnist_exp.machine.arrays import read_arrays
from mnist_exp.machine.plain_data import read_bytes
from mnist_exp.models.activations import activations_model
from mnist_exp.prediction.outliers import HIDDEN, Detector, other_images, train_detector
from mnist_exp.terminal import messages
from mnist_exp.trained.calibration import Calibration, allowed_outside, calibrate
from mnist_exp.training.prediction import Predictor

SHARE = 0.25  # of the doubt that is used by the sets of classes; the detector of other images uses the rest
EXAMPLES = 10_000  # digits, and other images, from which the detector learns, at most
SEED = 1  # of the other images and of the detector: a run always gets the same
MAX_BYTES = 2**26  # of outliers.npz


@dataclass(frozen=True, eq=False)
class Strangeness:
    """How strange images are to a network that knows digits only."""

    detector: Detector
    held_out: np.ndarray  # float64 (n,), descending: the scores of the held-out images

    def limit(self, confidence: float) -> float:
        """Return the largest score of an image that may be a digit: that many of the held-out images have no larger one."""
        rank = allowed_outside(len(self.held_out), confidence)
        return float(self.held_out[rank - 1]) if rank else float("inf")


@dataclass(frozen=True, eq=False)
class Doubts:
    """What a network knows of its own limits."""

    calibration: Calibration
    strangeness: Strangeness | None  # None: the data set is not handwriting

    @property
    def images(self) -> int:
        """The number of held-out images."""
        return len(self.calibration.true_probabilities)

    def images_needed(self, confidence: float) -> int:
        """Return how many held-out images a confidence needs: with fewer, all classes would be possible."""
        share = 1.0 if self.strangeness is None else SHARE
        images = math.ceil(1 / (share * (1 - confidence))) - 2
        while not allowed_outside(images, 1 - share * (1 - confidence)):
            images += 1
        return images

    def decide(
        self, probabilities: np.ndarray, features: np.ndarray | None, confidence: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Decide which classes each image can have.

        Args:
            probabilities: calibrated, float64 (n, classes).
            features: float32 (n, features), for the detector; None without one.

        Returns:
            Whether each class is in the set of each image, bool (n, classes): sets contain the true class with this
            confidence, and are empty for other images. And whether each image is not a digit, bool (n,).
        """
        threshold, limit = self.limits(confidence)
        if self.strangeness is None or features is None:
            return probabilities >= threshold, np.zeros(len(probabilities), bool)
        strange = self.strangeness.detector.scores(features) > limit
        return (probabilities >= threshold) & ~strange[:, None], strange

    def limits(self, confidence: float) -> tuple[float, float]:
        """Return the smallest probability of a class in a set, and the largest score of an image that may be a digit."""
        if self.strangeness is None:
            return self.calibration.threshold(confidence), math.inf
        threshold = self.calibration.threshold(1 - SHARE * (1 - confidence))
        return threshold, self.strangeness.limit(1 - (1 - SHARE) * (1 - confidence))


def learn(completed: CompletedRun, model: keras.Model) -> Doubts | None:
    """Return the doubts of a run; they are computed when they are first needed, and stored in its directory.

    Returns:
        None if the run cannot be calibrated.
    """
    if completed.not_calibrated is not None:
        return None
    calibration = calibrate(completed, model, completed.passes)
    if calibration is None:
        return None
    return Doubts(calibration, _strangeness(completed, model) if completed.data.handwriting else None)


def _strangeness(completed: CompletedRun, model: keras.Model) -> Strangeness:
    activations = activations_model(model)
    features = Predictor(activations, 1)
    identity = np.frombuffer(
        bytes.fromhex(files.file_sha256(completed.run.model) + completed.split.sha256), np.uint8
    )  # what was computed belongs to it
    if (stored := _read(completed, identity, int(activations.output.shape[-1]))) is not None:
        return stored
    data, train = completed.data, completed.split.train
    rng = np.random.default_rng(SEED)
    chosen = rng.permutation(train)[:EXAMPLES]
    messages.note_without_spinner(f"learning from {len(chosen):,} training images what is not a digit")
    digits, labels = data.train_images[chosen], data.train_labels[chosen]
    others = other_images(digits[..., 0], labels, len(chosen), SEED)[..., None]
    detector = train_detector(features(digits), features(others), SEED)
    scores = detector.scores(features(data.train_images[completed.split.validation]))
    found = Strangeness(detector, -np.sort(-scores))
    content = io.BytesIO()
    np.savez_compressed(
        content, identity=identity, mean=detector.mean, scale=detector.scale, hidden=detector.hidden,
        output=detector.output, held_out=found.held_out,
    )  # fmt: skip
    with contextlib.suppress(EnvironmentFailure):  # it can be computed again
        files.write(completed.run.outliers, content.getvalue())
    return found


def _read(completed: CompletedRun, identity: np.ndarray, count: int) -> Strangeness | None:
    """Return the content of outliers.npz; None if it is missing, damaged, or not of this model and these images."""
    try:
        stored = read_arrays(io.BytesIO(read_bytes(completed.run.outliers, MAX_BYTES)), MAX_BYTES)
    except Exception:  # noqa: BLE001  (zipfile, zlib and NumPy raise many kinds of errors for a damaged archive)
        return None
    shapes = {
        "identity": (np.uint8, identity.shape),
        "mean": (np.float32, (count,)),
        "scale": (np.float32, (count,)),
        "hidden": (np.float32, (count + 1, HIDDEN)),
        "output": (np.float32, (HIDDEN + 1,)),
        "held_out": (np.float64, (len(completed.split.validation),)),
    }
    if stored.keys() != shapes.keys():
        return None
    for name, (dtype, shape) in shapes.items():
        if stored[name].dtype != dtype or stored[name].shape != shape or not np.isfinite(stored[name]).all():
            return None
    if not np.array_equal(stored["identity"], identity):
        return None
    detector = Detector(stored["mean"], stored["scale"], stored["hidden"], stored["output"])
    return Strangeness(detector, -np.sort(-stored["held_out"]))
