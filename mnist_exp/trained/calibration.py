"""Calibrate a completed run on its validation images, so that its probabilities and its doubts can be believed.

`calibration.json` of the run's directory has the temperature and the probabilities from which thresholds are computed. It is
written when it is first needed. The results of the run do not change.
"""

import json
import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mnist_exp.datasets.dataset import Dataset, Split
from mnist_exp.errors import EnvironmentFailure
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import LISTS, read_json
from mnist_exp.runs.run import Run
from mnist_exp.terminal import messages

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

ROUNDING = 1e-9  # 400 · (1 − 0.9975) is a little less than 1
SMALLEST = float(np.finfo(np.float32).tiny)  # the logarithm of a probability of 0 would be infinite
TEMPERATURES = 0.05, 20.0  # a network needs 1 to 2; the limits are for one that is always right, or never


@dataclass(frozen=True, eq=False)
class Calibration:
    """The calibration of a run on n held-out images."""

    temperature: float  # by which logits are divided: Guo et al. 2017, arXiv:1706.04599
    true_probabilities: np.ndarray  # float64 (n,), ascending: of the true classes of the images, at this temperature

    def calibrate(self, probabilities: np.ndarray) -> np.ndarray:
        """Return a network's probabilities (n, classes) at the temperature, float64."""
        return temper(probabilities, self.temperature)

    def threshold(self, confidence: float) -> float:
        """Return the smallest calibrated probability of a class in a set that contains the true class with this confidence.

        A set contains every class whose probability is not smaller than the threshold. It contains the true class of a new
        image with at least the probability `confidence`, if the image is from where the held-out images are from (split
        conformal prediction: Sadinle, Lei and Wasserman 2019, "Least ambiguous set-valued classifiers", JASA 114:223).

        Returns:
            0 if there are too few held-out images for this confidence: then a set contains all classes.
        """
        rank = allowed_outside(len(self.true_probabilities), confidence)
        return float(self.true_probabilities[rank - 1]) if rank else 0.0


def allowed_outside(images: int, confidence: float) -> int:
    """Return the rank, from 1, of the most extreme value of n held-out images that is accepted; 0 accepts all values."""
    return math.floor((images + 1) * (1 - confidence) + ROUNDING)


def temper(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return the probabilities (n, classes) of logits that are divided by a temperature, float64."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), SMALLEST)) / temperature
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def fit(probabilities: np.ndarray, labels: np.ndarray) -> Calibration:
    """Calibrate a network on images that it was not trained on.

    Args:
        probabilities: of the network, float32 (n, classes), n ≥ 1.
        labels: integers (n,).

    Returns:
        The temperature with the smallest mean of −ln p(label), and the probabilities of the labels at this temperature.
    """
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        chosen = temper(probabilities, math.exp(log_temperature))[rows, labels]
        return float(-np.log(np.maximum(chosen, SMALLEST)).mean())

    found = minimize_scalar(loss, bounds=tuple(map(math.log, TEMPERATURES)), method="bounded")
    temperature = math.exp(float(found.x))
    return Calibration(temperature, np.sort(temper(probabilities, temperature)[rows, labels]))


class Completed(Protocol):
    """A completed run or ensemble: a `TrainedRun` or a `CompletedRun`."""

    @property
    def run(self) -> Run: ...
    @property
    def data(self) -> Dataset: ...
    @property
    def split(self) -> Split: ...


def calibrate(completed: Completed, model: "keras.Model", passes: int = 1) -> Calibration | None:
    """Read the calibration of a run; compute and store it where it does not exist, or belongs to another model.

    Args:
        model: the rebuilt model of the run.
        passes: of each image through networks.

    Returns:
        None if the run held out no images.
    """
    held_out = completed.split.validation
    if not len(held_out):
        return None
    model_sha256 = files.file_sha256(completed.run.model)
    stored = _read(completed, model_sha256)
    if stored is not None:
        return Calibration(stored.temperature, np.sort(np.array(stored.true_probabilities)))
    from mnist_exp.training.prediction import Predictor  # TensorFlow

    messages.note_without_spinner(f"calibrating from {len(held_out):,} held-out images")
    probabilities = Predictor(model, 1, passes)(completed.data.train_images[held_out])
    result = fit(probabilities, completed.data.train_labels[held_out])
    content = _File(
        schema=1,
        model_sha256=model_sha256,
        split_sha256=completed.split.sha256,
        temperature=result.temperature,
        true_probabilities=tuple(result.true_probabilities.tolist()),
    )
    try:
        files.write(completed.run.calibration, f"{json.dumps(content.model_dump(by_alias=True))}\n".encode())
    except EnvironmentFailure as error:  # it can be computed again
        log.warning("%s", error.cause)
    return result


Probability = Annotated[float, Field(ge=0, le=1)]


class _File(BaseModel):
    """The content of calibration.json."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    version: Literal[1] = Field(alias="schema")
    model_sha256: str
    split_sha256: str
    temperature: Annotated[float, Field(ge=TEMPERATURES[0], le=TEMPERATURES[1])]
    true_probabilities: tuple[Probability, ...]


def _read(completed: Completed, model_sha256: str) -> _File | None:
    """Return the content of calibration.json; None if it is missing, damaged, or not of this model and these images."""
    try:
        stored = _File.model_validate(read_json(completed.run.calibration, LISTS))
    except ValidationError:
        return None
    expected = model_sha256, completed.split.sha256, len(completed.split.validation)
    agrees = (stored.model_sha256, stored.split_sha256, len(stored.true_probabilities)) == expected
    return stored if agrees else None
