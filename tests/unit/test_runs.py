"""A run directory: never shared, never half-written, always readable."""

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_exp import runs
from mnist_exp.errors import EnvironmentFailure, InputError
from mnist_exp.runs import Run
from mnist_exp.training.history import Epoch


def test_directories_made_in_one_second_are_all_different(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: runs.create_directory(tmp_path / "deep" / "runs", "mlp_s7"), range(24)))
    assert len(set(made)) == 24
    assert all(directory.is_dir() and "_mlp_s7" in directory.name for directory in made)


def test_a_place_that_cannot_hold_runs_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFailure, match="Not a directory\nfree space") as caught:
        runs.create_directory(tmp_path / "file" / "runs", "x")
    assert caught.value.exit_code == 5


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "status.json"
    runs.write(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentFailure, match="No space left"):
        runs.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]


def test_json_never_holds_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        runs.write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert not (tmp_path / "x.json").exists()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_history_keeps_every_digit(tmp_path_factory: pytest.TempPathFactory, value: float) -> None:
    path = tmp_path_factory.mktemp("history") / "history.csv"
    runs.write_table(path, [Epoch(1, value, value, value, None, None, value, value)], Epoch)
    header, row = path.read_text().splitlines()
    fields = dict(zip(header.split(","), row.split(","), strict=True))
    assert float(fields["train_loss"]) == value
    assert fields["validation_loss"] == ""


def test_arrays_are_stored_without_pickle(tmp_path: Path) -> None:
    runs.write_arrays(tmp_path / "x.npz", {"a": np.arange(3)})
    assert np.load(tmp_path / "x.npz", allow_pickle=False)["a"].tolist() == [0, 1, 2]


def summary(**changes: Any) -> dict[str, Any]:
    test = {"n": 10, "errors": 1, "error_percent": 10.0, "ci95": [1.0, 20.0], "loss": 0.1}
    return {"schema": 1, "status": "completed", "test": test, "validation": None} | changes


def test_present_summary_means_complete(tmp_path: Path) -> None:
    run = Run(tmp_path)
    runs.write_status(run, "running")
    assert runs.read(tmp_path).status == "running"
    assert runs.read(tmp_path).summary is None
    runs.write_status(run, "failed", 1, "the cause", "the remedy")
    assert (runs.read(tmp_path).status, runs.read(tmp_path).cause) == ("failed", "the cause")
    runs.write_json(run.summary, summary())
    assert runs.read(tmp_path).summary == summary()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"schema": 2}',
        b'{"schema": 1, "test": null}',
        b"\xff\xfe",
        b'{"schema": 1, "test": {}}',
    ],
)
@pytest.mark.parametrize("name", ["summary.json", "status.json"])
def test_a_half_written_or_foreign_file_is_told_not_raised(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    record = runs.read(tmp_path)
    assert record.summary is None
    assert record.status == "unreadable"
    assert record.cause


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_any_json_can_be_read(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    directory = tmp_path_factory.mktemp("run")
    for name in ("summary.json", "status.json"):
        (directory / name).write_text(json.dumps(content))
        assert runs.read(directory).summary is None


def test_a_foreign_directory_is_no_run(tmp_path: Path) -> None:
    assert runs.read(tmp_path).status == "no run"
    assert not runs.is_run(tmp_path)


def test_find_looks_into_sweeps_and_lists_what_is_no_run(tmp_path: Path) -> None:
    for name in ("b_run", "a_sweep/0_x", "a_sweep/1_x"):
        (tmp_path / name).mkdir(parents=True)
        runs.write_status(Run(tmp_path / name), "running")
    (tmp_path / "foreign").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "README.md").write_text("")
    found = [str(path.relative_to(tmp_path)) for path in runs.find(tmp_path)]
    assert found == ["a_sweep/0_x", "a_sweep/1_x", "b_run", "foreign"]
    assert runs.find(tmp_path / "b_run") == [tmp_path / "b_run"]
    with pytest.raises(InputError, match="no such directory"):
        runs.find(tmp_path / "nowhere")


def test_a_read_only_place_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: Any, **__: Any) -> None:  # permissions do not stop root, who runs the tests in a container
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(EnvironmentFailure, match="Permission denied\nfree space or mend permissions"):
        runs.create_directory(tmp_path / "runs", "x")
