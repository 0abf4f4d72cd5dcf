"""Significance tests: which test is used, the text of the result, and when there is no test."""

from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from mnist_exp.comparison.fields import METRICS, TEST
from mnist_exp.comparison.ranking import Line, compare
from mnist_exp.comparison.rows import read_rows
from mnist_exp.comparison.significance import Significance, format_p_value
from mnist_exp.comparison.statistics import Difference
from mnist_exp.run.run import Run
from tests.unit.run_directories import compare_directory, make_run, write_predictions


def significance(line: Line) -> Significance:
    assert line.significance is not None
    return line.significance


def difference(line: Line) -> Difference:
    """The result of the test of a line."""
    result = significance(line).result
    assert isinstance(result, Difference)
    return result


def make_runs(
    directory: Path, name: str, errors: list[int], *overrides: str, validation: int | None = None, first: int = 0
) -> None:
    """Create a run for each seed, the first seed being `first`."""
    for seed, wrong in enumerate(errors, first):
        make_run(directory / f"{name}{seed}", wrong, f"seed={seed}", *overrides, validation_errors=validation)


def test_the_reference_is_not_tested(tmp_path: Path) -> None:
    make_runs(tmp_path, "a", [100, 110])
    (line,) = compare_directory(tmp_path).lines
    assert line.significance is None


def test_groups_with_the_same_seeds_are_paired(tmp_path: Path) -> None:
    for name, seed, wrong in (("a1", 2, 140), ("a2", 0, 100), ("a3", 1, 120)):  # in any order
        make_run(tmp_path / name, wrong, f"seed={seed}")
    make_runs(tmp_path, "b", [151, 170, 190], "model=cnn_large")
    found = significance(compare_directory(tmp_path).lines[1])
    expected = scipy.stats.ttest_rel([1.51, 1.7, 1.9], [1.0, 1.2, 1.4])
    assert found.result.test == "paired t"
    assert found.result.p == pytest.approx(expected.pvalue)
    assert found.p_corrected == found.result.p  # one comparison
    assert found.significant
    assert found.text == "worse by 0.50 (0.49 – 0.52), p < 0.0001"


def test_groups_with_different_seeds_are_independent(tmp_path: Path) -> None:
    make_runs(tmp_path, "a", [100, 120, 140])
    make_runs(tmp_path, "b", [151, 170, 190], "model=cnn_large", first=1)
    found = significance(compare_directory(tmp_path).lines[1])
    expected = scipy.stats.ttest_ind([1.51, 1.7, 1.9], [1.0, 1.2, 1.4], equal_var=False)
    assert (found.result.test, found.result.p) == ("Welch", pytest.approx(expected.pvalue))


def test_seeds_needed_for_a_difference_that_is_not_significant(tmp_path: Path) -> None:
    make_runs(tmp_path, "a", [100, 120, 140])
    make_runs(tmp_path, "b", [141, 100, 130], "model=cnn_large")
    found = significance(compare_directory(tmp_path).lines[1])
    assert not found.significant
    assert found.more_seeds is not None
    assert found.more_seeds > 10
    assert (
        found.text == f"no significant difference, p = {found.result.p:.2g}; {found.more_seeds:,} more seeds would detect it"
    )


def test_no_number_of_seeds_detects_a_zero_difference(tmp_path: Path) -> None:
    make_runs(tmp_path, "a", [100, 120])
    make_runs(tmp_path, "b", [120, 100], "model=cnn_large")
    assert (
        significance(compare_directory(tmp_path).lines[1]).text
        == "no significant difference, p = 1; not even 10,000 seeds would detect it"
    )


@pytest.mark.parametrize("several", [1, 2, 5])
def test_groups_with_one_seed_are_not_tested(tmp_path: Path, several: int) -> None:
    make_runs(tmp_path, "a", [10])
    make_runs(tmp_path, "b", [5000 + seed for seed in range(several)], "model=cnn_large")
    found = significance(compare_directory(tmp_path).lines[1])
    assert (found.p_corrected, found.significant) == (None, False)
    if several > 1:
        assert found.text == "not tested: only one seed"
    else:
        assert found.text.startswith("not tested: ")  # there are no predictions
        assert "predictions.npz" in found.text


def test_single_runs_are_tested_by_their_predictions(tmp_path: Path) -> None:
    make_runs(tmp_path, "a", [100])
    make_runs(tmp_path, "b", [160], "model=cnn_large")
    write_predictions(tmp_path / "a0", range(100))
    write_predictions(tmp_path / "b0", range(40, 200))
    found = significance(compare_directory(tmp_path).lines[1])
    assert found.result.test == "McNemar"
    assert found.result.p == pytest.approx(scipy.stats.binomtest(40, 140, 0.5).pvalue)
    assert found.result.value == pytest.approx(0.6)
    assert found.text.startswith("worse by 0.60 (0.")
    assert difference(compare_directory(tmp_path, by=["run"]).lines[1]).p == found.result.p


def test_a_single_run_can_be_better_than_the_baseline(tmp_path: Path) -> None:
    make_runs(tmp_path, "a", [100])
    make_runs(tmp_path, "b", [160], "model=cnn_large")
    write_predictions(tmp_path / "a0", range(100))
    write_predictions(tmp_path / "b0", range(160))
    rows = read_rows([tmp_path])
    found = compare(rows, baseline=rows[1])
    assert significance(found.lines[0]).text.startswith("better by 0.60 (0.4")
    assert found.lines[1].significance is None
    assert found.reference_name == "baseline"


def test_damaged_predictions_or_different_images_are_not_tested(tmp_path: Path) -> None:
    make_runs(tmp_path, "a", [100])
    make_runs(tmp_path, "b", [160], "model=cnn_large")
    write_predictions(tmp_path / "a0", range(100))
    Run(tmp_path / "b0").predictions.write_bytes(b"PK\x03\x04 damaged")
    assert "predictions.npz: is damaged" in significance(compare_directory(tmp_path).lines[1]).text
    arrays = {"probabilities": np.eye(10, dtype=np.float32), "labels": np.arange(10, dtype=np.uint8)}
    np.savez(Run(tmp_path / "b0").predictions, **arrays)  # type: ignore[arg-type]
    assert significance(compare_directory(tmp_path).lines[1]).text == "not tested: predictions for different images"


def test_p_values_are_corrected_for_the_shown_groups(tmp_path: Path) -> None:
    make_runs(tmp_path, "a", [100, 110, 120])
    for index in range(4):
        make_runs(tmp_path, f"b{index}_", [130 + index, 139, 153], f"optimizer.learning_rate=0.0{index + 2}")
    found = compare_directory(tmp_path)
    raw = [difference(line).p for line in found.lines[1:]]
    smallest = min(range(4), key=raw.__getitem__)
    assert significance(found.lines[1 + smallest]).p_corrected == pytest.approx(4 * raw[smallest])
    assert all((significance(line).p_corrected or 0) >= difference(line).p for line in found.lines[1:])
    two = compare_directory(tmp_path, top=2)
    assert significance(two.lines[1]).p_corrected == difference(two.lines[1]).p


def test_a_ranking_by_validation_error_is_tested_on_the_test_error(tmp_path: Path) -> None:
    make_runs(tmp_path, "a", [200, 210, 220], validation=90)
    make_runs(tmp_path, "b", [100, 109, 119], "model=cnn_large", validation=100)
    found = compare_directory(tmp_path)
    assert found.metric.key == "validation.error_percent"
    assert significance(found.lines[1]).metric.key == "test.error_percent"
    assert significance(found.lines[1]).text.startswith("better by 1.01")


def test_other_metrics_are_tested_between_groups_but_not_between_single_runs(tmp_path: Path) -> None:
    make_runs(tmp_path, "a", [100, 110])
    make_runs(tmp_path, "b", [150, 160], "model=cnn_large")
    found = significance(compare_directory(tmp_path, metric=METRICS["images_per_second"]).lines[1])
    assert (found.metric.key, found.text) == (
        "images_per_second",
        "not tested: the seeds do not differ; the spread is unknown",
    )
    single = compare_directory(tmp_path, metric=METRICS["test.loss"], by=["run"])
    assert {significance(line).text for line in single.lines[1:]} == {"not tested: only one seed"}


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0312, "= 0.031"), (1.0, "= 1"), (0.00002, "< 0.0001"), (0.04999, "= 0.04999"), (0.0503, "= 0.0503")],
)
def test_format_p_value(p: float, text: str) -> None:
    assert format_p_value(p) == text


def test_one_more_seed_is_singular() -> None:
    found = Significance(METRICS[TEST], Difference("paired t", 0.5, (-1.0, 2.0), 0.2, 3), 0.2, 1)
    assert found.text == "no significant difference, p = 0.2; 1 more seed would detect it"
