"""Planned looks: their levels, compared with simulated paths; their file; and the tests of a sweep that has them."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from mnist_exp.comparison import looks
from mnist_exp.comparison.looks import Looks, plan, read
from mnist_exp.comparison.ranking import Comparison
from mnist_exp.comparison.statistics import LEVEL, Difference
from mnist_exp.errors import IntegrityError
from tests.benchmarks import sequential
from tests.benchmarks.statistics import Cell, beta_binomial, upper_bound
from tests.unit.run_directories import compare_directory, make_run, set_wrong_images

PLANNED = Looks(sizes=(3, 5, 8, 12, 20))


def test_each_look_spends_its_part_of_the_level() -> None:
    generator, paths = np.random.default_rng(1), 400_000
    sums, stopped, before = np.zeros(paths), np.zeros(paths, bool), 0
    for look, size in enumerate(PLANNED.sizes, 1):
        sums += np.sqrt(size - before) * generator.standard_normal(paths)
        p = 2 * ndtr(-np.abs(sums) / np.sqrt(size))
        stopped |= p < PLANNED.level(look, 0.2)
        spent = 0.2 * (size / 20) ** 3
        assert stopped.mean() == pytest.approx(spent, abs=4 * np.sqrt(spent / paths))
        before = size


def test_later_looks_have_larger_levels_and_the_last_loses_least() -> None:
    levels = [PLANNED.level(look, LEVEL) for look in range(1, 6)]
    assert levels == sorted(levels)
    assert 0.045 < levels[-1] < LEVEL
    assert Looks(sizes=(20,)).level(1, LEVEL) == pytest.approx(LEVEL)


@given(st.floats(1e-290, 0.9), st.integers(1, 5))
def test_a_corrected_p_value_is_below_the_level_if_and_only_if_the_p_value_is_below_that_of_the_look(
    level: float, look: int
) -> None:
    threshold = PLANNED.level(look, level)
    assert PLANNED.corrected(look, threshold) == pytest.approx(level)
    assert PLANNED.corrected(look, threshold * 0.99) < level
    assert threshold <= PLANNED.corrected(look, threshold) <= 1


def test_p_values_beyond_the_table_are_allowed() -> None:
    assert 0 < PLANNED.corrected(1, 2.3e-308) < 1e-290
    assert PLANNED.corrected(5, 1.0) == pytest.approx(1)


@given(st.integers(1, 30), st.integers(3, 1000))
def test_looks_are_planned_from_the_first_to_the_last_number_of_seeds(first: int, max_seeds: int) -> None:
    sizes = plan(first, max_seeds).sizes
    assert sizes[0] == min(max(first, 3), max_seeds)
    assert sizes[-1] == max_seeds
    assert all(later / earlier <= 2 for earlier, later in itertools.pairwise(sizes))
    assert plan(3, 20) == PLANNED


def test_the_largest_group_says_which_look_it_is() -> None:
    assert [PLANNED.look(seeds) for seeds in (1, 3, 4, 5, 20, 50)] == [1, 1, 2, 2, 5, 5]


def test_the_file_is_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / looks.FILE
    assert read(path) is None
    path.write_text(PLANNED.model_dump_json(by_alias=True))
    assert '"schema":1' in path.read_text()
    assert read(path) == PLANNED


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"schema": 2, "sizes": [3]}', '{"schema": 1, "sizes": []}', '{"schema": 1, "sizes": [5, 3]}',
     '{"schema": 1, "sizes": [3, 3]}', '{"schema": 1, "sizes": [1]}', '{"schema": 1, "sizes": [3, 1e9]}', '{"sizes": "35"}',
     f'{{"schema": 1, "sizes": {[*range(2, 40)]}}}'],
)  # fmt: skip
def test_a_damaged_file_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / looks.FILE).write_text(content)
    with pytest.raises(IntegrityError, match=looks.FILE):
        read(tmp_path / looks.FILE)


def make_sweep(directory: Path, errors: int, first: int) -> None:
    """Two configurations of three seeds: one has 100 errors from image 0 on, one `errors` from image `first` on."""
    for seed in range(3):
        set_wrong_images(make_run(directory / f"a{seed}", 100, f"seed={seed}"), range(seed, 100 + seed))
        other = make_run(directory / f"b{seed}", errors + seed, f"seed={seed}", "model=cnn_large")
        set_wrong_images(other, range(first, first + errors + seed))


def result(board: Comparison) -> tuple[Difference, float]:
    """The result of the second line and its corrected p-value."""
    significance = board.lines[1].significance
    assert significance is not None
    assert isinstance(significance.result, Difference)
    assert significance.p_corrected is not None
    return significance.result, significance.p_corrected


def test_runs_of_a_sweep_with_planned_looks_are_compared_with_the_level_of_the_look(tmp_path: Path) -> None:
    make_sweep(tmp_path, errors=130, first=50)
    once, p = result(compare_directory(tmp_path))
    assert once.level == LEVEL
    assert p == once.p
    (tmp_path / looks.FILE).write_text(PLANNED.model_dump_json(by_alias=True))
    board = compare_directory(tmp_path)
    found, p = result(board)
    assert board.looks == PLANNED
    assert found.p == once.p
    assert p == pytest.approx(PLANNED.corrected(1, once.p))
    assert found.level == pytest.approx(PLANNED.level(1, LEVEL))
    assert (found.interval[0] > 0) == (p < LEVEL)
    assert found.interval[0] < once.interval[0]


@pytest.mark.parametrize(("errors", "open_groups"), [(101, []), (115, ["mlp", "cnn_large"]), (200, [])])
def test_what_is_decided_or_cannot_be_decided_is_not_open(errors: int, open_groups: list[str], tmp_path: Path) -> None:
    make_sweep(
        tmp_path, errors, first=80
    )  # with one error more, even infinitely many seeds leave the variance of the images
    board = compare_directory(tmp_path)
    assert result(board)[0].spread is not None
    assert [group.label for group in board.open_groups] == open_groups


@pytest.mark.parametrize("question", ["new images", "these images"])
def test_the_whole_procedure_has_no_more_false_alarms_than_one_test(question: str) -> None:
    cell, tables = Cell(3, 8, 0.01, 1_000), 80
    found = sequential.simulate(cell, tables, beta_binomial, question)  # type: ignore[arg-type]
    assert found.alarms / tables <= upper_bound(tables)
    assert 3 <= np.mean(found.seeds) <= 8


def test_a_difference_is_found_with_few_seeds() -> None:
    found = sequential.simulate(Cell(2, 20, 0.01, 10_000, effect=1.0), 20, beta_binomial, "new images")
    assert found.found == found.found_at_once == 20
    assert not found.alarms
    assert np.mean(found.seeds) < 10
