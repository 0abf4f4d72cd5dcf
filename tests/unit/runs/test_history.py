"""The history: the best epoch, early stopping, and reading it while it is written."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_exp.machine import files
from mnist_exp.runs.history import Epoch, best_epoch, patience_exhausted, read


def history(*errors: float | None) -> list[Epoch]:
    return [Epoch(number, 0.1, 0.1, 1.0, error, error, 1.0, 1.0) for number, error in enumerate(errors, start=1)]


@pytest.mark.parametrize(
    ("errors", "expected"), [([3.0, 2.0, 2.5], 2), ([2.0, 2.0], 1), ([1.0], 1), ([None, None], None), ([], None)]
)
def test_the_best_epoch_is_the_first_with_the_lowest_error(errors: list[float | None], expected: int | None) -> None:
    assert best_epoch(history(*errors)) == expected


@pytest.mark.parametrize(
    ("errors", "patience", "expected"),
    [
        ([3.0, 2.0, 2.5], 1, True),
        ([3.0, 2.0, 2.5], 2, False),
        ([3.0, 2.0, 2.5, 2.0], 2, True),
        ([3.0, 2.0, 2.5, 1.9], 2, False),
        ([3.0, 2.0, 2.5], None, False),
        ([None, None], 1, False),
    ],
)
def test_patience_is_exhausted_without_improvement(errors: list[float | None], patience: int | None, expected: bool) -> None:
    assert patience_exhausted(history(*errors), patience) == expected


@pytest.mark.parametrize("error", [2.5, None])
def test_a_written_history_is_read(tmp_path: Path, error: float | None) -> None:
    rows = history(3.0 if error else None, error)
    files.write_table(tmp_path / "history.csv", rows, Epoch)
    assert read(tmp_path / "history.csv") == rows


def test_the_history_of_an_earlier_version_has_no_seconds_of_compiling(tmp_path: Path) -> None:
    path, rows = tmp_path / "history.csv", history(3.0, 2.0)
    files.write_table(path, rows, Epoch)
    path.write_text("".join(line.rpartition(",")[0] + "\n" for line in path.read_text().splitlines()))
    assert "compile" not in path.read_text()
    assert read(path) == rows


@pytest.mark.parametrize(
    "last",
    [
        "3", "3,0.1,0.1,1.0,1.0", "4,0.1,0.1,1,1,1,1,1", "3,0.1,nan,1,1,1,1,1", "3,0.1,,1,1,1,1,1",
        "3,x,0.1,1,1,1,1,1", "\0",
        "3,0.1,1e300,1,1,1,1,1",
    ],
)  # fmt: skip
def test_rows_before_an_invalid_row_are_read(tmp_path: Path, last: str) -> None:
    path = tmp_path / "history.csv"
    files.write_table(path, history(3.0, 2.0), Epoch)
    path.write_text(path.read_text() + last)
    assert read(path) == history(3.0, 2.0)


@given(st.binary(max_size=60))
def test_any_invalid_file_is_an_empty_history(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("run") / "history.csv"
    assert read(path) == []
    path.write_bytes(content)
    assert read(path) == []
