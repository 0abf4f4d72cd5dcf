"""Tests, intervals, corrections and power against SciPy and statsmodels, and by simulation."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower, TTestPower

from mnist_exp.comparison import statistics

ERRORS = st.lists(st.floats(0.1, 5).map(lambda value: round(value, 2)), min_size=2, max_size=12)
SIMULATIONS = 2000
LEAST_COVERAGE = 0.94


def normal(generator: np.random.Generator, n: int, mean: float = 1.0, spread: float = 0.08) -> np.ndarray:
    """Errors of n seeds in percent, whole images of 10,000."""
    return generator.normal(mean, spread, n).round(2)


def upper(rate: float) -> float:
    """What a share of so many simulations stays below in all but one of a thousand repetitions, if it is that rate."""
    return float(scipy.stats.binom.ppf(0.999, SIMULATIONS, rate)) / SIMULATIONS


@given(ERRORS)
def test_the_interval_of_a_mean_is_students(values: list[float]) -> None:
    errors = np.array(values)
    interval = statistics.mean_interval(errors, 0, 100)
    assert interval is not None
    if errors.std() > 1e-6:
        expected = scipy.stats.t.interval(0.95, len(errors) - 1, errors.mean(), scipy.stats.sem(errors))
        assert interval == pytest.approx((max(expected[0], 0), min(expected[1], 100)), abs=1e-9)


def test_one_value_says_nothing_of_the_spread() -> None:
    assert statistics.mean_interval(np.array([1.0])) is None


@given(ERRORS, ERRORS)
def test_welch_is_scipys(first: list[float], second: list[float]) -> None:
    one, other = np.array(first), np.array(second)
    assume(one.std() > 1e-3 and other.std() > 1e-3)
    found = statistics.welch(one, other)
    expected = scipy.stats.ttest_ind(one, other, equal_var=False)
    assert found.p == pytest.approx(expected.pvalue, abs=1e-9)
    interval = expected.confidence_interval(0.95)
    assert found.interval == pytest.approx((interval.low, interval.high), abs=1e-9)
    assert found.mean == pytest.approx(one.mean() - other.mean())


@given(st.lists(st.tuples(st.floats(0.1, 5), st.floats(0.1, 5)), min_size=2, max_size=12))
def test_the_test_of_pairs_is_scipys(pairs: list[tuple[float, float]]) -> None:
    one, other = np.array(pairs).T
    assume((one - other).std() > 1e-3)
    found = statistics.paired(one, other)
    expected = scipy.stats.ttest_rel(one, other)
    assert found.p == pytest.approx(expected.pvalue, abs=1e-9)
    interval = expected.confidence_interval(0.95)
    assert found.interval == pytest.approx((interval.low, interval.high), abs=1e-9)


@pytest.mark.parametrize(("other", "p"), [([1.0, 1.0], 1.0), ([1.5, 1.5], 0.0)])
def test_repetitions_without_a_spread(other: list[float], p: float) -> None:
    for found in (
        statistics.paired(np.ones(2), np.array(other)),
        statistics.welch(np.ones(2), np.array(other)),
    ):
        assert found.p == p
        assert found.interval == (found.mean, found.mean)
        assert statistics.seeds_needed(found) == (2 if found.mean else None)


@settings(max_examples=25)  # theirs is slow
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holms_correction_is_that_of_statsmodels(p_values: list[float]) -> None:
    assert statistics.holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())


def test_nothing_is_corrected_to_nothing() -> None:
    assert statistics.holm([]) == []


@pytest.mark.parametrize("effect", [0.2, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("comparisons", [1, 5])
def test_seeds_to_tell_are_those_of_statsmodels(effect: float, comparisons: int) -> None:
    level = statistics.LEVEL / comparisons
    pairs = statistics.MeanDifference("paired t", effect, (0, 0), 0.5, 1.0, 5)
    expected = math.ceil(TTestPower().solve_power(effect, alpha=level, power=statistics.POWER) - 1e-6)
    assert statistics.seeds_needed(pairs, comparisons) == max(expected, 2)
    independent = statistics.MeanDifference("Welch", effect, (0, 0), 0.5, math.sqrt(2), 5)
    expected = math.ceil(TTestIndPower().solve_power(effect, alpha=level, power=statistics.POWER) - 1e-6)
    assert statistics.seeds_needed(independent, comparisons) == max(expected, 2)


def test_a_difference_too_small_for_any_number_of_seeds() -> None:
    assert statistics.seeds_needed(statistics.MeanDifference("Welch", 1e-6, (0, 0), 0.9, 1.0, 5)) is None
    assert statistics.seeds_needed(statistics.MeanDifference("Welch", 0.0, (0, 0), 1.0, 1.0, 5)) is None


def test_power_far_from_zero_is_certain() -> None:
    assert statistics.power(1e6, 3, 0.05) == 1
    assert statistics.power(0, 10, 0.05) == pytest.approx(0.05)


@pytest.mark.parametrize("n", [2, 3, 5, 10])
@pytest.mark.parametrize("test", [statistics.paired, statistics.welch])
def test_without_a_difference_five_in_a_hundred_are_alarms_and_intervals_cover(n: int, test: object) -> None:
    generator = np.random.default_rng([n, 1])
    found = [test(normal(generator, n), normal(generator, n)) for _ in range(SIMULATIONS)]  # type: ignore[operator]
    assert sum(one.p < statistics.LEVEL for one in found) / SIMULATIONS <= upper(0.05)
    assert sum(one.interval[0] <= 0 <= one.interval[1] for one in found) / SIMULATIONS >= LEAST_COVERAGE


def test_the_interval_of_a_mean_covers_it() -> None:
    generator = np.random.default_rng(2)
    intervals = [statistics.mean_interval(normal(generator, 5)) for _ in range(SIMULATIONS)]
    assert sum(one is not None and one[0] <= 1 <= one[1] for one in intervals) / SIMULATIONS >= LEAST_COVERAGE


def test_of_a_family_without_differences_five_in_a_hundred_have_any_alarm() -> None:
    generator = np.random.default_rng(3)
    alarms = 0
    for _ in range(SIMULATIONS):
        best = normal(generator, 5)
        family = [statistics.welch(normal(generator, 5), best).p for _ in range(6)]
        alarms += min(statistics.holm(family)) < statistics.LEVEL
    assert alarms / SIMULATIONS <= upper(0.05)


def test_the_power_that_is_promised_is_had() -> None:
    generator = np.random.default_rng(4)
    seen = statistics.MeanDifference("Welch", 0.1, (0, 0), 0.5, 0.08 * math.sqrt(2), 3)
    n = statistics.seeds_needed(seen)
    assert n is not None
    told = [statistics.welch(normal(generator, n, 1.1), normal(generator, n)).p < 0.05 for _ in range(SIMULATIONS)]
    assert sum(told) / SIMULATIONS >= statistics.POWER - 0.03
