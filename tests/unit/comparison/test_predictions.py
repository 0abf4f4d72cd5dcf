"""Predictions: counted errors, and damaged and hostile files."""

import io
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_exp.comparison import predictions
from mnist_exp.comparison.predictions import read_predictions
from mnist_exp.errors import InputError, IntegrityError
from mnist_exp.machine import files
from mnist_exp.runs.run import Run


def archive(**arrays: Any) -> bytes:
    """An .npz file of these arrays, pickled if necessary."""
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def test_predictions_of_a_run_are_read(tmp_path: Path, scores: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, labels = scores
    run = Run(tmp_path)
    files.write_arrays(run.predictions, {"probabilities": probabilities, "labels": labels})
    classes, found, confidence = read_predictions(run)
    assert (classes.dtype, confidence.dtype) == (np.uint16, np.float32)
    assert np.array_equal(classes, probabilities.argmax(axis=1))
    assert np.array_equal(found, labels)
    assert np.array_equal(confidence, probabilities[np.arange(400), classes])


def test_a_run_without_predictions_is_not_damaged(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="only a completed run has one"):
        read_predictions(Run(tmp_path))


GOOD = np.full((4, 10), 0.1, np.float32)
LABELS = np.zeros(4, np.uint8)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "not a zip file"),
        (b"PK", "not a zip file"),
        (archive(labels=LABELS), "'probabilities'"),
        (archive(probabilities=GOOD), "'labels'"),
        (archive(probabilities=np.array([{}]), labels=LABELS), "of object"),
        (archive(probabilities=GOOD, labels=np.array([None] * 4)), "of object"),
        (archive(probabilities=GOOD.astype(float), labels=LABELS), "probabilities are float64 of shape"),
        (archive(probabilities=GOOD[0], labels=LABELS), r"probabilities are float32 of shape \(10,\)"),
        (archive(probabilities=GOOD[:, :1], labels=LABELS), r"probabilities are float32 of shape \(4, 1\)"),
        (archive(probabilities=np.ones((4, 1001), np.float32), labels=LABELS), r"of shape \(4, 1001\)"),
        (archive(probabilities=GOOD[:0], labels=LABELS[:0]), "labels of 0 images"),
        (archive(probabilities=GOOD, labels=LABELS[:3]), r"labels of 4 images are uint8 of shape \(3,\)"),
        (archive(probabilities=GOOD, labels=LABELS.astype(int)), "labels of 4 images are int64"),
        (archive(probabilities=GOOD, labels=LABELS + np.uint8(10)), "a label is 10, but there are 10 classes"),
        (archive(probabilities=GOOD * np.nan, labels=LABELS), "is not between 0 and 1"),
        (archive(probabilities=GOOD * 11, labels=LABELS), "is not between 0 and 1"),
    ],
)
def test_a_damaged_or_hostile_archive_is_an_error(tmp_path: Path, content: bytes, cause: str) -> None:
    Run(tmp_path).predictions.write_bytes(content)
    with pytest.raises(IntegrityError, match=rf"predictions\.npz: is damaged: .*{cause}.*\ntrain the run again") as caught:
        read_predictions(Run(tmp_path))
    assert caught.value.exit_code == 3


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "MAX_BYTES", 1_000)
    files.write_arrays(Run(tmp_path).predictions, {"probabilities": np.zeros((1_000, 10), np.float32), "labels": LABELS})
    with pytest.raises(IntegrityError, match=r"its arrays take 40,260 bytes, more than 1,000"):
        read_predictions(Run(tmp_path))


def test_an_array_larger_than_memory_is_not_allocated(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "<f4", "fortran_order": False, "shape": (10**15, 10)})
    with zipfile.ZipFile(Run(tmp_path).predictions, "w") as written:
        written.writestr("probabilities.npy", content.getvalue())
    with pytest.raises(IntegrityError, match="is damaged"):
        read_predictions(Run(tmp_path))


@given(st.data())
def test_any_damage_is_an_integrity_error(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    whole = bytearray(archive(probabilities=GOOD, labels=LABELS))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    run = Run(tmp_path_factory.mktemp("run"))
    run.predictions.write_bytes(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    with warnings.catch_warnings(action="ignore"):
        try:
            classes, labels, confidence = read_predictions(run)
        except IntegrityError:
            return
    assert len(classes) == len(labels) == len(confidence)
