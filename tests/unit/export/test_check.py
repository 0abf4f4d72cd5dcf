"""The numbers of a check, against NumPy."""

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mnist_exp.comparison.statistics import mcnemar_exact
from mnist_exp.errors import UserError
from mnist_exp.export import check, table
from mnist_exp.export.check import Check
from mnist_exp.terminal import messages
from tests.unit.members import DATA

LABELS = DATA.test_labels


def probabilities(shifted: range) -> np.ndarray:
    """Probabilities of 0.91 for the label, or for the next class of these images."""
    classes = LABELS.astype(int)
    classes[list(shifted)] = (classes[list(shifted)] + 1) % 10
    return np.where(np.eye(10, dtype=bool)[classes], 0.91, 0.01).astype(np.float32)


def test_the_numbers_of_a_check() -> None:
    content = Check(DATA, probabilities(range(30)), probabilities(range(20, 25)), 0.5).to_json()
    assert content["n"] == 10_000
    assert content["largest_difference"] == pytest.approx(0.9)
    assert content["changed"] == len(content["changed_images"]) == 25
    assert {one["index"] for one in content["changed_images"]} == {*range(20), *range(25, 30)}
    assert content["changed_images"][0]["predicted"] == (content["changed_images"][0]["label"] + 1) % 10
    assert content["error"]["errors"] == 30
    test = content["mcnemar"]
    assert (test["only_artefact_wrong"], test["only_original_wrong"], test["difference_percent"]) == (25, 0, 0.25)
    assert test["p"] == pytest.approx(mcnemar_exact(25, 0))
    assert content["milliseconds_per_image"] == 0.5


@pytest.mark.parametrize(("images_in_group", "test"), [(40, "McNemar, groups"), (10_000, "McNemar")])
def test_groups_of_images_are_units_if_there_are_several(images_in_group: int, test: str) -> None:
    data = replace(DATA, test_groups=np.arange(10_000, dtype=np.int32) // images_in_group)
    equal = Check(data, probabilities(range(5)), probabilities(range(5))).to_json()
    assert (equal["mcnemar"]["test"], equal["mcnemar"]["p"]) == (test, 1)
    assert (equal["image_groups"] is None) == (test == "McNemar")


def test_all_images_are_predicted_in_batches_and_then_timed_one_by_one() -> None:
    given: list[int] = []
    moved: list[int] = []

    def predict(images: np.ndarray) -> np.ndarray:
        given.append(len(images))
        start = sum(given[:-1])
        return probabilities(range(0))[start : start + len(images)] if start < 10_000 else probabilities(range(0))[:1]

    found = check.check(predict, DATA, probabilities(range(0)), 3000, moved.append)
    assert given[:4] == moved == [3000, 3000, 3000, 1000]
    assert set(given[4:]) == {1}
    assert found.largest_difference == 0
    assert found.milliseconds is not None
    assert found.milliseconds > 0


@pytest.mark.parametrize("output", [np.full((10_000, 10), np.nan, np.float32), np.ones((10_000, 9), np.float32)])
def test_an_output_that_is_no_probability_is_an_error(output: np.ndarray) -> None:
    with pytest.raises(UserError, match="is not a probability of each class"):
        check.check(lambda _: output, DATA, probabilities(range(0)), 10_000, lambda _: None)


@pytest.mark.parametrize("width", [80, 100])
def test_a_row_is_one_line_of_a_terminal(width: int) -> None:
    checked = Check(DATA, probabilities(range(30)), probabilities(range(20, 25)), 0.5)
    artefact = SimpleNamespace(path=Path("model_int8.tflite"), size=72_300, check=checked)
    console = messages.console(file=io.StringIO(), width=width)
    with console.capture() as captured:
        console.print(table.build([artefact], width))  # type: ignore[list-item]
    row = next(line for line in captured.get().splitlines() if "model_int8.tflite" in line)
    assert "0.30 (0.21 – 0.43)" in row
    assert row.rstrip(" │").endswith("0.500")
    assert max(map(len, captured.get().splitlines())) <= width
