"""Significance tests of groups of runs against a reference.

The test error is tested, unless the user ranks by another metric than the validation error: the best group was chosen by its
validation error, which is therefore too optimistic. But its seeds were lucky too, on test images as on validation images. So
the correction counts all pairs of groups: it is valid whichever group was chosen as the reference, and by whatever data.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from mnist_exp.comparison import corrections, crossed, statistics
from mnist_exp.comparison.crossed import NO_PRIOR, Prior
from mnist_exp.comparison.fields import METRICS, TEST, VALIDATION, Metric
from mnist_exp.comparison.groups import Group
from mnist_exp.comparison.looks import Looks
from mnist_exp.comparison.planning import Plan, best_power, plan
from mnist_exp.comparison.statistics import LEVEL, Difference

ONE_SEED = "not tested: only one seed"
NO_SPREAD = "not tested: the seeds do not differ; the spread is unknown"
UNDECIDED = "undecided"
# Further seeds are trained if infinitely many would detect the difference with this power, or a difference that is larger
# by this number of standard errors of the seeds: what is seen with few seeds may be too small by chance.
HOPELESS, STANDARD_ERRORS = 0.1, 1.0

Question = Literal["new images", "these images", "seeds"]
Verdict = Literal["better", "worse", "equal", "undecided"]


@dataclass(frozen=True)
class Significance:
    """The significance of the difference between a group and the reference."""

    metric: Metric  # that is tested
    result: Difference | str  # the group minus the reference; or why there is no test
    p_corrected: float | None = None  # for all comparisons of the family
    equivalence: float | None = None  # the difference below which two errors count as equal
    last_level: float = LEVEL  # of the interval at the last planned look

    @property
    def significant(self) -> bool:
        """Whether the corrected p-value is below the level."""
        return self.p_corrected is not None and self.p_corrected < LEVEL

    @property
    def is_equivalent(self) -> bool:
        """Whether the difference is smaller than `equivalence`, by two one-sided tests.

        Schuirmann 1987, "A comparison of the two one-sided tests procedure and the power approach for assessing the
        equivalence of average bioavailability", Journal of Pharmacokinetics and Biopharmaceutics 15:657: the interval with
        twice the level is within the limits.
        """
        if self.equivalence is None or isinstance(self.result, str):
            return False
        low, high = self.result.bounds(2 * self.result.level)
        return -self.equivalence < low and high < self.equivalence

    @property
    def verdict(self) -> Verdict | None:
        """The result of the test; None if there is no test."""
        if isinstance(self.result, str):
            return None
        if self.significant:
            return "better" if (self.result.value < 0) == self.metric.lower_is_better else "worse"
        return "equal" if self.is_equivalent else "undecided"

    @cached_property
    def plan(self) -> Plan | None:
        """The number of seeds that would detect the difference; None if it is decided or seeds are not what is missing."""
        if isinstance(self.result, str) or self.verdict != "undecided":
            return None
        return plan(self.result, self.last_level)

    @property
    def can_be_decided(self) -> bool:
        """Whether more seeds could decide what is undecided, or not tested since the seeds are too few."""
        if isinstance(self.result, str):
            return self.result in {ONE_SEED, NO_SPREAD}
        return self.verdict == "undecided" and best_power(self.result, self.last_level, STANDARD_ERRORS) >= HOPELESS

    @property
    def text(self) -> str:
        """The result in one line."""
        if isinstance(self.result, str) or self.p_corrected is None:
            return str(self.result)
        p = f"p {format_p_value(self.p_corrected)}"
        if self.significant:
            value, (low, high) = self.result.value, self.result.interval
            interval = (-high, -low) if value < 0 else (low, high)
            size = f"{self.metric.format(abs(value))} ({self.metric.format_interval(interval)})"
            limit = f", but less than {self.equivalence:g}" if self.is_equivalent else ""
            return f"{self.verdict} by {size}{limit}, {p}"
        if self.verdict == "equal":
            return f"equal within {self.equivalence:g}, {p}"
        return f"{UNDECIDED}, {p}{'' if self.plan is None else f'; {self.plan.text}'}"


@dataclass(frozen=True)
class Tests:
    """The tests of all groups of a comparison against the reference."""

    results: Sequence[Significance | None]  # None for the reference
    question: Question  # what may be different, for the order to be the same
    comparisons: int  # that the p-values are corrected for
    correction: Literal["Tukey", "Holm"]
    look: int | None = None  # the number of the planned look, from 1; None if no looks were planned


def compare_with(
    reference: Group,
    groups: Sequence[Group],
    metric: Metric,
    question: Question = "new images",
    is_baseline: bool = False,
    equivalence: float | None = None,
    looks: Looks | None = None,
) -> Tests:
    """Test each group but the reference against it; correct the p-values for the numbers of comparisons and of looks.

    The number does not depend on which groups are shown, nor on which have the files for a test.

    Args:
        groups: all that were selected to be compared.
        metric: by which the groups are ranked.
        question: whether the images may be other ones too; a metric without errors of test images has none.
        is_baseline: the reference was fixed beforehand, not chosen by its results.
        equivalence: the difference below which two errors count as equal, in percentage points.
        looks: at which the groups were planned to be compared while they get further seeds.
    """
    tested = METRICS[TEST] if metric.key == VALIDATION else metric
    if tested.key != TEST:
        question, equivalence = "seeds" if tested.images is None else "these images", None
    common, degrees = _prior(groups) if tested.key == TEST else (NO_PRIOR, 0.0)
    results = [
        None if group is reference else _test(group, reference, tested, question, common, degrees) for group in groups
    ]
    single = sum(group.n == 1 for group in groups)
    families = single, len(groups) - single
    comparisons = families[reference.n > 1] - 1 if is_baseline else sum(n * (n - 1) // 2 for n in families)
    p_values = [result.p for result in results if isinstance(result, Difference)]
    look = None
    if looks is not None:
        look = looks.look(max(group.n for group in groups))
        p_values = [looks.corrected(look, p) for p in p_values]
    corrected = iter(corrections.holm(p_values, comparisons) if is_baseline else corrections.tukey(p_values, families))
    tests: list[Significance | None] = []
    for result in results:
        if isinstance(result, Difference):
            p, level = next(corrected)
            last_level = level
            if looks is not None and look is not None:
                level, last_level = looks.level(look, level), looks.level(len(looks.sizes), level)
            tests.append(Significance(tested, replace(result, level=level), p, equivalence, last_level))
        else:
            tests.append(None if result is None else Significance(tested, result))
    return Tests(tests, question, comparisons, "Holm" if is_baseline else "Tukey", look)


def _prior(groups: Sequence[Group]) -> tuple[Prior, float]:
    """Return what all groups show about the variance over seeds, and its degrees of freedom."""
    known = [group.repetitions for group in groups if group.n > 1 and not group.unknown]
    return crossed.prior(known), float(sum(repetitions.seeds - 1 for repetitions in known))


def _test(
    group: Group, reference: Group, tested: Metric, question: Question, common: Prior, degrees: float
) -> Difference | str:
    """Test one group, or say why it is not tested."""
    if (group.n == 1 or reference.n == 1) and (group.n != reference.n or tested.key != TEST):
        return ONE_SEED
    unknown = group.unknown or reference.unknown if tested.key == TEST else None
    if group.n == 1 and not unknown:
        return statistics.two_networks(group.repetitions, reference.repetitions)
    if unknown and (question != "these images" or group.n == 1):
        return f"not tested: {unknown}"
    order = _pairs(group, reference)
    if tested.key != TEST or unknown:
        return _test_values(group, reference, tested, order)
    return _test_errors(group, reference, question, common, degrees, order)


def _test_errors(
    group: Group, reference: Group, question: Question, common: Prior, degrees: float, order: tuple[np.ndarray, ...] | None
) -> Difference | str:
    """Test the mean errors of two groups of several runs by the images that each run has wrong."""
    others = degrees - (group.n - 1) - (reference.n - 1)
    if order is None:
        name: statistics.Test = "seeds and images"
        value, spread = crossed.independent(group.repetitions, reference.repetitions, common, others)
    else:
        name = "seeds and images, paired"
        value, spread = crossed.pair(group.repetitions, reference.repetitions, order, common, others)
    n = group.repetitions.n
    if question == "new images":
        return statistics.over_seeds_and_images(name, value, spread, n)
    if not spread.prior_degrees and _test_values(group, reference, METRICS[TEST], order) == NO_SPREAD:
        return NO_SPREAD
    return statistics.over_seeds("Welch" if order is None else "paired t", value, spread, 100 / n) or NO_SPREAD


def _test_values(group: Group, reference: Group, tested: Metric, order: tuple[np.ndarray, ...] | None) -> Difference | str:
    """Test the means of any number of the runs."""
    first, second = group.values(tested), reference.values(tested)
    if first is None or second is None:
        return f"not tested: no {tested.heading}"
    if order is None:
        return statistics.welch(first, second) or NO_SPREAD
    return statistics.paired(first[order[0]], second[order[1]]) or NO_SPREAD


def _pairs(group: Group, reference: Group) -> tuple[np.ndarray, ...] | None:
    """Return the order of the runs of each group by which their seeds are equal; None if their seeds are not the same."""
    seeds, others = group.seeds, reference.seeds
    if None in seeds or len(set(seeds)) < group.n or group.n != reference.n or set(seeds) != set(others):
        return None
    if seeds == others:
        return np.arange(group.n), np.arange(group.n)
    return np.argsort(np.array(seeds)), np.argsort(np.array(others))


def format_p_value(p: float) -> str:
    """Format a p-value: = 0.031, or < 0.0001; close to the level, with enough digits to show on which side of it."""
    if p < 0.0001:
        return "< 0.0001"
    digits = next((digits for digits in range(2, 17) if float(f"{p:.{digits}g}") != LEVEL), 2)
    return f"= {p:.{digits}g}"
