"""Tests, intervals, corrections and power compared with SciPy and statsmodels, and in simulations."""

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mnist_exp.comparison import corrections, statistics
from mnist_exp.comparison.statistics import LEVEL, difference_interval, mcnemar_exact

ERRORS = st.lists(st.floats(0.1, 5).map(lambda value: round(value, 2)), min_size=2, max_size=12)
COUNTS = st.integers(0, 60_000)
SIMULATIONS = 2000
LEAST_COVERAGE = 0.94


def normal(generator: np.random.Generator, n: int, mean: float = 1.0, spread: float = 0.08) -> np.ndarray:
    """The errors of n seeds in percent of 10,000 images."""
    return generator.normal(mean, spread, n).round(2)


def upper(rate: float) -> float:
    """The bound that the observed rate exceeds in only one of a thousand repetitions."""
    return float(scipy.stats.binom.ppf(0.999, SIMULATIONS, rate)) / SIMULATIONS


@given(ERRORS)
def test_mean_interval_equals_scipy(values: list[float]) -> None:
    errors = np.array(values)
    interval = statistics.mean_interval(errors, 0, 100)
    if errors.std() > 1e-6:
        assert interval is not None
        expected = scipy.stats.t.interval(0.95, len(errors) - 1, errors.mean(), scipy.stats.sem(errors))
        assert interval == pytest.approx((max(expected[0], 0), min(expected[1], 100)), abs=1e-9)


def test_one_value_has_no_interval() -> None:
    assert statistics.mean_interval(np.array([1.0])) is None


@given(ERRORS, ERRORS)
def test_welch_equals_scipy(first: list[float], second: list[float]) -> None:
    one, other = np.array(first), np.array(second)
    assume(one.std() > 1e-3 and other.std() > 1e-3)
    found = statistics.welch(one, other)
    expected = scipy.stats.ttest_ind(one, other, equal_var=False)
    assert found.p == pytest.approx(expected.pvalue, abs=1e-9)
    interval = expected.confidence_interval(0.95)
    assert found.interval == pytest.approx((interval.low, interval.high), abs=1e-9)
    assert found.value == pytest.approx(one.mean() - other.mean())


@given(st.lists(st.tuples(st.floats(0.1, 5), st.floats(0.1, 5)), min_size=2, max_size=12))
def test_paired_equals_scipy(pairs: list[tuple[float, float]]) -> None:
    one, other = np.array(pairs).T
    assume((one - other).std() > 1e-3)
    found = statistics.paired(one, other)
    expected = scipy.stats.ttest_rel(one, other)
    assert found.p == pytest.approx(expected.pvalue, abs=1e-9)
    interval = expected.confidence_interval(0.95)
    assert found.interval == pytest.approx((interval.low, interval.high), abs=1e-9)


@pytest.mark.parametrize("other", [1.0, 1.5, 1.1])
@pytest.mark.parametrize("n", [2, 3, 7])
def test_no_verdict_without_spread(other: float, n: int) -> None:
    assert statistics.paired(np.full(n, 0.7), np.full(n, other)) is None
    assert statistics.welch(np.full(n, 0.7), np.full(n, other)) is None
    assert statistics.paired(np.linspace(0.1, 0.7, n), np.linspace(0.1, 0.7, n) + other) is None
    assert statistics.mean_interval(np.full(n, other)) is None


def test_no_p_value_is_zero() -> None:
    assert 0 < statistics.mcnemar_exact(0, 10_000) < 1e-300
    found = statistics.welch(np.linspace(0, 1e-6, 40), 90 + np.linspace(0, 1e-6, 40))
    assert found is not None
    assert found.p > 0


@settings(max_examples=25)  # theirs is slow
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_equals_statsmodels(p_values: list[float]) -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest", reason="statsmodels is not installed")
    corrected = [p for p, _ in corrections.holm(p_values)]
    assert corrected == pytest.approx(multitest.multipletests(p_values, method="holm")[1].tolist())


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=20), st.integers(0, 5))
def test_the_level_of_an_interval_after_holm_agrees_with_its_p_value(p_values: list[float], missing: int) -> None:
    for p, (corrected, level) in zip(p_values, corrections.holm(p_values, len(p_values) + missing), strict=True):
        assert (p < level) == (corrected < statistics.LEVEL)
        assert statistics.LEVEL / (len(p_values) + missing) <= level <= statistics.LEVEL


@pytest.mark.parametrize("groups", [2, 3, 5, 20, 100])
def test_the_correction_for_all_pairs_is_the_range_of_normal_values(groups: int) -> None:
    p_values = [1.0, 0.7, 0.05, 1e-3, 1e-6, 1e-12]
    z = scipy.stats.norm.isf(np.array(p_values) / 2)
    expected = scipy.stats.studentized_range.sf(math.sqrt(2) * z, groups, np.inf)
    corrected = corrections.tukey(p_values, [groups, 1])
    assert [p for p, _ in corrected[:-1]] == pytest.approx(expected[:-1].tolist(), rel=1e-3)
    pairs = groups * (groups - 1) / 2
    assert corrected[-1][0] == pytest.approx(pairs * 1e-12, rel=0.01)  # far from 0, pairs hardly depend on each other
    assert all(p <= after <= min(pairs * p, 1) * (1 + 1e-9) for p, (after, _) in zip(p_values, corrected, strict=True))
    level = corrected[0][1]
    ((at_level, _),) = corrections.tukey([level], [groups])
    assert at_level == pytest.approx(LEVEL)
    assert LEVEL / pairs <= level * (1 + 1e-9)


def test_groups_of_several_kinds_are_two_families() -> None:
    (single, _), (several, _), (both, _) = (corrections.tukey([1e-3], sizes)[0] for sizes in ([4], [6], [4, 6]))
    assert both == pytest.approx(single + several)
    assert corrections.tukey([], [0, 1]) == []


def test_holm_without_p_values() -> None:
    assert corrections.holm([]) == []


@pytest.mark.parametrize("n", [2, 3, 5, 10])
@pytest.mark.parametrize("test", [statistics.paired, statistics.welch])
def test_false_positives_and_coverage_of_t_tests(n: int, test: object) -> None:
    generator = np.random.default_rng([n, 1])
    tests = [test(normal(generator, n), normal(generator, n)) for _ in range(SIMULATIONS)]  # type: ignore[operator]
    found = [one for one in tests if one is not None]
    assert sum(one.p < statistics.LEVEL for one in found) / SIMULATIONS <= upper(0.05)
    assert sum(one.interval[0] <= 0 <= one.interval[1] for one in found) / len(found) >= LEAST_COVERAGE


def test_coverage_of_mean_interval() -> None:
    generator = np.random.default_rng(2)
    intervals = [statistics.mean_interval(normal(generator, 5)) for _ in range(SIMULATIONS)]
    assert sum(one is not None and one[0] <= 1 <= one[1] for one in intervals) / SIMULATIONS >= LEAST_COVERAGE


def test_false_positives_after_holm() -> None:
    generator = np.random.default_rng(3)
    false_positives = 0
    for _ in range(SIMULATIONS):
        best = normal(generator, 5)
        family = [statistics.welch(normal(generator, 5), best).p for _ in range(6)]
        false_positives += min(corrections.holm(family))[0] < statistics.LEVEL
    assert false_positives / SIMULATIONS <= upper(0.05)


@given(COUNTS, COUNTS)
@example(0, 0)
@example(7, 7)
@example(0, 5000)
@example(1, 0)
def test_mcnemar_equals_the_binomial_test_of_scipy(only_a: int, only_b: int) -> None:
    n = only_a + only_b
    expected = scipy.stats.binomtest(only_a, n, 0.5).pvalue if n else 1.0
    # For smaller values, SciPy's binomtest sometimes returns 0.
    assert mcnemar_exact(only_a, only_b) == pytest.approx(expected, rel=1e-9, abs=1e-250)
    assert mcnemar_exact(only_a, only_b) == mcnemar_exact(only_b, only_a)


@given(st.integers(0, 1100), st.integers(0, 1100))
@example(0, 0)
@example(3, 3)
@example(1, 5)
@example(10, 1065)
def test_mcnemar_equals_exact_fractions(only_a: int, only_b: int) -> None:
    n = only_a + only_b
    tail = ways = 1
    for i in range(min(only_a, only_b)):  # i + 1 of n can be chosen in (n - i) / (i + 1) as many ways as i
        ways = ways * (n - i) // (i + 1)
        tail += ways
    expected = float(min(Fraction(2 * tail, 2**n), 1)) if only_a != only_b else 1.0
    assert mcnemar_exact(only_a, only_b) == pytest.approx(expected, rel=1e-9, abs=1e-307)


def test_difference_interval_by_hand() -> None:
    a, b = 13 / 102, 5 / 102
    half = 1.959964 * np.sqrt((a + b - (a - b) ** 2) / 102)
    assert difference_interval(12, 4, 100) == pytest.approx((100 * (a - b - half), 100 * (a - b + half)))


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 10_000))
def test_difference_interval_contains_the_difference_and_is_antisymmetric(only_a: int, only_b: int, others: int) -> None:
    n = max(only_a + only_b + others, 1)
    low, high = difference_interval(only_a, only_b, n)
    assert -100 <= low <= 100 * (only_a - only_b) / n <= high <= 100
    assert difference_interval(only_b, only_a, n) == pytest.approx((-high, -low))


@pytest.mark.parametrize("n", [100, 1_000, 10_000])
@pytest.mark.parametrize(("only_a", "only_b"), [(0.05, 0.05), (0.02, 0.06), (0.3, 0.1), (0.01, 0.01), (0.004, 0.009)])
def test_coverage_of_difference_interval(n: int, only_a: float, only_b: float) -> None:
    drawn = np.random.default_rng(0).multinomial(n, [only_a, only_b, 1 - only_a - only_b], 20_000)
    pairs, counts = np.unique(drawn[:, :2], axis=0, return_counts=True)
    intervals = np.array([difference_interval(int(a), int(b), n) for a, b in pairs])
    truth = 100 * (only_a - only_b)
    covered = (intervals[:, 0] <= truth) & (truth <= intervals[:, 1])
    assert counts[covered].sum() / counts.sum() >= 0.94
