"""Two networks on the same images: the test and the interval are those of the papers, and no file is believed."""

import io
import warnings
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import example, given
from hypothesis import strategies as st

from mnist_exp.comparison import predictions
from mnist_exp.comparison.predictions import read_predictions
from mnist_exp.comparison.statistics import difference_interval, mcnemar_exact
from mnist_exp.errors import InputError, IntegrityError
from mnist_exp.machine import files
from mnist_exp.run.names import Run

COUNTS = st.integers(0, 60_000)


@given(COUNTS, COUNTS)
@example(0, 0)
@example(7, 7)
@example(0, 5000)
@example(1, 0)
def test_mcnemars_test_is_the_binomial_one(only_a: int, only_b: int) -> None:
    n = only_a + only_b
    expected = scipy.stats.binomtest(only_a, n, 0.5).pvalue if n else 1.0
    # Of what is smaller, SciPy's binomtest makes 0 here and there.
    assert mcnemar_exact(only_a, only_b) == pytest.approx(expected, rel=1e-9, abs=1e-250)
    assert mcnemar_exact(only_a, only_b) == mcnemar_exact(only_b, only_a)


@given(st.integers(0, 1100), st.integers(0, 1100))
@example(10, 1065)
def test_mcnemars_test_is_exact_where_it_is_small(only_a: int, only_b: int) -> None:
    n = only_a + only_b
    tail = ways = 1
    for i in range(min(only_a, only_b)):  # i + 1 of n can be chosen in (n - i) / (i + 1) as many ways as i
        ways = ways * (n - i) // (i + 1)
        tail += ways
    expected = float(min(Fraction(2 * tail, 2**n), 1)) if only_a != only_b else 1.0
    assert mcnemar_exact(only_a, only_b) == pytest.approx(expected, rel=1e-9, abs=1e-307)


def test_mcnemars_test_by_hand() -> None:
    assert mcnemar_exact(1, 5) == pytest.approx(2 * (1 + 6) / 2**6)
    assert mcnemar_exact(3, 3) == 1.0
    assert mcnemar_exact(0, 0) == 1.0


def test_the_interval_by_hand() -> None:
    a, b = 13 / 102, 5 / 102
    half = 1.959964 * np.sqrt((a + b - (a - b) ** 2) / 102)
    assert difference_interval(12, 4, 100) == pytest.approx((100 * (a - b - half), 100 * (a - b + half)))


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 10_000))
def test_the_interval_holds_the_difference_and_turns_round_with_the_runs(only_a: int, only_b: int, others: int) -> None:
    n = max(only_a + only_b + others, 1)
    low, high = difference_interval(only_a, only_b, n)
    assert -100 <= low <= 100 * (only_a - only_b) / n <= high <= 100
    assert difference_interval(only_b, only_a, n) == pytest.approx((-high, -low))


@pytest.mark.parametrize("n", [100, 1_000, 10_000])
@pytest.mark.parametrize(("only_a", "only_b"), [(0.05, 0.05), (0.02, 0.06), (0.3, 0.1), (0.01, 0.01), (0.004, 0.009)])
def test_nineteen_of_twenty_intervals_hold_the_truth(n: int, only_a: float, only_b: float) -> None:
    drawn = np.random.default_rng(0).multinomial(n, [only_a, only_b, 1 - only_a - only_b], 20_000)
    pairs, counts = np.unique(drawn[:, :2], axis=0, return_counts=True)
    intervals = np.array([difference_interval(int(a), int(b), n) for a, b in pairs])
    truth = 100 * (only_a - only_b)
    held = (intervals[:, 0] <= truth) & (truth <= intervals[:, 1])
    assert counts[held].sum() / counts.sum() >= 0.94


def archive(**arrays: Any) -> bytes:
    """An .npz of these, pickled where that is the only way."""
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def test_what_a_run_writes_is_read(tmp_path: Path, scores: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, labels = scores
    run = Run(tmp_path)
    files.write_arrays(run.predictions, {"probabilities": probabilities, "labels": labels})
    answers, found, confidence = read_predictions(run)
    assert (answers.dtype, confidence.dtype) == (np.uint8, np.float32)
    assert np.array_equal(answers, probabilities.argmax(axis=1))
    assert np.array_equal(found, labels)
    assert np.array_equal(confidence, probabilities[np.arange(400), answers])


def test_a_run_without_predictions_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="only a completed run has one"):
        read_predictions(Run(tmp_path))


GOOD = np.full((4, 10), 0.1, np.float32)
LABELS = np.zeros(4, np.uint8)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "not a zip file"),
        (b"PK", "not a zip file"),
        (archive(labels=LABELS), "no item named 'probabilities.npy'"),
        (archive(probabilities=GOOD), "no item named 'labels.npy'"),
        (archive(probabilities=np.array([{}]), labels=LABELS), "Object arrays cannot be loaded"),
        (archive(probabilities=GOOD, labels=np.array([None] * 4)), "Object arrays cannot be loaded"),
        (archive(probabilities=GOOD.astype(float), labels=LABELS), "probabilities are float64 of shape"),
        (archive(probabilities=GOOD[0], labels=LABELS), r"probabilities are float32 of shape \(10,\)"),
        (archive(probabilities=GOOD[:, :1], labels=LABELS), r"probabilities are float32 of shape \(4, 1\)"),
        (archive(probabilities=np.ones((4, 257), np.float32), labels=LABELS), r"of shape \(4, 257\)"),
        (archive(probabilities=GOOD[:0], labels=LABELS[:0]), "labels of 0 images"),
        (archive(probabilities=GOOD, labels=LABELS[:3]), r"labels of 4 images are uint8 of shape \(3,\)"),
        (archive(probabilities=GOOD, labels=LABELS.astype(int)), "labels of 4 images are int64"),
        (archive(probabilities=GOOD, labels=LABELS + np.uint8(10)), "a label is 10, but there are 10 classes"),
        (archive(probabilities=GOOD * np.nan, labels=LABELS), "is not between 0 and 1"),
        (archive(probabilities=GOOD * 11, labels=LABELS), "is not between 0 and 1"),
    ],
)
def test_a_damaged_or_hostile_archive_is_told(tmp_path: Path, content: bytes, cause: str) -> None:
    Run(tmp_path).predictions.write_bytes(content)
    with pytest.raises(IntegrityError, match=rf"predictions\.npz: is damaged: .*{cause}.*\ntrain the run again") as caught:
        read_predictions(Run(tmp_path))
    assert caught.value.exit_code == 3


def test_a_small_file_that_unpacks_to_a_large_one_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "MAX_BYTES", 1_000)
    files.write_arrays(Run(tmp_path).predictions, {"probabilities": np.zeros((1_000, 10), np.float32), "labels": LABELS})
    with pytest.raises(IntegrityError, match=r"probabilities would take 40,128 bytes"):
        read_predictions(Run(tmp_path))


def test_an_array_that_says_it_is_larger_than_any_memory(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "<f4", "fortran_order": False, "shape": (10**15, 10)})
    with zipfile.ZipFile(Run(tmp_path).predictions, "w") as written:
        written.writestr("probabilities.npy", content.getvalue())
    with pytest.raises(IntegrityError, match="is damaged"):
        read_predictions(Run(tmp_path))


@given(st.data())
def test_no_damage_ends_in_another_error(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    whole = bytearray(archive(probabilities=GOOD, labels=LABELS))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    run = Run(tmp_path_factory.mktemp("run"))
    run.predictions.write_bytes(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    with warnings.catch_warnings(action="ignore"):
        try:
            answers, labels, confidence = read_predictions(run)
        except IntegrityError:
            return
    assert len(answers) == len(labels) == len(confidence)
