"""Which differences are called real: by which test, in which words, and when nothing can be said."""

from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from mnist_exp.comparison.fields import METRICS
from mnist_exp.comparison.ranking import Comparison, Line, compare
from mnist_exp.comparison.rows import read_rows
from mnist_exp.comparison.significance import Significance, format_p_value
from mnist_exp.run.names import Run
from tests.unit.run_directories import make_run, write_predictions


def board(place: Path, **options: object) -> Comparison:
    return compare(read_rows([place]), **options)  # type: ignore[arg-type]


def verdict(line: Line) -> Significance:
    assert line.significance is not None
    return line.significance


def seeds(place: Path, name: str, errors: list[int], *overrides: str, validation: int | None = None, first: int = 0) -> None:
    for seed, wrong in enumerate(errors, first):
        make_run(place / f"{name}{seed}", wrong, f"seed={seed}", *overrides, validation_errors=validation)


def test_the_reference_has_no_verdict_and_one_group_no_comparison(tmp_path: Path) -> None:
    seeds(tmp_path, "a", [100, 110])
    (line,) = board(tmp_path).lines
    assert line.significance is None


def test_the_same_seeds_are_paired(tmp_path: Path) -> None:
    seeds(tmp_path, "a", [100, 120, 140])
    seeds(tmp_path, "b", [151, 170, 190], "model=cnn_large")
    found = verdict(board(tmp_path).lines[1])
    expected = scipy.stats.ttest_rel([1.51, 1.7, 1.9], [1.0, 1.2, 1.4])
    assert found.test == "paired t"
    assert found.p == pytest.approx(expected.pvalue)
    assert found.p_corrected == found.p  # there is one comparison
    assert found.significant
    assert found.text == "worse by 0.50 (0.49 – 0.52), p < 0.0001"


def test_other_seeds_are_independent(tmp_path: Path) -> None:
    seeds(tmp_path, "a", [100, 120, 140])
    seeds(tmp_path, "b", [151, 170, 190], "model=cnn_large", first=1)
    found = verdict(board(tmp_path).lines[1])
    expected = scipy.stats.ttest_ind([1.51, 1.7, 1.9], [1.0, 1.2, 1.4], equal_var=False)
    assert (found.test, found.p) == ("Welch", pytest.approx(expected.pvalue))


def test_pairs_are_of_the_same_seed_in_whatever_order_the_runs_are(tmp_path: Path) -> None:
    for name, seed, wrong in (("a1", 2, 140), ("a2", 0, 100), ("a3", 1, 120)):
        make_run(tmp_path / name, wrong, f"seed={seed}")
    seeds(tmp_path, "b", [151, 170, 190], "model=cnn_large")
    assert verdict(board(tmp_path).lines[1]).text == "worse by 0.50 (0.49 – 0.52), p < 0.0001"


def test_what_is_not_significant_says_so_and_how_many_seeds_would_tell(tmp_path: Path) -> None:
    seeds(tmp_path, "a", [100, 120, 140])
    seeds(tmp_path, "b", [141, 100, 130], "model=cnn_large")
    found = verdict(board(tmp_path).lines[1])
    assert not found.significant
    assert found.more_seeds is not None
    assert found.more_seeds > 10
    assert found.text == f"no significant difference, p = {found.p:.2g}; {found.more_seeds:,} more seeds would detect it"


def test_no_difference_is_told_by_no_number_of_seeds(tmp_path: Path) -> None:
    seeds(tmp_path, "a", [100, 120])
    seeds(tmp_path, "b", [120, 100], "model=cnn_large")
    assert (
        verdict(board(tmp_path).lines[1]).text == "no significant difference, p = 1; not even 10,000 seeds would detect it"
    )


@pytest.mark.parametrize("several", [1, 2, 5])
def test_one_seed_is_never_better_on_a_mean(tmp_path: Path, several: int) -> None:
    seeds(tmp_path, "a", [10])
    seeds(tmp_path, "b", [5000 + seed for seed in range(several)], "model=cnn_large")
    found = verdict(board(tmp_path).lines[1])
    assert (found.test, found.p, found.significant) == (None, None, False)
    if several > 1:
        assert found.text == "not tested: only one seed"
    else:
        assert found.text.startswith("not tested: ")  # there are no predictions
        assert "predictions.npz" in found.text


def test_two_single_runs_are_compared_image_by_image(tmp_path: Path) -> None:
    seeds(tmp_path, "a", [100])
    seeds(tmp_path, "b", [160], "model=cnn_large")
    write_predictions(tmp_path / "a0", range(100))
    write_predictions(tmp_path / "b0", range(40, 200))
    found = verdict(board(tmp_path).lines[1])
    assert found.test == "McNemar"
    assert found.p == pytest.approx(scipy.stats.binomtest(40, 140, 0.5).pvalue)
    assert found.difference == pytest.approx(0.6)
    assert found.text.startswith("worse by 0.60 (0.")
    assert verdict(board(tmp_path, by=["run"]).lines[1]).p == found.p


def test_a_single_run_may_be_better_than_a_baseline(tmp_path: Path) -> None:
    seeds(tmp_path, "a", [100])
    seeds(tmp_path, "b", [160], "model=cnn_large")
    write_predictions(tmp_path / "a0", range(100))
    write_predictions(tmp_path / "b0", range(160))
    rows = read_rows([tmp_path])
    found = compare(rows, baseline=rows[1])
    assert verdict(found.lines[0]).text.startswith("better by 0.60 (0.4")
    assert found.lines[1].significance is None
    assert found.has_baseline


def test_predictions_that_cannot_be_read_or_are_of_other_images_are_told(tmp_path: Path) -> None:
    seeds(tmp_path, "a", [100])
    seeds(tmp_path, "b", [160], "model=cnn_large")
    write_predictions(tmp_path / "a0", range(100))
    Run(tmp_path / "b0").predictions.write_bytes(b"PK\x03\x04 damaged")
    assert "predictions.npz: is damaged" in verdict(board(tmp_path).lines[1]).text
    arrays = {"probabilities": np.eye(10, dtype=np.float32), "labels": np.arange(10, dtype=np.uint8)}
    np.savez(Run(tmp_path / "b0").predictions, **arrays)  # type: ignore[arg-type]
    assert verdict(board(tmp_path).lines[1]).text == "not tested: predictions for different images"


def test_a_family_is_corrected_and_only_what_is_told_belongs_to_it(tmp_path: Path) -> None:
    seeds(tmp_path, "a", [100, 110, 120])
    for index in range(4):
        seeds(tmp_path, f"b{index}_", [130 + index, 139, 153], f"optimizer.learning_rate=0.0{index + 2}")
    found = board(tmp_path)
    raw = [verdict(line).p for line in found.lines[1:]]
    smallest = min(range(4), key=lambda index: raw[index] or 0)
    assert verdict(found.lines[1 + smallest]).p_corrected == pytest.approx(4 * (raw[smallest] or 0))
    assert all(verdict(line).p_corrected >= (verdict(line).p or 0) for line in found.lines[1:])  # type: ignore[operator]
    two = board(tmp_path, top=2)
    assert verdict(two.lines[1]).p_corrected == verdict(two.lines[1]).p


def test_the_best_by_validation_is_tested_by_the_test_images(tmp_path: Path) -> None:
    seeds(tmp_path, "a", [200, 210, 220], validation=90)
    seeds(tmp_path, "b", [100, 109, 119], "model=cnn_large", validation=100)
    found = board(tmp_path)
    assert found.metric.key == "validation.error_percent"
    assert verdict(found.lines[1]).metric.key == "test.error_percent"
    assert verdict(found.lines[1]).text.startswith("better by 1.01")


def test_any_number_can_be_tested_over_seeds_but_not_between_single_runs(tmp_path: Path) -> None:
    seeds(tmp_path, "a", [100, 110])
    seeds(tmp_path, "b", [150, 160], "model=cnn_large")
    found = verdict(board(tmp_path, metric=METRICS["images_per_second"]).lines[1])
    assert (found.metric.key, found.p) == ("images_per_second", 1.0)
    single = board(tmp_path, metric=METRICS["test.loss"], by=["run"])
    assert {verdict(line).text for line in single.lines[1:]} == {"not tested: only one seed"}


@pytest.mark.parametrize(
    ("p", "told"),
    [(0.0312, "= 0.031"), (1.0, "= 1"), (0.00002, "< 0.0001"), (0.04999, "= 0.04999"), (0.0503, "= 0.0503")],
)
def test_p_values_for_people(p: float, told: str) -> None:
    assert format_p_value(p) == told
