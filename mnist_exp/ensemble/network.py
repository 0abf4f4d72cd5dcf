"""The network of a completed run or ensemble, rebuilt from settings and weights, and checked."""

from collections.abc import Sequence

import keras
import numpy as np

from mnist_exp.ensemble.completed import CompletedRun
from mnist_exp.models import averaging
from mnist_exp.models.build import set_precision
from mnist_exp.trained.network import check_probabilities, rebuild
from mnist_exp.trained.trained_run import TrainedRun

MODEL = "ensemble"  # the name of the model of an ensemble
PRECISION = "float32"  # in which pictures are read and artefacts compute; weights are float32 in every run


def rebuild_completed(completed: CompletedRun, precision: str | None = None) -> keras.Model:
    """Build the network of a run, or the mean of the members of an ensemble, and check its probabilities.

    Args:
        precision: in which the network computes: float32, bfloat16 or float16; None for that of each run.

    Returns:
        A model from uint8 images (n, height, width, channels) to float32 probabilities (n, classes).

    Raises:
        IntegrityError: settings, summary and model file do not agree, or the model gives other probabilities.
    """
    if not completed.is_ensemble:
        return rebuild(completed.runs[0], precision)
    return rebuild_mean(completed.runs, completed.data.test_images, completed.probabilities, precision)


def rebuild_mean(
    runs: Sequence[TrainedRun], images: np.ndarray, probabilities: np.ndarray, precision: str | None = None
) -> keras.Model:
    """Build the networks of several runs and average them.

    Args:
        images: uint8 (n, height, width, channels).
        probabilities: of these images, float32 (n, classes), with which the mean must agree.
        precision: as in `rebuild_completed`.

    Raises:
        IntegrityError: as `rebuild_completed`.
    """
    models = [rebuild(run, precision) for run in runs]
    set_precision("float32")
    combined = averaging.over_members(models, MODEL)
    check_probabilities(
        combined, images, probabilities, max(run.tolerance for run in runs), "the combined model of all members"
    )
    return combined
