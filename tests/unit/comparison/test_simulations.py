"""A short form of `make statistics`: false alarms and coverage of whole comparisons, and the command gives the same."""

import base64
import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from mnist_exp import cli
from mnist_exp.comparison.statistics import Difference
from mnist_exp.runs.evaluation import error_rate
from mnist_exp.runs.run import Run
from tests.benchmarks.simulated_runs import (
    QUESTIONS,
    VALIDATION_IMAGES,
    Cell,
    Resampled,
    beta_binomial,
    compare_groups,
    to_groups,
)
from tests.benchmarks.statistics import Result, exceeding, power_rows, rows_of, run, simulate, upper_bound
from tests.unit.run_directories import make_run

TABLES = 60


@pytest.mark.parametrize(
    "cell",
    [Cell(2, 2, 0.003, 1_000), Cell(2, 5, 0.05, 1_000), Cell(5, 3, 0.01, 1_000), Cell(12, 2, 0.01, 1_000)],
    ids=lambda cell: f"{cell.configurations} configurations, {cell.seeds} seeds, {cell.images} images",
)
def test_false_alarms_and_coverage(cell: Cell) -> None:
    result = simulate(cell, TABLES, beta_binomial)
    for key, n in result.intervals.items():
        assert result.alarms[key] / TABLES <= upper_bound(TABLES)
        assert result.covering[key] / n >= 0.94 - 2 * np.sqrt(0.05 / TABLES)


def test_a_difference_is_found() -> None:
    result = simulate(Cell(2, 5, 0.01, 10_000, effect=1.0), 10, beta_binomial)
    assert result.found["new images, best"] == result.found["these images, baseline"] == 10
    assert result.coverage >= 0.8  # of new images: the difference on these very images is another one
    assert not sum(result.alarms.values())


def test_a_cell_in_the_file_of_results_is_not_run_again(tmp_path: Path) -> None:
    path, cells = tmp_path / "results.jsonl", [Cell(2, 2, 0.05, 1_000), Cell(3, 2, 0.05, 1_000)]
    first = run(cells[:1], 5, beta_binomial, 1, path, "beta-binomial")
    again = run(cells, 6, beta_binomial, 1, path, "beta-binomial")
    assert [result.tables for result in again.values()] == [5, 6]
    assert again[cells[0]] == first[cells[0]]
    assert len(path.read_text().splitlines()) == 2


def test_the_tables_show_the_worst_cell_and_name_each_that_exceeds_its_bound() -> None:
    keys = ("new images, best", "new images, baseline", "these images, best", "these images, baseline")
    cells = [Cell(2, 3, error, 1_000) for error in (0.003, 0.01)] + [Cell(5, 3, 0.01, 1_000)]
    results = {
        cell: Result(1000, dict.fromkeys(keys, alarms), {}, dict.fromkeys(keys, 1000), dict.fromkeys(keys, 1000 - alarms))
        for cell, alarms in zip(cells, (70, 50, 10), strict=True)
    }
    lines = list(rows_of(results))
    assert lines[2:4] == ["| 2 | 3 | 7.0 | 7.0 | 7.0 | 7.0 | 93.0 |", "| 5 | 3 | 1.0 | 1.0 | 1.0 | 1.0 | 99.0 |"]
    assert len(list(exceeding(results))) == 5
    assert "2 configurations, 3 seeds, 0.3 % of 1,000 images, new images, best: 7.0 %" in lines[-1]
    cell = Cell(5, 3, 0.01, 10_000, 0.3)
    power = Result(100, {}, {"new images, best": 30, "new images, baseline": 40}, deviation=0.1)
    assert list(power_rows({cell: power}))[2:] == ["| 5 | 3 | 1 | 10,000 | 30, 40, 69 |"]


def test_seeds_and_images_of_runs_are_drawn_with_replacement() -> None:
    wrong = np.zeros((3, 100), bool)
    wrong[1, :50] = wrong[2] = True
    drawn, validation = Resampled(wrong, np.array([0, 5, 10]))(Cell(2, 4, 0, 1_000), "new images", np.random.default_rng(0))
    assert drawn.shape == (2, 4, 1_000)
    for errors, share in zip(validation.ravel(), drawn.mean(2).ravel(), strict=True):
        assert share == pytest.approx(errors / 10, abs=0.05)
    many = np.random.default_rng(1).random((24, 50)) < 0.5
    _, numbers = Resampled(many, np.arange(24))(Cell(50, 4, 0, 10), "new images", np.random.default_rng(0))
    assert all(len(set(one)) == 4 for one in numbers)  # no seed of a configuration is drawn twice
    assert len({tuple(sorted(one)) for one in numbers}) > 20


def write_runs(place: Path, wrong: np.ndarray, validation: np.ndarray) -> None:
    """Create the runs of a simulated table, named by configuration and seed."""
    packed, errors = np.packbits(wrong, axis=-1), wrong.sum(-1)
    for configuration, seed in np.ndindex(*errors.shape):
        rate = f"optimizer.learning_rate={1e-6 * (configuration + 1):g}"
        directory = make_run(
            place / f"{configuration}_{seed}",
            int(errors[configuration, seed]),
            f"seed={seed}",
            rate,
            validation_errors=int(validation[configuration, seed]),
        )
        path = Run(directory).summary
        summary = json.loads(path.read_text())
        summary["test"] |= error_rate(int(errors[configuration, seed]), wrong.shape[2])
        summary["validation"] |= error_rate(int(validation[configuration, seed]), VALIDATION_IMAGES)
        summary["wrong_images"] = base64.b64encode(packed[configuration, seed].tobytes()).decode()
        path.write_text(json.dumps(summary))


def test_the_command_gives_what_is_simulated(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cell = Cell(3, 4, 0.05, 1_000, effect=8.0)
    drawn, validation = beta_binomial(cell, "new images", np.random.default_rng(3))
    wrong = np.zeros((3, 4, cell.images), bool)
    wrong[..., : drawn.shape[2]] = drawn
    write_runs(tmp_path, wrong, validation)
    groups = to_groups(drawn, validation, cell.images)
    verdicts = set()
    for question, reference in product(QUESTIONS, ("best", "baseline")):
        options = ["--on", question.replace(" ", "-")]
        options += ["--baseline", str(tmp_path / "0_0")] if reference == "baseline" else []
        assert cli.main(["compare", str(tmp_path), "--format", "json", *options]) == 0
        printed = json.loads(capfd.readouterr().out)
        tests, best = compare_groups(groups, question, reference)
        assert (printed["question"], printed["against"]["run"]) == (question, f"{best}_0")
        assert printed["correction"] == {"name": tests.correction, "comparisons": tests.comparisons}
        for line in printed["configurations"]:
            simulated = tests.results[int(line["runs"][0][0])]
            if simulated is None or line["significance"] is None:
                assert simulated is line["significance"] is None
                continue
            difference = simulated.result
            assert isinstance(difference, Difference)
            found = line["significance"]
            assert (found["p"], found["p_corrected"]) == (difference.p, simulated.p_corrected)
            assert (found["interval"], found["level"]) == (list(difference.interval), difference.level)
            assert (found["verdict"], found["words"]) == (simulated.verdict, simulated.text)
            verdicts.add(simulated.verdict)
    assert verdicts == {"worse", "undecided"}
