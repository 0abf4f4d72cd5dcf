"""The network of a completed run, rebuilt from its settings and its weights."""

import logging

import keras
import numpy as np

from mnist_exp.errors import IntegrityError
from mnist_exp.models import averaging, preprocessing
from mnist_exp.models.build import build_model, count_parameters, set_precision
from mnist_exp.models.weights import load_weights
from mnist_exp.trained.trained_run import TrainedRun
from mnist_exp.training.prediction import images_at_once

log = logging.getLogger(__name__)

WEIGHT_BYTES = 4  # float32 in every precision


def rebuild(trained: TrainedRun, precision: str | None = None) -> keras.Model:
    """Build the model of a run from its settings, as it was saved, load its weights and check its probabilities.

    Args:
        precision: in which it computes: float32, bfloat16 or float16; None for that of the run. Weights are float32 in each.

    Raises:
        IntegrityError: settings, summary and model file do not agree, or the model gives other probabilities.
    """
    settings, data = trained.experiment, trained.data
    set_precision(precision or settings.precision)
    scaling = preprocessing.build(settings.preprocessing, data.train_images, trained.split.train)
    arguments = settings.model, scaling, data.test_images.shape[1:], len(data.class_names)
    _check_parameters(trained, count_parameters(*arguments))
    model = averaging.over_shifts(build_model(*arguments), settings.evaluation.tta)
    load_weights(model, trained.run.model)
    check_probabilities(model, data.test_images, trained.probabilities, trained.tolerance, str(trained.run.model))
    return model


def check_probabilities(model: keras.Model, images: np.ndarray, stored: np.ndarray, tolerance: float, subject: str) -> None:
    """Raise IntegrityError unless a model gives the stored probabilities, float32 (n, classes), on a sample of images."""
    sample = slice(None, None, max(len(images) // images_at_once(images.shape[1:]), 1))
    distance = np.abs(np.asarray(model(images[sample], training=False)) - stored[sample]).max()
    log.info("%s: within %.2g of the stored probabilities", subject, distance)
    if not distance <= tolerance:  # also if it is NaN
        cause = f"{subject}: its probabilities differ by up to {distance:.2f} from the stored ones"
        raise IntegrityError(cause, "train the run again")


def _check_parameters(trained: TrainedRun, parameters: int) -> None:
    """Raise IntegrityError unless settings, summary and model file agree on the number of weights."""
    run, stated = trained.run, trained.row.summary.model.parameters
    if parameters != stated:
        cause = f"{run.config}: its network has {parameters:,} parameters, but summary.json states {stated:,}"
        raise IntegrityError(cause, "train the run again")
    if (size := run.model.stat().st_size) < WEIGHT_BYTES * parameters:  # they are stored uncompressed
        cause = f"{run.model}: its {size:,} bytes cannot contain {parameters:,} parameters"
        raise IntegrityError(cause, "train the run again")
