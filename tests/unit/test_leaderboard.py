"""What a sweep came to, in three formats."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mnist_exp import comparison, runs
from mnist_exp.comparison.statistics import mean_interval
from mnist_exp.runs import Run
from mnist_exp.sweep import leaderboard
from mnist_exp.sweep.plan import Sweep
from tests.unit.test_comparison import finished


def written(place: Path) -> Sweep:
    sweep = Sweep(place)
    leaderboard.write(sweep, comparison.gather([place]))
    return sweep


def test_configurations_over_their_seeds_best_validation_first(tmp_path: Path) -> None:
    for seed in range(3):
        finished(tmp_path / f"a{seed}", 180 + seed, f"seed={seed}", validation_errors=150)
        finished(tmp_path / f"b{seed}", 200, f"seed={seed}", "optimizer.learning_rate=0.01", validation_errors=100 + seed)
    (tmp_path / "c").mkdir()
    runs.write_status(Run(tmp_path / "c"), "failed", 1, "=cmd()", "mend it")
    sweep = written(tmp_path)
    board = json.loads(sweep.leaderboard.read_text())
    assert board["ranked_by"] == "validation"
    best, other = board["configurations"]
    assert (best["rank"], best["settings"], best["n"], best["validation"]["best"]) == (
        1,
        {"optimizer.learning_rate": 0.01},
        3,
        1,
    )
    assert best["validation"]["mean"] == pytest.approx(1.01)
    assert (other["test"]["mean"], sorted(other["seeds"])) == (pytest.approx(1.81), [0, 1, 2])
    assert board["without_result"] == [{"run": "c", "status": "failed", "cause": "=cmd()"}]
    with sweep.leaderboard.with_suffix(".csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["optimizer.learning_rate"] for row in rows] == ["0.01", "0.001"]
    assert float(rows[0]["validation_low"]) == pytest.approx(best["validation"]["ci95"][0])
    assert sweep.leaderboard.with_suffix(".md").read_text().splitlines()[2].startswith("| mlp | 3 | 1.01 ± 0.01 |")


def test_what_a_spreadsheet_would_compute_is_text(tmp_path: Path) -> None:
    for index, value in enumerate(("=cmd()", "@x", "-1+1", "-0.5")):
        run = finished(tmp_path / str(index), 100, "seed=1", f"optimizer.learning_rate={0.1 * (index + 1)}")
        content = yaml.safe_load((run / "config.yaml").read_text())
        content["optimizer"]["learning_rate"] = value
        (run / "config.yaml").write_text(yaml.safe_dump(content))
    with written(tmp_path).leaderboard.with_suffix(".csv").open() as file:
        cells = {row["optimizer.learning_rate"] for row in csv.DictReader(file)}
    assert cells == {"'=cmd()", "'@x", "'-1+1", "-0.5"}


def test_a_sweep_without_a_result_has_a_leaderboard_too(tmp_path: Path) -> None:
    sweep = written(tmp_path)
    assert json.loads(sweep.leaderboard.read_text())["configurations"] == []
    assert sweep.leaderboard.with_suffix(".csv").read_text() == "rank\n"


@given(st.lists(st.floats(20, 80), min_size=2, max_size=30))
def test_the_interval_of_a_mean_is_students(values: list[float]) -> None:
    errors = np.array(values)
    interval = mean_interval(errors)
    assert interval is not None
    if errors.std() > 1e-6:
        expected = scipy.stats.t.interval(0.95, len(errors) - 1, errors.mean(), scipy.stats.sem(errors))
        assert interval == pytest.approx((max(expected[0], 0), min(expected[1], 100)), abs=1e-9)


def test_one_value_says_nothing_of_the_spread() -> None:
    assert mean_interval(np.array([1.0])) is None
