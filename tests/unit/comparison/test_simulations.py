"""A short form of `make statistics`: false alarms and coverage of whole comparisons, and the command gives the same."""

import json
from pathlib import Path

import numpy as np
import pytest

from mnist_exp import cli
from mnist_exp.comparison import export
from mnist_exp.comparison.ranking import compare
from mnist_exp.comparison.rows import read_rows
from mnist_exp.machine import files
from mnist_exp.run.run import Run
from tests.benchmarks.statistics import (
    QUESTIONS,
    Cell,
    Resampled,
    beta_binomial,
    make_template,
    simulate,
    to_rows,
    upper_bound,
)

TABLES = 60


@pytest.mark.parametrize(
    "cell",
    [Cell(2, 2, 0.003, 1_000), Cell(2, 5, 0.05, 1_000), Cell(5, 3, 0.01, 1_000), Cell(12, 2, 0.01, 1_000)],
    ids=lambda cell: f"{cell.configurations} configurations, {cell.seeds} seeds, {cell.images} images",
)
def test_false_alarms_and_coverage(cell: Cell) -> None:
    result = simulate(cell, TABLES, beta_binomial, make_template())
    for key, n in result.intervals.items():
        assert result.alarms[key] / TABLES <= upper_bound(TABLES)
        assert result.covering[key] / n >= 0.94 - 2 * np.sqrt(0.05 / TABLES)


def test_a_difference_is_found() -> None:
    result = simulate(Cell(2, 5, 0.01, 10_000, effect=1.0), 10, beta_binomial, make_template())
    assert result.found["new images", "best"] == result.found["these images", "baseline"] == 10
    assert not sum(result.alarms.values())


def test_seeds_and_images_of_runs_are_drawn_with_replacement() -> None:
    wrong = np.zeros((3, 100), bool)
    wrong[1, :50] = wrong[2] = True
    drawn, validation = Resampled(wrong, np.array([0, 5, 10]))(Cell(2, 4, 0, 1_000), "new images", np.random.default_rng(0))
    assert drawn.shape == (2, 4, 1_000)
    for errors, share in zip(validation.ravel(), drawn.mean(2).ravel(), strict=True):
        assert share == pytest.approx(errors / 10, abs=0.05)


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_command_gives_what_is_simulated(question: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cell = Cell(3, 2, 0.05, 1_000, effect=4.0)
    wrong, validation = beta_binomial(cell, "new images", np.random.default_rng(3))
    rows = to_rows(wrong, validation, cell.images, make_template())
    for row in rows:
        (tmp_path / row.name).mkdir()
        files.write_json(Run(tmp_path / row.name).summary, row.summary.model_dump(mode="json"))
    assert cli.main(["compare", str(tmp_path), "--on", question.replace(" ", "-"), "--format", "json"]) == 0
    printed = json.loads(capfd.readouterr().out)
    expected = export.to_json(compare(read_rows([tmp_path]), question=question))  # type: ignore[arg-type]
    simulated = export.to_json(compare(rows, question=question))  # type: ignore[arg-type]
    assert printed == json.loads(json.dumps(expected))
    assert printed["question"] == question
    for configuration in simulated["configurations"]:  # where a file does not have all settings, they are added
        configuration["config_hash"] = None
    assert printed["configurations"] != (configurations := json.loads(json.dumps(simulated["configurations"])))
    assert [one | {"config_hash": None} for one in printed["configurations"]] == configurations
