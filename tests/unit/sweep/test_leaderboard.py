"""The leaderboard of a sweep in three formats."""

import csv
import json
from pathlib import Path

import pytest

from mnist_exp.commands import results
from mnist_exp.comparison.ranking import compare_each
from mnist_exp.comparison.rows import read_rows
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import write_status
from mnist_exp.sweep import leaderboard
from mnist_exp.sweep.plan import Sweep
from mnist_exp.sweep.progress import Counts
from tests.unit.run_directories import make_run


def written(place: Path) -> Sweep:
    sweep = Sweep(place)
    leaderboard.write(sweep, compare_each(read_rows([place])))
    return sweep


def test_configurations_are_ranked_by_mean_validation_error(tmp_path: Path) -> None:
    for seed in range(3):
        make_run(tmp_path / f"a{seed}", 180 + seed, f"seed={seed}", validation_errors=150)
        make_run(tmp_path / f"b{seed}", 200, f"seed={seed}", "optimizer.learning_rate=0.01", validation_errors=100 + seed)
    (tmp_path / "c").mkdir()
    write_status(Run(tmp_path / "c"), "failed", 1, "=cmd()", "remedy")
    sweep = written(tmp_path)
    board = json.loads(sweep.leaderboard.read_text())
    assert (board["sweep"], board["ranked_by"]) == (tmp_path.name, "validation.error_percent")
    best, other = board["configurations"]
    assert (best["rank"], best["settings"], best["n"], best["validation"]["best"]) == (
        1,
        {"optimizer.learning_rate": 0.01},
        3,
        1,
    )
    assert best["validation"]["mean"] == pytest.approx(1.01)
    assert (other["test"]["mean"], sorted(other["seeds"])) == (pytest.approx(1.81), [0, 1, 2])
    assert [(one["reason"], one["runs"][0]["cause"]) for one in board["not_ranked"]] == [("failed", "=cmd()")]
    with sweep.leaderboard.with_suffix(".csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["optimizer.learning_rate"] for row in rows] == ["0.01", "0.001"]
    assert float(rows[0]["validation_low"]) == pytest.approx(best["validation"]["ci95"][0])
    assert sweep.leaderboard.with_suffix(".md").read_text().splitlines()[2].startswith("| 1 | mlp | 3 | 1.01 ± 0.01 |")


def test_a_sweep_without_results_has_an_empty_leaderboard(tmp_path: Path) -> None:
    sweep = written(tmp_path)
    assert json.loads(sweep.leaderboard.read_text())["configurations"] == []
    assert sweep.leaderboard.with_suffix(".csv").read_text() == "rank\n"


def make_two_sets(place: Path, other: str = "dataset=fashion_mnist") -> None:
    """Two configurations on one set of images, and one run on another."""
    for seed in range(2):
        make_run(place / f"a{seed}", 180, f"seed={seed}")
        make_run(place / f"b{seed}", 200, f"seed={seed}", "optimizer.learning_rate=0.01")
    run = Run(make_run(place / "c", 300, other))
    content = read_json(run.summary)
    files.write_json(run.summary, content | {"dataset": content["dataset"] | {"sha256": "c"}})


def test_runs_on_different_data_have_a_ranking_each(tmp_path: Path) -> None:
    make_two_sets(tmp_path)
    sweep = written(tmp_path)
    board = json.loads(sweep.leaderboard.read_text())
    assert [len(one["runs"]) for one in board["configurations"]] == [2, 2]
    assert (board["images"], board["not_ranked"]) == ({"dataset.name": "mnist"}, [])
    (further,) = board["others"]
    assert [one["runs"] for one in further["configurations"]] == [["c"]]
    assert further["images"] == {"dataset.name": "fashion_mnist"}
    with sweep.leaderboard.with_suffix(".csv").open() as file:
        rows = [(row["dataset.name"], row["rank"], row["optimizer.learning_rate"]) for row in csv.DictReader(file)]
    assert rows == [("mnist", "1", "0.001"), ("mnist", "2", "0.01"), ("fashion_mnist", "1", "0.001")]
    lines = sweep.leaderboard.with_suffix(".md").read_text().splitlines()
    assert [line for line in lines if line.startswith("**")] == ["**dataset.name=mnist**", "**dataset.name=fashion_mnist**"]
    assert len([line for line in lines if line.startswith("| 1 |")]) == 2


def test_a_title_has_only_settings_that_all_runs_of_the_set_share(tmp_path: Path) -> None:
    for name, limit in (("a", 600), ("b", 1000)):
        make_run(tmp_path / name, 180, f"dataset.limit={limit}")
    run = Run(make_run(tmp_path / "c", 300, "dataset.split_seed=1", "dataset.limit=1000"))
    content = read_json(run.summary)
    files.write_json(run.summary, content | {"dataset": content["dataset"] | {"sha256": "c"}})
    assert [one.title for one in compare_each(read_rows([tmp_path]))] == ["dataset.split_seed=0", "dataset.split_seed=1"]


def test_other_images_with_the_same_settings_are_numbered(tmp_path: Path) -> None:
    make_two_sets(tmp_path, "seed=2")
    sweep = written(tmp_path)
    with sweep.leaderboard.with_suffix(".csv").open() as file:
        assert [(row["images"], row["rank"]) for row in csv.DictReader(file)] == [("1", "1"), ("1", "2"), ("2", "1")]


def test_at_most_ten_leaderboards_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(12):
        run = Run(make_run(tmp_path / f"{number}", 100 + number, f"dataset.split_seed={number}"))
        content = read_json(run.summary)
        files.write_json(run.summary, content | {"dataset": content["dataset"] | {"split_sha256": f"{number}"}})
    rows = read_rows([tmp_path])
    results._print_jobs(Sweep(tmp_path), rows, compare_each(rows), Counts(12, 12, 0, 0, 0))
    printed = capsys.readouterr().out
    assert printed.count("dataset.split_seed=") == 10
    assert "all 12 leaderboards, one for each set of images: " in printed
