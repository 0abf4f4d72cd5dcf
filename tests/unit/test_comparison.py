"""Runs side by side: best first, only what differs, nothing that crashes."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import yaml

from mnist_exp import comparison, evaluation, files, runs, terminal
from mnist_exp.comparison import tables
from mnist_exp.config.identity import config_hash
from mnist_exp.config.schema import Experiment
from mnist_exp.runs import Run
from tests.conftest import compose


def finished(directory: Path, errors: int, *overrides: str, validation_errors: int | None = None) -> Path:
    """A run directory as a completed run leaves it, as far as comparison reads it."""
    experiment = compose(*overrides)
    directory.mkdir(parents=True)
    run = Run(directory)
    run.config.write_text(yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False))
    complete(run, errors, validation_errors)
    return directory


def complete(run: Run, errors: int = 100, validation_errors: int | None = None) -> None:
    """What a run writes when it has completed."""
    experiment = Experiment.model_validate(runs.read_config(run))
    runs.write_status(run, "completed", 0)

    def score(wrong: int) -> dict[str, Any]:
        return evaluation.error_rate(wrong, 10_000) | {"loss": 0.1}

    summary = {
        "schema": 1,
        "name": experiment.name,
        "status": "completed",
        "seed": experiment.seed,
        "config_hash": config_hash(experiment),
        "dataset": {"name": "mnist", "sha256": "a", "train": 1, "validation": 0, "test": 10_000},
        "model": {"name": experiment.model.name, "parameters": 1000},
        "test": score(errors),
        "validation": None if validation_errors is None else score(validation_errors),
        "epochs": 10,
        "best_epoch": None,
        "train_seconds": 20.0,
        "wall_seconds": 30.0,
        "images_per_second": 1000.0,
    }
    files.write_json(run.summary, summary)


def rendered(capsys: pytest.CaptureFixture[str], sheet: tables.Sheet) -> str:
    tables.show(sheet)
    return capsys.readouterr().out


def names(rows: list[comparison.Row]) -> list[str]:
    return [row.name for row in rows]


def test_best_first_and_the_unfinished_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished(tmp_path / "a", 180)
    finished(tmp_path / "b", 90, "model=cnn_large")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "summary.json").write_text("{")
    rows = comparison.gather([tmp_path])
    assert names(rows) == ["b", "a", "broken", "foreign"]
    text = rendered(capsys, tables.of_runs(rows))
    assert "no run" in text
    assert "unreadable" in text
    assert "lowest test error first" in text


def test_validation_ranks_where_every_run_has_it(tmp_path: Path) -> None:
    finished(tmp_path / "a", 100, validation_errors=90)
    finished(tmp_path / "b", 90, validation_errors=100)
    assert names(comparison.gather([tmp_path])) == ["a", "b"]
    finished(tmp_path / "c", 95)
    assert names(comparison.gather([tmp_path])) == ["b", "c", "a"]


def test_a_job_is_named_with_its_sweep(tmp_path: Path) -> None:
    finished(tmp_path / "sweep" / "0_mlp", 100)
    assert names(comparison.gather([tmp_path])) == ["sweep/0_mlp"]
    assert (
        names(comparison.gather([tmp_path / "sweep"]))
        == names(comparison.gather([tmp_path / "sweep" / "0_mlp"]))
        == ["0_mlp"]
    )


def test_a_run_named_twice_appears_once(tmp_path: Path) -> None:
    finished(tmp_path / "a", 100)
    assert len(comparison.gather([tmp_path, tmp_path / "a"])) == 1


def test_only_settings_that_differ_are_columns(tmp_path: Path) -> None:
    finished(tmp_path / "a", 180, "seed=1")
    finished(tmp_path / "b", 170, "seed=2", "optimizer.learning_rate=1e-2", "name=other", "progress=quiet")
    finished(tmp_path / "c", 90, "seed=2", "model=cnn_large")
    rows = comparison.gather([tmp_path])
    # The two models have other units and dropouts, which `model.name` says already.
    assert comparison.differing(rows) == ["seed", "model.name", "optimizer.learning_rate"]
    finished(tmp_path / "d", 95, "seed=2", "model=cnn_large", "model.dropout=0.5")
    assert "model.dropout" in comparison.differing(comparison.gather([tmp_path]))


def test_one_run_differs_in_nothing(tmp_path: Path) -> None:
    finished(tmp_path / "a", 180)
    assert comparison.differing(comparison.gather([tmp_path])) == []


def test_groups_are_repetitions_by_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    errors = [180, 170, 190]
    for seed, wrong in enumerate(errors):
        finished(tmp_path / f"mlp{seed}", wrong, f"seed={seed}")
    finished(tmp_path / "cnn", 100, "model=cnn_large")
    earlier = finished(tmp_path / "z_earlier_run_of_seed_0", 500, "seed=0")
    for path in earlier.iterdir():
        os.utime(path, (0, 0))
    (tmp_path / "foreign").mkdir()
    groups = comparison.groups(comparison.gather([tmp_path]))
    assert [len(group.rows) for group in groups] == [1, 3]
    text = tables.markdown(tables.of_groups(groups))
    mean, deviation = np.mean(errors) / 100, np.std(errors, ddof=1) / 100
    half = scipy.stats.t.ppf(0.975, 2) * deviation / np.sqrt(3)
    assert (
        f"| mlp | 3 | {mean:.2f} ± {deviation:.2f} | {mean - half:.2f} – {mean + half:.2f} | 1.70 | mlp | 1,000 | 2.0 |"
        in text
    )
    assert "| cnn_large | 1 | 1.00 | – | 1.00 | cnn_large |" in text
    assert "mlp" in rendered(capsys, tables.of_groups(groups))


def test_markup_in_names_is_inert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished(tmp_path / "[red]a", 180)
    finished(tmp_path / "\x1b[31mred\x1b]0;title\x07", 170)
    directory = finished(tmp_path / "b", 190, "optimizer=sgd")
    config = yaml.safe_load((directory / "config.yaml").read_text())
    config["optimizer"]["name"] = "[bold]x"
    (directory / "config.yaml").write_text(yaml.safe_dump(config))
    text = rendered(capsys, tables.of_runs(comparison.gather([tmp_path])))
    assert "[red]a" in text
    assert "[bold]x" in text
    assert "\x1b" not in text
    assert "\x07" not in text


@pytest.mark.parametrize("width", [60, 80, 120, 1000])
def test_a_table_fits_its_terminal_or_says_what_it_leaves_out(
    tmp_path: Path, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(tmp_path / "2026-11-22T07-35-03_mlp_s7", 180, validation_errors=90)
    finished(tmp_path / "2026-11-22T07-35-03_cnn_large_s7", 90, "model=cnn_large", "training.epochs=3", validation_errors=80)
    (tmp_path / "foreign").mkdir()
    monkeypatch.setattr(terminal, "PIPE_WIDTH", width)
    monkeypatch.setenv("COLUMNS", "1")
    text = rendered(capsys, tables.of_runs(comparison.gather([tmp_path])))
    table = [line for line in text.splitlines() if line.startswith(("┃", "│"))]
    assert max(map(len, table)) <= width
    assert len(table) == 4  # a heading and three runs, none of them folded
    for needed in ("2026-11-22T07-35-03_cnn_large_s7", "0.90"):
        assert needed in text
    everything = {"parameters", "train s", "images/s", "validation error %", "model.name", "training.epochs", "status"}
    shown = {heading for heading in everything if heading in table[0]}
    told = {heading for heading in everything if heading in text.partition("too wide for this terminal: ")[2]}
    assert shown | told == everything
    assert not shown & told
    assert (width < 1000) == bool(told)


@pytest.mark.parametrize("content", ["a: [", "!!python/object/apply:os.system ['touch /tmp/owned']", "3", "\0"])
def test_a_damaged_or_hostile_config_is_only_left_out(tmp_path: Path, content: str) -> None:
    finished(tmp_path / "a", 180)
    (tmp_path / "a" / "config.yaml").write_text(content)
    rows = comparison.gather([tmp_path])
    assert rows[0].settings == {}
    assert rows[0].record.summary is not None
    assert not Path("/tmp/owned").exists()
