"""Files are replaced atomically and keep their content exactly."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_exp.errors import EnvironmentFailure
from mnist_exp.machine import files
from mnist_exp.run.history import Epoch


def test_a_failed_write_keeps_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "status.json"
    files.write(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentFailure, match="No space left"):
        files.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]


def test_json_without_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert not (tmp_path / "x.json").exists()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_table_keeps_every_digit(tmp_path_factory: pytest.TempPathFactory, value: float) -> None:
    path = tmp_path_factory.mktemp("history") / "history.csv"
    files.write_table(path, [Epoch(1, value, value, value, None, None, value, value)], Epoch)
    header, row = path.read_text().splitlines()
    fields = dict(zip(header.split(","), row.split(","), strict=True))
    assert float(fields["train_loss"]) == value
    assert fields["validation_loss"] == ""


def test_arrays_are_stored_without_pickle(tmp_path: Path) -> None:
    files.write_arrays(tmp_path / "x.npz", {"a": np.arange(3)})
    assert np.load(tmp_path / "x.npz", allow_pickle=False)["a"].tolist() == [0, 1, 2]
