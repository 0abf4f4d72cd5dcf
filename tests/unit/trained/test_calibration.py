import math

import numpy as np
import pytest

from mnist_exp.trained.calibration import Calibration, allowed_outside, fit, temper


def overconfident(n: int, seed: int, factor: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of logits that are `factor` times too large, and labels that follow the right ones."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2, size=(n, 10))
    right = temper(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), 1)
    labels = (right.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, 9)
    return temper(right, 1 / factor).astype(np.float32), labels


def test_the_temperature_is_the_factor_by_which_the_logits_are_too_large() -> None:
    calibration = fit(*overconfident(5000, seed=1))
    assert calibration.temperature == pytest.approx(3, rel=0.05)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_sets_contain_the_true_class_as_often_as_stated(confidence: float) -> None:
    calibration = fit(*overconfident(5000, seed=2))
    probabilities, labels = overconfident(10_000, seed=3)
    calibrated = calibration.calibrate(probabilities)
    covered = calibrated[np.arange(len(labels)), labels] >= calibration.threshold(confidence)
    # the deviations of the 10,000 images and of the 5,000 from which the threshold is
    deviation = math.sqrt(confidence * (1 - confidence) * (1 / 10_000 + 1 / 5_000))
    assert abs(covered.mean() - confidence) < 3 * deviation


@pytest.mark.parametrize(
    ("images", "confidence", "rank"), [(99, 0.99, 1), (98, 0.99, 0), (199, 0.99, 2), (5000, 0.99, 50), (9, 0.5, 5)]
)
def test_the_rank_of_the_last_accepted_value(images: int, confidence: float, rank: int) -> None:
    assert allowed_outside(images, confidence) == rank


def test_with_too_few_images_all_classes_are_in_the_set() -> None:
    calibration = Calibration(1.0, np.linspace(0.5, 1, 98))
    assert calibration.threshold(0.99) == 0
    assert calibration.threshold(0.98) == 0.5


def test_a_network_that_is_always_right_and_certain_can_be_calibrated() -> None:
    calibration = fit(np.eye(10, dtype=np.float32), np.arange(10))
    assert np.isfinite(calibration.temperature)
    assert np.isfinite(calibration.true_probabilities).all()
