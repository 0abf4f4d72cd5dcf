"""Comparisons of runs whose test images are in groups, such as those of one writer."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from mnist_exp.comparison import export, statistics
from mnist_exp.comparison.difference import compare_runs
from mnist_exp.comparison.predictions import read_image_groups
from mnist_exp.comparison.ranking import Comparison, compare
from mnist_exp.comparison.rows import read_rows
from mnist_exp.comparison.statistics import Difference
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.errors import IntegrityError
from mnist_exp.machine import files
from mnist_exp.machine.files import array_sha256
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs.evaluation import grouped_error, wilson_interval
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import read_record
from mnist_exp.runs.summary import summarize_groups
from tests.unit.run_directories import TEST_IMAGES, compare_directory, make_run, set_wrong_images, write_predictions

GROUPS = (np.arange(TEST_IMAGES) // 50).astype(np.int32)


def make_grouped(directory: Path, wrong: range, *overrides: str) -> Path:
    """A run with these wrong test images, which are in groups of 50."""
    make_run(directory, len(wrong), *overrides)
    set_wrong_images(directory, wrong)
    write_predictions(directory, wrong)
    run, is_wrong = Run(directory), np.isin(np.arange(TEST_IMAGES), wrong)
    with np.load(run.predictions) as stored:
        files.write_arrays(run.predictions, {**stored, "image_groups": GROUPS})
    content = read_json(run.summary)
    content["image_groups"] = grouped_error(is_wrong, GROUPS) | {"sha256": array_sha256(GROUPS)}
    files.write_json(run.summary, content)
    return directory


def difference(board: Comparison) -> Difference:
    """The result of the second line."""
    significance = board.lines[1].significance
    assert significance is not None
    assert isinstance(significance.result, Difference)
    return significance.result


def make_two(place: Path, seeds: int) -> None:
    for seed in range(seeds):
        make_grouped(place / f"a{seed}", range(seed, 100 + seed), f"seed={seed}")
        make_grouped(place / f"b{seed}", range(250, 400 + 3 * seed), f"seed={seed}", "model=cnn_large")


def test_groups_make_a_difference_less_certain(tmp_path: Path) -> None:
    make_two(tmp_path, 3)
    found = difference(compare_directory(tmp_path))
    assert found.spread is not None
    assert found.spread.image_groups == 200
    for run in tmp_path.iterdir():
        content = read_json(Run(run).summary)
        files.write_json(Run(run).summary, content | {"image_groups": None})
    alone = difference(compare_directory(tmp_path))
    assert alone.spread is not None
    assert alone.spread.image_groups is None
    assert found.p > 10 * alone.p


def test_two_networks_are_compared_by_groups(tmp_path: Path) -> None:
    make_two(tmp_path, 1)
    board = compare_directory(tmp_path)
    found = difference(board)
    assert found.test == "McNemar, groups"
    each = np.bincount(GROUPS[250:400], minlength=200) * 1.0
    each[:2] -= 50
    variance = ((each - 50 / 200) ** 2).sum() * 200 / 199 + statistics.crossed.UNSEEN * (each**4).sum() / (each**2).sum()
    assert found.p == pytest.approx(2 * scipy.stats.t.sf(50 / np.sqrt(variance), 199))
    assert found.interval[0] < 0.5 < found.interval[1]
    assert json.loads("".join(export.to_json(board)))["configurations"][1]["significance"]["test"] == "McNemar, groups"


def test_a_difference_of_two_runs_has_the_test_of_their_comparison(tmp_path: Path) -> None:
    make_two(tmp_path, 1)
    expected = difference(compare_directory(tmp_path))
    found = compare_runs(Run(tmp_path / "b0"), Run(tmp_path / "a0"))
    assert not isinstance(found.errors, str)
    assert (found.errors.difference.test, found.errors.difference.p) == ("McNemar, groups", expected.p)
    write_predictions(tmp_path / "a0", range(100))
    write_predictions(tmp_path / "b0", range(250, 400))
    without = compare_runs(Run(tmp_path / "b0"), Run(tmp_path / "a0")).errors
    assert isinstance(without, str)
    assert "has no groups of images as in summary.json" in without


def test_runs_with_and_without_groups_are_not_ranked_together(tmp_path: Path) -> None:
    make_two(tmp_path, 2)
    make_run(tmp_path / "without", 90, "model=cnn_simple")
    reasons = compare_directory(tmp_path).not_ranked
    assert [(reason, [row.name for row in rows]) for reason, rows in reasons.items()] == [
        ("different groups of the test images", ["without"])
    ]


@pytest.mark.parametrize("stored", [GROUPS[:-1], np.zeros(TEST_IMAGES, np.int32)])
def test_groups_that_do_not_fit_the_images_are_damaged(stored: np.ndarray, tmp_path: Path) -> None:
    run = Run(make_grouped(tmp_path / "a", range(9)))
    stated = read_record(run.directory).summary
    assert stated is not None
    assert stated.image_groups is not None
    with np.load(run.predictions) as arrays:
        files.write_arrays(run.predictions, {**arrays, "image_groups": stored})
    with pytest.raises(IntegrityError, match="has no groups of images"):
        read_image_groups(run, stated.image_groups.model_copy(update={"sha256": array_sha256(stored)}), TEST_IMAGES)


def test_an_evaluation_has_groups_of_its_own(tmp_path: Path) -> None:
    make_two(tmp_path, 1)
    rows = read_rows([tmp_path])
    elsewhere = make_grouped(tmp_path / "a0" / "evaluations" / "x", range(9))
    write_predictions(tmp_path / "a0", range(100))
    evaluated = [replace(row, evaluation=Run(elsewhere if row.name == "a0" else row.record.directory)) for row in rows]
    assert difference(compare(evaluated)).test == "McNemar, groups"


def test_a_single_group_says_nothing_about_others(digits: Dataset) -> None:
    data = replace(digits, test_groups=np.full(TEST_IMAGES, 3, np.int32))
    assert summarize_groups(data, np.eye(10, dtype=np.float32)[digits.test_labels]) is None


def test_without_the_groups_there_is_no_test_on_new_images(tmp_path: Path) -> None:
    make_two(tmp_path, 2)
    write_predictions(tmp_path / "a0", range(100))
    significance = compare_directory(tmp_path).lines[1].significance
    assert significance is not None
    assert "has no groups of images as in summary.json" in significance.text
    assert difference(compare_directory(tmp_path, question="these images")).test == "paired t"


def test_the_interval_of_an_error_takes_groups_as_units() -> None:
    wrong = np.zeros(1000, bool)
    wrong[:50] = True  # all of one writer
    clustered = grouped_error(wrong, np.arange(1000) // 50)
    assert clustered["n"] == 20
    assert clustered["design_effect"] == pytest.approx(50 * 20 / 19, rel=0.01)
    low, high = wilson_interval(50, 1000)
    assert clustered["ci95"][0] < low < 5 < high < clustered["ci95"][1]
    spread = grouped_error(wrong, np.arange(1000) % 20)  # equally many of each writer: no design effect below 1
    assert spread["design_effect"] == 1
    assert spread["ci95"][1] > high  # of 20 groups, the variance is uncertain
    assert grouped_error(np.zeros(1000, bool), np.arange(1000) % 20)["ci95"][0] == 0


def test_the_interval_covers_the_error_of_new_groups() -> None:
    generator, covered = np.random.default_rng(2), 0
    for _ in range(400):
        difficulty = np.repeat(generator.beta(0.5, 9.5, 100), 30)
        low, high = grouped_error(generator.random(3000) < difficulty, np.repeat(np.arange(100), 30))["ci95"]
        covered += low <= 5 <= high
    assert covered / 400 >= 0.92
