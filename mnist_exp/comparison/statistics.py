"""The difference of two groups or networks and its test; confidence intervals and corrections for several comparisons.

Only the special functions of SciPy are used: importing `scipy.stats` takes a second, and a table should appear at once.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from scipy.special import bdtr, ndtri, stdtr, stdtrit

from mnist_exp.comparison import crossed
from mnist_exp.comparison.crossed import Spread
from mnist_exp.comparison.repetitions import Repetitions

LEVEL = 0.05  # of significance
SMALLEST_SPREAD = 1e-9  # a smaller one is a rounding error of equal values

Test = Literal["McNemar", "McNemar, groups", "seeds and images, paired", "seeds and images", "paired t", "Welch"]


@dataclass(frozen=True)
class Difference:
    """The difference between two means over repetitions, or between the errors of two networks, and its test."""

    test: Test
    value: float  # first minus second
    p: float  # two-sided, never 0
    bounds: Callable[[float], tuple[float, float]] = field(repr=False, compare=False)  # of the interval with 1 − level
    level: float = LEVEL
    spread: Spread | None = None  # not for two networks
    scale: float = 1.0  # of `value` to the unit of `spread`

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The confidence interval of `value`: it contains 0 if and only if p > level (McNemar: almost always)."""
        return self.bounds(self.level)


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

    Args:
        first, second: in the same order, float64 (n,), n ≥ 2.

    Returns:
        None if the differences are all equal: their spread is unknown, not zero.
    """
    differences = first - second
    spread = Spread(0.0, 0.0, (float(differences.var(ddof=1)),), (len(differences),))
    return over_seeds("paired t", float(differences.mean()), spread)


def welch(first: np.ndarray, second: np.ndarray) -> Difference | None:
    """Compute Welch's t-test of two independent sets with possibly different variances.

    Welch 1947, "The generalization of 'Student's' problem when several different population variances are involved",
    Biometrika 34:28.

    Args:
        first, second: float64 (n,) and (m,), n and m ≥ 2.

    Returns:
        None if the values are equal in both sets: their spread is unknown, not zero.
    """
    spread = Spread(0.0, 0.0, (float(first.var(ddof=1)), float(second.var(ddof=1))), (len(first), len(second)))
    return over_seeds("Welch", float(first.mean() - second.mean()), spread)


def over_seeds(test: Test, value: float, spread: Spread, scale: float = 1.0) -> Difference | None:
    """Compute a t-test over seeds: would other seeds give the same order on these test images?

    Args:
        value: of the difference, in the unit of `spread`.
        scale: by which `value` is multiplied.
    """
    if not max(spread.per_seed) > SMALLEST_SPREAD**2:
        return None
    variance, degrees = spread.of_seeds()
    error = math.sqrt(variance)

    def bounds(level: float) -> tuple[float, float]:
        half = float(stdtrit(degrees, 1 - level / 2)) * error
        return scale * (value - half), scale * (value + half)

    p = _positive(2 * float(stdtr(degrees, -abs(value) / error)))
    return Difference(test, scale * value, p, bounds, LEVEL, replace(spread, images=0.0, residual=0.0), scale)


def over_seeds_and_images(test: Test, errors: float, spread: Spread, n: int) -> Difference:
    """Test a difference of mean errors, a number of images of n: would other seeds and other images give the same order?"""

    def bounds(level: float) -> tuple[float, float]:
        half = crossed.half_width(level, spread)
        return max(100 * (errors - half) / n, -100.0), min(100 * (errors + half) / n, 100.0)

    return Difference(test, 100 * errors / n, _positive(crossed.p_value(errors, spread)), bounds, LEVEL, spread, 100 / n)


def two_networks(a: Repetitions, b: Repetitions) -> Difference:
    """Compare the errors of two single networks A and B on the same images, or groups of images."""
    if a.image_groups is not None:
        return mcnemar_groups(*crossed.networks(a, b), a.n, a.image_groups)
    both = int(np.bitwise_count(a.packed & b.packed).sum())
    return mcnemar(int(a.errors[0]) - both, int(b.errors[0]) - both, a.n)


def mcnemar(only_a: int, only_b: int, n: int) -> Difference:
    """Compare the errors, in percent, of two networks A and B on the same n images; only one is wrong on some of them."""

    def bounds(level: float) -> tuple[float, float]:
        return difference_interval(only_a, only_b, n, level)

    return Difference("McNemar", 100 * (only_a - only_b) / n, mcnemar_exact(only_a, only_b), bounds)


def mcnemar_groups(errors: float, variance: float, n: int, groups: int) -> Difference:
    """Compare two networks on n images in groups, such as the images of one writer, of which each is one observation.

    Durkalski, Palesch, Lipsitz & Rust 2003, "Analysis of clustered matched-pair data", Statistics in Medicine 22:2417, with
    Student's t distribution.

    Args:
        errors: of A minus those of B, a number of images.
        variance: of `errors` over the groups.
    """

    def bounds(level: float) -> tuple[float, float]:
        half = float(stdtrit(groups - 1, 1 - level / 2)) * math.sqrt(variance)
        return max(100 * (errors - half) / n, -100.0), min(100 * (errors + half) / n, 100.0)

    p = 2 * float(stdtr(groups - 1, -abs(errors) / math.sqrt(variance)))
    return Difference("McNemar, groups", 100 * errors / n, _positive(p), bounds)


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Return the p-value of McNemar's exact two-sided test for the numbers of images on which only A or only B is wrong.

    McNemar 1947, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12:153. The test compares two trained networks; it does not include the effect of the seed.
    """
    disagreements = only_a + only_b
    return _positive(2 * float(bdtr(min(only_a, only_b), disagreements, 0.5))) if disagreements else 1.0


def difference_interval(only_a: int, only_b: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the 1 − level interval of the error of A minus the error of B on the same n images, in percentage points.

    Bonett & Price 2012, "Adjusted Wald confidence interval for a difference of binomial proportions based on paired data",
    Journal of Educational and Behavioral Statistics 37:479; cut off at −100 and 100.
    """
    a, b = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    half = -float(ndtri(level / 2)) * math.sqrt((a + b - (a - b) ** 2) / (n + 2))
    return max(100 * (a - b - half), -100.0), min(100 * (a - b + half), 100.0)


def _positive(p: float) -> float:
    """Return a p-value that rounding has not made 0."""
    return min(max(p, sys.float_info.min), 1.0)
