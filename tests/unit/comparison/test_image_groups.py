"""Comparisons of runs whose test images are in groups, such as those of one writer."""

from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from mnist_exp.comparison import export, statistics
from mnist_exp.comparison.ranking import Comparison
from mnist_exp.comparison.statistics import Difference
from mnist_exp.machine import files
from mnist_exp.machine.files import array_sha256
from mnist_exp.machine.plain_data import read_json
from mnist_exp.run.evaluation import grouped_error, wilson_interval
from mnist_exp.run.run import Run
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
    assert list(export.to_json(board)["configurations"])[1]["significance"]["test"] == "McNemar, groups"


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
