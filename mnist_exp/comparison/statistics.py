"""Confidence intervals, Student's, Welch's and McNemar's tests, Holm's correction, and the power of a test.

Only the special functions of SciPy are used: importing `scipy.stats` takes a second, and a table should appear at once.
"""

import math
import sys
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import bdtr, nctdtr, stdtr, stdtrit

from mnist_exp.run.evaluation import Z_95

LEVEL = 0.05  # of significance
POWER = 0.8  # probability of detecting a real difference
MAX_SEEDS = 10_000
SMALLEST_SPREAD = 1e-9  # a smaller one is a rounding error of equal values


@dataclass(frozen=True)
class Difference:
    """The difference between two means over repetitions, or between the errors of two networks, and its test."""

    test: Literal["McNemar", "paired t", "Welch"]
    value: float  # first minus second
    interval: tuple[float, float]  # 95 %
    p: float  # two-sided
    spread: float = math.nan  # of a t-test: the standard error of the difference with n repetitions, times √n
    n: int = 1  # repetitions in the smaller set


def mean_interval(values: np.ndarray, minimum: float = -math.inf, maximum: float = math.inf) -> tuple[float, float] | None:
    """Return the 95 % interval of a mean by Student's t; None without a spread: for a single value or for equal ones.

    Student 1908, "The probable error of a mean", Biometrika 6:1.

    Args:
        values: of the repetitions, float64 (n,).
        minimum, maximum: where the interval is cut off.
    """
    n = len(values)
    if n < 2 or not values.std() > SMALLEST_SPREAD * abs(values.mean()):
        return None
    mean, half = float(values.mean()), float(stdtrit(n - 1, 0.975)) * float(values.std(ddof=1)) / math.sqrt(n)
    return max(mean - half, minimum), min(mean + half, maximum)


def paired(first: np.ndarray, second: np.ndarray) -> Difference | None:
    """Compute Student's paired t-test, for repetitions with the same seeds and thus the same order of images.

    Returns:
        None if the differences are all equal: their spread is unknown, not zero.

    Args:
        first, second: in the same order, float64 (n,), n ≥ 2.
    """
    differences = first - second
    n = len(differences)
    return _t_test("paired t", float(differences.mean()), float(differences.std(ddof=1)), n, n - 1)


def welch(first: np.ndarray, second: np.ndarray) -> Difference | None:
    """Compute Welch's t-test of two independent sets with possibly different variances.

    Welch 1947, "The generalization of 'Student's' problem when several different population variances are involved",
    Biometrika 34:28.

    Args:
        first, second: float64 (n,) and (m,), n and m ≥ 2.

    Returns:
        None if the values are equal in both sets: their spread is unknown, not zero.
    """
    n, m = len(first), len(second)
    a, b = float(first.var(ddof=1)) / n, float(second.var(ddof=1)) / m
    degrees = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (m - 1)) if a + b else 1.0
    smaller = min(n, m)
    return _t_test("Welch", float(first.mean() - second.mean()), math.sqrt((a + b) * smaller), smaller, degrees)


def _t_test(test: Literal["paired t", "Welch"], mean: float, spread: float, n: int, degrees: float) -> Difference | None:
    if not spread > SMALLEST_SPREAD:
        return None
    error = spread / math.sqrt(n)
    half = float(stdtrit(degrees, 0.975)) * error
    p = max(2 * float(stdtr(degrees, -abs(mean) / error)), sys.float_info.min)  # far from zero it is rounded to 0
    return Difference(test, mean, (mean - half, mean + half), p, spread, n)


def mcnemar(only_a: int, only_b: int, n: int) -> Difference:
    """Compare the errors, in percent, of two networks A and B on the same n images; only one is wrong on some of them."""
    difference = 100 * (only_a - only_b) / n
    return Difference("McNemar", difference, difference_interval(only_a, only_b, n), mcnemar_exact(only_a, only_b))


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Return the p-value of McNemar's exact two-sided test for the numbers of images on which only A or only B is wrong.

    McNemar 1947, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12:153. The test compares two trained networks; it does not include the effect of the seed.
    """
    disagreements = only_a + only_b
    p = 2 * float(bdtr(min(only_a, only_b), disagreements, 0.5)) if disagreements else 1.0
    return min(max(p, sys.float_info.min), 1.0)  # far from zero it is rounded to 0


def difference_interval(only_a: int, only_b: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of the error of A minus the error of B on the same n images, in percentage points.

    Bonett & Price 2012, "Adjusted Wald confidence interval for a difference of binomial proportions based on paired data",
    Journal of Educational and Behavioral Statistics 37:479; cut off at −100 and 100.
    """
    a, b = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    half = Z_95 * math.sqrt((a + b - (a - b) ** 2) / (n + 2))
    return max(100 * (a - b - half), -100.0), min(100 * (a - b + half), 100.0)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values so that the probability of any false positive among them is at most the level.

    Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6:65.
    """
    order = np.argsort(p_values, kind="stable")
    scaled = np.array(p_values, np.float64)[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return [float(p) for p in corrected]


def seeds_needed(difference: Difference, comparisons: int = 1) -> int | None:
    """Return the number of repetitions per set with which a test would detect this difference with a power of 0.8.

    By the noncentral t distribution, with the observed difference and spread (Cohen 1988, "Statistical Power Analysis for
    the Behavioral Sciences", §2).

    Args:
        comparisons: the number of tests, by which the level is divided.

    Returns:
        None if there is no difference or more than MAX_SEEDS are needed.
    """
    if not difference.value:
        return None
    effect = abs(difference.value) / difference.spread
    sets = 1 if difference.test == "paired t" else 2

    def is_enough(n: int) -> bool:
        return power(effect * math.sqrt(n), sets * (n - 1), LEVEL / comparisons) >= POWER

    n = bisect_left(range(MAX_SEEDS + 1), True, lo=2, key=is_enough)
    return n if n <= MAX_SEEDS else None


def power(noncentrality: float, degrees: float, level: float) -> float:
    """Return the power of a two-sided t-test whose statistic has a noncentral t distribution."""
    critical = float(stdtrit(degrees, 1 - level / 2))
    low, high = (float(nctdtr(degrees, noncentrality, end)) for end in (-critical, critical))
    # Far from zero SciPy cannot compute the distribution; there the result is certain.
    return 1 - high + low if math.isfinite(high) and math.isfinite(low) else float(noncentrality > critical)
