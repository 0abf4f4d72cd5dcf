"""Evaluation against SciPy and against the definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from mnist_exp.runs import evaluation

Scores = tuple[np.ndarray, np.ndarray]


@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_wilsons(case: tuple[int, int]) -> None:
    errors, n = case
    low, high = evaluation.wilson_interval(errors, n)
    expected = binomtest(errors, n).proportion_ci(0.95, method="wilson")
    assert low == pytest.approx(100 * expected.low, abs=1e-9)
    assert high == pytest.approx(100 * expected.high, abs=1e-9)
    assert 0 <= low <= 100 * errors / n <= high <= 100


def test_error_and_loss_by_hand() -> None:
    probabilities = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]], np.float32)
    score = evaluation.score(probabilities, np.array([0, 2]))
    assert (score["n"], score["errors"], score["error_percent"]) == (2, 1, 50.0)
    assert score["loss"] == pytest.approx((np.log(2) - np.log(np.finfo(np.float32).tiny)) / 2)


def test_confusion_matrix_counts_every_pair(scores: Scores) -> None:
    probabilities, labels = scores
    matrix = evaluation.confusion_matrix(probabilities, labels)
    predicted = probabilities.argmax(axis=1)
    for true in range(10):
        for guess in range(10):
            assert matrix[true, guess] == np.sum((labels == true) & (predicted == guess))


def test_calibration_is_the_definition(scores: Scores) -> None:
    probabilities, labels = scores
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    expected = 0.0
    for number in range(15):
        inside = (confidence > number / 15) & (confidence <= (number + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(correct[inside].mean() - confidence[inside].astype(float).mean())
    found = evaluation.calibration(probabilities, labels)
    assert found["ece"] == pytest.approx(expected)
    assert sum(bin_["n"] for bin_ in found["bins"]) == len(labels)
    assert len(found["bins"]) == 15


def test_calibration_of_a_confident_model() -> None:
    assert evaluation.calibration(np.eye(3, dtype=np.float32), np.arange(3))["ece"] == 0
    assert evaluation.calibration(np.eye(3, dtype=np.float32), np.array([1, 2, 0]))["ece"] == 1


def test_worst_mistakes_are_wrong_and_in_order(scores: Scores) -> None:
    probabilities, labels = scores
    worst = evaluation.worst_mistakes(probabilities, labels, None)
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    assert len(worst) == min(50, len(wrong))
    assert all(mistake["label"] == labels[mistake["index"]] != mistake["predicted"] for mistake in worst)
    confidences = [probabilities[mistake["index"]].max() for mistake in worst]
    assert confidences == sorted(confidences, reverse=True)
    assert max(probabilities[wrong].max(axis=1)) == confidences[0]


def test_the_report_adds_up(scores: Scores) -> None:
    report = evaluation.error_report(*scores, tuple("0123456789"), None)
    assert sum(row["errors"] for row in report["per_class"]) == report["overall"]["errors"]
    assert sum(row["n"] for row in report["per_class"]) == report["overall"]["n"] == np.sum(report["confusion_matrix"])
    assert len(report["per_class"]) == 10
    assert report["negative_log_likelihood"] == pytest.approx(
        -np.mean([np.log(float(row[label])) for row, label in zip(*scores, strict=True)])
    )


def test_a_model_without_mistakes_has_a_report() -> None:
    report = evaluation.error_report(np.eye(3, dtype=np.float32), np.arange(3), ("a", "b", "c"), None)
    assert report["worst_mistakes"] == []
    assert report["overall"]["ci95"][0] == 0
