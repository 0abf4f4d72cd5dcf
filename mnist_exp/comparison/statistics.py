"""What repetitions say of a mean, and of the difference between two: Student's and Welch's tests, Holm's correction, power.

Of SciPy only its special functions are used: `scipy.stats` takes a second to import, and a table is to be there at once.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import bdtr, nctdtr, stdtr, stdtrit

from mnist_exp.run.evaluation import Z_95

LEVEL = 0.05  # below it a difference is called significant
POWER = 0.8  # the chance to find a difference that is there
MOST_SEEDS = 10_000  # nobody trains more


@dataclass(frozen=True)
class Difference:
    """What two sets of repetitions say of the difference of their means."""

    test: Literal["paired t", "Welch"]
    mean: float  # of the first minus that of the second
    interval: tuple[float, float]  # 95 %
    p: float  # two-sided
    standard_error: float  # for one repetition of each: that of n is this by √n
    n: int  # repetitions of the smaller set


def mean_interval(values: np.ndarray, least: float = -math.inf, most: float = math.inf) -> tuple[float, float] | None:
    """The 95 % interval of a mean, by Student's t; None for a single value, which says nothing of the spread.

    Student 1908, "The probable error of a mean", Biometrika 6:1.

    Args:
        values: of the repetitions, float64 (n,).
        least: no value can be lower; where the interval is cut off.
        most: no value can be higher.
    """
    n = len(values)
    if n < 2:
        return None
    half = float(stdtrit(n - 1, 0.975)) * float(values.std(ddof=1)) / math.sqrt(n)
    return max(float(values.mean()) - half, least), min(float(values.mean()) + half, most)


def paired(first: np.ndarray, second: np.ndarray) -> Difference:
    """Student's test of pairs: repetitions that share a seed, and with it the order of the images.

    Args:
        first: float64 (n,), n ≥ 2.
        second: float64 (n,), in the same order.
    """
    differences = first - second
    n = len(differences)
    return _difference("paired t", float(differences.mean()), float(differences.std(ddof=1)), n, n - 1)


def welch(first: np.ndarray, second: np.ndarray) -> Difference:
    """Welch's test of two independent sets, whose spreads may differ.

    Welch 1947, "The generalization of 'Student's' problem when several different population variances are involved",
    Biometrika 34:28.

    Args:
        first: float64 (n,), n ≥ 2.
        second: float64 (m,), m ≥ 2.
    """
    n = min(len(first), len(second))
    parts = [float(values.var(ddof=1)) / len(values) for values in (first, second)]
    weights = [part**2 / (len(values) - 1) for part, values in zip(parts, (first, second), strict=True)]
    degrees = sum(parts) ** 2 / sum(weights) if sum(parts) else float(len(first) + len(second) - 2)
    return _difference("Welch", float(first.mean() - second.mean()), math.sqrt(sum(parts) * n), n, degrees)


def _difference(test: Literal["paired t", "Welch"], mean: float, spread: float, n: int, degrees: float) -> Difference:
    error = spread / math.sqrt(n)
    half = float(stdtrit(degrees, 0.975)) * error
    # Repetitions that all came out the same differ for certain, or do not at all.
    p = 2 * float(stdtr(degrees, -abs(mean) / error)) if error else float(mean == 0)
    return Difference(test, mean, (mean - half, mean + half), p, spread, n)


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """The probability of a division of the disagreements at least as uneven as this one, if each fell either way by chance.

    The exact two-sided test of McNemar 1947, "Note on the sampling error of the difference between correlated proportions
    or percentages", Psychometrika 12:153. It speaks of two networks, and not of others that other seeds would give.

    Args:
        only_a: images that A alone has wrong.
        only_b: images that B alone has wrong.
    """
    disagreements = only_a + only_b
    return min(1.0, 2 * float(bdtr(min(only_a, only_b), disagreements, 0.5))) if disagreements else 1.0


def difference_interval(only_a: int, only_b: int, n: int) -> tuple[float, float]:
    """The 95 % interval of A's error less B's, in percentage points.

    Bonett & Price 2012, "Adjusted Wald confidence interval for a difference of binomial proportions based on paired data",
    Journal of Educational and Behavioral Statistics 37:479; cut off at −100 and 100.

    Args:
        only_a: images that A alone has wrong.
        only_b: images that B alone has wrong.
        n: images that both have seen.
    """
    a, b = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    half = Z_95 * math.sqrt((a + b - (a - b) ** 2) / (n + 2))
    return max(100 * (a - b - half), -100.0), min(100 * (a - b + half), 100.0)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values such that those below a level are significant at it, all of them together.

    Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6:65.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[place] * (len(p_values) - rank)))
        corrected[place] = largest
    return corrected


def seeds_needed(difference: Difference, comparisons: int = 1) -> int | None:
    """Of how many repetitions each a test would find this difference with a power of 0.8; None if more than anybody trains.

    By the noncentral t distribution, as if the difference and the spread were just what was seen (Cohen 1988, "Statistical
    Power Analysis for the Behavioral Sciences", §2).

    Args:
        difference: that was seen.
        comparisons: of the family, for which the level is divided.
    """
    if not difference.mean:
        return None
    if not difference.standard_error:
        return 2
    effect = abs(difference.mean) / difference.standard_error
    groups = 1 if difference.test == "paired t" else 2

    def enough(n: int) -> bool:
        return power(effect * math.sqrt(n), groups * (n - 1), LEVEL / comparisons) >= POWER

    return _first(enough, 2, MOST_SEEDS)


def power(noncentrality: float, degrees: float, level: float) -> float:
    """The chance that a two-sided t-test at a level finds what shifts its statistic by so much."""
    critical = float(stdtrit(degrees, 1 - level / 2))
    low, high = (float(nctdtr(degrees, noncentrality, end)) for end in (-critical, critical))
    # Far from zero the distribution cannot be computed, nor need it be.
    return 1 - high + low if math.isfinite(high) and math.isfinite(low) else float(noncentrality > critical)


def _first(enough: Callable[[int], bool], low: int, high: int) -> int | None:
    """The first number for which a condition holds that holds for all above; None if it is beyond `high`."""
    if not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low
