"""Corrections of p-values for several comparisons."""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy.special import ndtr

from mnist_exp.comparison.statistics import LEVEL


def tukey(p_values: Sequence[float], families: Sequence[int]) -> list[tuple[float, float]]:
    """Correct p-values of some pairs of groups for all pairs, however these were chosen.

    A p-value counts as that of a normal difference: the corrected one is the probability that the largest difference of all
    groups is at least as large if they are equal (Tukey 1953, "The problem of multiple comparisons"). It is smaller than
    Bonferroni's, since the differences of three groups depend on each other. With unequal variances, it is at most this
    large (Hayter 1984, "A proof of the conjecture that the Tukey-Kramer multiple comparisons procedure is
    conservative", Annals of Statistics 12:61).

    Args:
        families: the numbers of groups; groups of different families are not compared with each other.

    Returns:
        For each p-value the corrected one and the level of its interval.
    """

    def corrected(values: Sequence[float]) -> list[float]:
        ranges = [[0.0] * len(values), *(_of_range(values, groups) for groups in families if groups > 1)]
        return [min(sum(probabilities), 1.0) for probabilities in zip(*ranges, strict=True)]

    low, high = 0.0, LEVEL
    for _ in range(60):  # find the p-value that is corrected to the level
        middle = (low + high) / 2
        low, high = (low, middle) if corrected([middle])[0] > LEVEL else (middle, high)
    return [(p, high) for p in corrected(p_values)]


def _of_range(p_values: Sequence[float], groups: int) -> Sequence[float]:
    """Return the probabilities that the range of normal values exceeds the difference of two that have these p-values."""
    if groups == 2:
        return p_values
    log_factors = np.interp([math.log(p) for p in p_values], *_range_factors(groups)).tolist()
    return [p * math.exp(log_factor) for p, log_factor in zip(p_values, log_factors, strict=True)]


@cache
def _range_factors(groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Return logarithms of p-values, ascending, and of the factors that correct them: below the first, Bonferroni's is near.

    The range of k values exceeds q with the probability k ∫ φ(x) [Φ(x)ᵏ⁻¹ − (Φ(x) − Φ(x − q))ᵏ⁻¹] dx; x is the largest.
    """
    z = np.arange(8, 0, -0.04)[:, None]
    largest = np.linspace(-8, 14, 1101)
    log_below, others = np.log(ndtr(largest)), groups - 1
    none_far = others * np.log1p(np.maximum(-ndtr(largest - math.sqrt(2) * z) / ndtr(largest), -1 + 1e-16))
    density = np.exp(others * log_below - largest**2 / 2) / math.sqrt(2 * math.pi)
    exceeds = groups * (density * -np.expm1(none_far)).sum(1) * (largest[1] - largest[0])
    p = 2 * ndtr(-z[:, 0])
    return np.append(np.log(p), 0), np.append(np.log(exceeds / p), 0)


def holm(p_values: Sequence[float], comparisons: int | None = None) -> list[tuple[float, float]]:
    """Correct p-values so that the probability of any false positive among them is at most the level.

    Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6:65.

    Args:
        comparisons: the number of comparisons, if some have no p-value.

    Returns:
        For each p-value the corrected one and the level of its interval, which contains 0 if it is not significant.
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(comparisons or len(p_values), 0, -1)[: len(p_values)]
    corrected = np.minimum(np.maximum.accumulate(np.array(p_values, np.float64)[order] * factors), 1)
    significant = int((corrected < LEVEL).sum())  # at the first that is not, the procedure stops
    factors[significant:] = factors[significant : significant + 1]
    results: list[tuple[float, float]] = [(1.0, LEVEL)] * len(p_values)
    for index, p, factor in zip(order, corrected, factors, strict=True):
        results[index] = (float(p), LEVEL / int(factor))
    return results
