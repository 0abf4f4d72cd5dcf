"""Significance tests: which test is used, the text of the result, and when there is no test."""

from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from mnist_exp.comparison import corrections, statistics
from mnist_exp.comparison.fields import METRICS
from mnist_exp.comparison.ranking import Line, compare
from mnist_exp.comparison.rows import read_rows
from mnist_exp.comparison.significance import Significance, format_p_value
from mnist_exp.comparison.statistics import LEVEL, Difference
from mnist_exp.runs.run import Run
from tests.unit.run_directories import compare_directory, make_run, set_wrong_images, write_predictions


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


def test_on_these_images_groups_with_the_same_seeds_are_paired(tmp_path: Path) -> None:
    for name, seed, wrong in (("a1", 2, 140), ("a2", 0, 100), ("a3", 1, 120)):  # in any order
        set_wrong_images(make_run(tmp_path / name, wrong, f"seed={seed}"), None)
    make_runs(tmp_path, "b", [151, 170, 190], "model=cnn_large")
    found = compare_directory(tmp_path, question="these images").lines[1]
    expected = scipy.stats.ttest_rel([1.51, 1.7, 1.9], [1.0, 1.2, 1.4])
    assert difference(found).test == "paired t"
    assert difference(found).p == pytest.approx(expected.pvalue)
    assert significance(found).p_corrected == difference(found).p  # one comparison
    assert significance(found).significant
    assert significance(found).text == "worse by 0.50 (0.49 – 0.52), p < 0.0001"
    assert significance(compare_directory(tmp_path).lines[1]).text.startswith("not tested: ")  # predictions are missing


def test_on_these_images_groups_with_different_seeds_are_independent(tmp_path: Path) -> None:
    for seed, wrong in enumerate([100, 120, 140]):
        set_wrong_images(make_run(tmp_path / f"a{seed}", wrong, f"seed={seed}"), None)
    make_runs(tmp_path, "b", [151, 170, 190], "model=cnn_large", first=1)
    found = difference(compare_directory(tmp_path, question="these images").lines[1])
    expected = scipy.stats.ttest_ind([1.51, 1.7, 1.9], [1.0, 1.2, 1.4], equal_var=False)
    assert (found.test, found.p) == ("Welch", pytest.approx(expected.pvalue))


def test_equal_seeds_give_no_verdict_on_these_images_and_one_by_the_images_on_new_ones(tmp_path: Path) -> None:
    make_runs(tmp_path, "a", [100, 110])
    make_runs(tmp_path, "b", [150, 160], "model=cnn_large")
    on_these = significance(compare_directory(tmp_path, question="these images").lines[1])
    assert on_these.text == "not tested: the seeds do not differ; the spread is unknown"
    for index in range(2):  # other images, as many only of a as only of b
        set_wrong_images(tmp_path / f"b{index}", range(60, 210 + 10 * index))
    found = difference(compare_directory(tmp_path).lines[1])
    assert found.test == "seeds and images, paired"
    assert found.p > statistics.mcnemar(60, 110, 10_000).p > 0
    assert found.interval[0] < 0.5 < found.interval[1]


def test_a_difference_that_is_not_significant_is_undecided_with_a_plan(tmp_path: Path) -> None:
    make_runs(tmp_path, "a", [100, 120, 140])
    make_runs(tmp_path, "b", [141, 100, 130], "model=cnn_large")
    found = significance(compare_directory(tmp_path).lines[1])
    assert (found.significant, found.verdict) == (False, "undecided")
    assert found.plan is not None
    assert found.plan.group is not None
    seeds = f"about {found.plan.group} more seeds of each for 80 % power, if the difference seen is real"
    assert found.text == f"undecided, p {format_p_value(found.p_corrected or 0)}; {seeds}"


def test_no_difference_has_no_plan(tmp_path: Path) -> None:
    make_runs(tmp_path, "a", [100, 120])
    make_runs(tmp_path, "b", [120, 100], "model=cnn_large")
    assert significance(compare_directory(tmp_path).lines[1]).text == "undecided, p = 1"


def test_equivalence_is_two_one_sided_tests(tmp_path: Path) -> None:
    make_runs(tmp_path, "a", [100, 101, 102])
    make_runs(tmp_path, "b", [102, 101, 100], "model=cnn_large")
    far, near = (significance(compare_directory(tmp_path, equivalence=limit).lines[1]) for limit in (0.5, 0.005))
    assert (far.verdict, far.text) == ("equal", "equal within 0.5, p = 1")
    assert near.verdict == "undecided"
    low, high = difference(compare_directory(tmp_path).lines[1]).bounds(0.1)
    for limit in (0.999 * max(-low, high), 1.001 * max(-low, high)):
        found = significance(compare_directory(tmp_path, equivalence=limit).lines[1])
        assert (found.verdict == "equal") == (limit > max(-low, high))


@pytest.mark.parametrize("several", [1, 2, 5])
def test_groups_with_one_seed_are_not_tested(tmp_path: Path, several: int) -> None:
    make_runs(tmp_path, "a", [10])
    make_runs(tmp_path, "b", [5000 + seed for seed in range(several)], "model=cnn_large")
    set_wrong_images(tmp_path / "a0", None)
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
    set_wrong_images(tmp_path / "b0", None)
    Run(tmp_path / "b0").predictions.write_bytes(b"PK\x03\x04 damaged")
    assert "predictions.npz: is damaged" in significance(compare_directory(tmp_path).lines[1]).text
    write_predictions(tmp_path / "b0", range(100, 260))
    set_wrong_images(tmp_path / "b0", None)
    assert difference(compare_directory(tmp_path).lines[1]).p == pytest.approx(scipy.stats.binomtest(100, 260, 0.5).pvalue)
    arrays = {"probabilities": np.eye(10, dtype=np.float32), "labels": np.arange(10, dtype=np.uint8)}
    np.savez(Run(tmp_path / "b0").predictions, **arrays)  # type: ignore[arg-type]
    assert (
        "0 of 10 predictions are wrong, but summary.json states 160"
        in significance(compare_directory(tmp_path).lines[1]).text
    )


def test_p_values_are_corrected_for_the_selected_groups_whatever_is_shown(tmp_path: Path) -> None:
    make_runs(tmp_path, "a", [100, 110, 120])
    for index in range(4):
        make_runs(tmp_path, f"b{index}_", [130 + index, 139, 153], f"optimizer.learning_rate=0.0{index + 2}")
    make_runs(tmp_path, "c", [200], "model=cnn_large")  # a group that cannot be tested is in no pair
    found = compare_directory(tmp_path)
    assert found.tests is not None
    assert (found.tests.comparisons, found.tests.correction, found.tests.question) == (10, "Tukey", "new images")
    for line in found.lines[1:5]:
        z = scipy.stats.norm.isf(difference(line).p / 2)
        expected = scipy.stats.studentized_range.sf(np.sqrt(2) * z, 5, np.inf)
        assert significance(line).p_corrected == pytest.approx(expected, rel=1e-3)
        critical = scipy.stats.studentized_range.isf(LEVEL, 5, np.inf) / np.sqrt(2)
        assert difference(line).level == pytest.approx(2 * scipy.stats.norm.sf(critical), rel=1e-3)
    verdicts = {line.group.rows[0].name: significance(line).text for line in found.lines[1:]}
    for options in ({"top": 3}, {"sort": ["-test.error_percent"]}, {"sort": ["-test.error_percent"], "top": 2}):
        for line in compare_directory(tmp_path, **options).lines:
            assert line.significance is None or line.significance.text == verdicts[line.group.rows[0].name]


def test_a_baseline_was_fixed_beforehand(tmp_path: Path) -> None:
    make_runs(tmp_path, "a", [100, 110, 120])
    for index in range(3):
        make_runs(tmp_path, f"b{index}_", [130 + index, 139, 153], f"optimizer.learning_rate=0.0{index + 2}")
    rows = read_rows([tmp_path])
    found = compare(rows, baseline=rows[0])
    assert found.tests is not None
    assert (found.tests.comparisons, found.tests.correction) == (3, "Holm")
    raw = [difference(line).p for line in found.lines[1:]]
    assert [significance(line).p_corrected for line in found.lines[1:]] == [p for p, _ in corrections.holm(raw)]


def test_a_ranking_by_validation_error_is_tested_on_the_test_error(tmp_path: Path) -> None:
    make_runs(tmp_path, "a", [200, 210, 220], validation=90)
    make_runs(tmp_path, "b", [100, 109, 119], "model=cnn_large", validation=100)
    found = compare_directory(tmp_path)
    assert found.metric.key == "validation.error_percent"
    assert significance(found.lines[1]).metric.key == "test.error_percent"
    assert difference(found.lines[1]).value == pytest.approx(-1.0067, abs=1e-4)


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
