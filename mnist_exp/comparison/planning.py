"""How many more seeds would decide a comparison, and whether any number of seeds can."""

import math
from bisect import bisect_left
from dataclasses import dataclass

from scipy.special import nctdtr, ndtr, ndtri, stdtrit

from mnist_exp.comparison.statistics import Difference
from mnist_exp.terminal.messages import pluralize

POWER = 0.8  # probability of detecting a real difference
MAX_SEEDS = 10_000


@dataclass(frozen=True)
class Plan:
    """The number of seeds to add to a group and to the reference; None: no number of seeds is enough."""

    group: int | None
    reference: int | None
    reason: str = ""  # why no number is enough

    @property
    def text(self) -> str:
        return self.short_text + ("" if self.reason else f" for {100 * POWER:.0f} % power, if the difference seen is real")

    @property
    def short_text(self) -> str:
        if self.group is None or self.reference is None:
            return self.reason
        if self.group == self.reference:
            return f"about {pluralize(self.group, 'more seed')} of each"
        parts = ((self.group, "here"), (self.reference, "of the reference"))
        return "about " + " and ".join(f"{pluralize(n, 'more seed')} {where}" for n, where in parts if n)


def best_power(difference: Difference, level: float, standard_errors: float = 0.0) -> float:
    """Return the power of a test with infinitely many seeds, which the test images limit.

    Args:
        level: of the test.
        standard_errors: how much larger than the difference seen the real one is, in standard errors of the seeds.
    """
    spread = difference.spread
    if spread is None or not spread.of_images:
        return 1.0
    of_seeds = math.sqrt(max(spread.of_seeds()[0] - spread.residual, 0.0))
    value = abs(difference.value / difference.scale) + standard_errors * of_seeds
    return float(ndtr(value / math.sqrt(spread.of_images) + ndtri(level / 2)))


def plan(difference: Difference, level: float) -> Plan | None:
    """Plan the number of seeds with which a test at some level would detect this difference with a power of 0.8.

    The smaller group is extended first, then both. The observed difference and variances are taken as the true ones (Cohen
    1988, "Statistical Power Analysis for the Behavioral Sciences", §2, with the noncentral t distribution).

    Returns:
        None for two single networks and if there is no difference at all.
    """
    spread = difference.spread
    if spread is None or not difference.value:
        return None
    value, images = abs(difference.value / difference.scale), spread.of_images
    if best_power(difference, level) < POWER:
        return Plan(None, None, "the test images are too few to decide, with any number of seeds")

    def is_enough(n: int) -> bool:
        seeds, degrees = spread.of_seeds([max(n, size) for size in spread.sizes])
        total = images + seeds
        return power(value / math.sqrt(total), degrees * (total / seeds) ** 2, level) >= POWER

    n = bisect_left(range(MAX_SEEDS + 1), True, lo=min(spread.sizes) + 1, key=is_enough)
    if n > MAX_SEEDS:
        return Plan(None, None, f"not even {MAX_SEEDS:,} seeds would detect it")
    return Plan(max(n - spread.sizes[0], 0), max(n - spread.sizes[-1], 0))


def power(noncentrality: float, degrees: float, level: float) -> float:
    """Return the power of a two-sided t-test whose statistic has a noncentral t distribution."""
    critical = float(stdtrit(degrees, 1 - level / 2))
    low, high = (float(nctdtr(degrees, noncentrality, end)) for end in (-critical, critical))
    # Far from zero SciPy cannot compute the distribution; there the result is certain.
    return 1 - high + low if math.isfinite(high) and math.isfinite(low) else float(noncentrality > critical)
