"""Significance tests of groups of runs against a reference.

The test error is tested, unless the user ranks by another metric than the validation error: the best group was chosen by its
validation error, which is therefore too optimistic, while the test images played no part in this choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mnist_exp.comparison import statistics
from mnist_exp.comparison.fields import METRICS, TEST, VALIDATION, Metric
from mnist_exp.comparison.groups import Group
from mnist_exp.comparison.predictions import pair_errors
from mnist_exp.comparison.statistics import LEVEL, MAX_SEEDS, Difference
from mnist_exp.errors import UserError
from mnist_exp.terminal.messages import pluralize

ONE_SEED = "not tested: only one seed"
NO_SPREAD = "not tested: the seeds do not differ; the spread is unknown"
NOT_SIGNIFICANT = "no significant difference"


@dataclass(frozen=True)
class Significance:
    """The significance of the difference between a group and the reference."""

    metric: Metric  # that is tested
    result: Difference | str  # the group minus the reference, not corrected; or why there is no test
    p_corrected: float | None = None  # Holm's correction over all groups that are shown
    more_seeds: int | None = None  # to detect the difference with a power of 0.8; None: unknown or too many

    @property
    def significant(self) -> bool:
        """Whether the corrected p-value is below the level."""
        return self.p_corrected is not None and self.p_corrected < LEVEL

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
            return f"{'better' if (value < 0) == self.metric.lower_is_better else 'worse'} by {size}, {p}"
        if self.result.test == "McNemar":
            return f"{NOT_SIGNIFICANT}, {p}"
        seeds = f"not even {MAX_SEEDS:,} seeds" if self.more_seeds is None else pluralize(self.more_seeds, "more seed")
        return f"{NOT_SIGNIFICANT}, {p}; {seeds} would detect it"


def test_groups(groups: Sequence[Group], reference: Group, metric: Metric) -> list[Significance | None]:
    """Test each shown group against the reference, and correct the p-values for the number of tests.

    Args:
        metric: by which the groups are ranked.

    Returns:
        For each group the result; None for the reference.
    """
    tested = METRICS[TEST] if metric.key == VALIDATION else metric
    results = [None if group is reference else _test(group, reference, tested) for group in groups]
    p_values = [result.p for result in results if isinstance(result, Difference)]
    corrected = iter(statistics.holm(p_values))
    tests: list[Significance | None] = []
    for result in results:
        if isinstance(result, Difference):
            tests.append(Significance(tested, result, next(corrected), _more_seeds(result, len(p_values))))
        else:
            tests.append(None if result is None else Significance(tested, result))
    return tests


def _test(group: Group, reference: Group, tested: Metric) -> Difference | str:
    """Test one group, or say why it is not tested."""
    if group.n == reference.n == 1 and tested.key == TEST:
        return _test_predictions(group, reference)
    if group.n == 1 or reference.n == 1:
        return ONE_SEED
    first, second = group.values(tested), reference.values(tested)
    if first is None or second is None:
        return f"not tested: no {tested.heading}"
    seeds = [seed for seed in group.seeds if seed is not None]
    others = [seed for seed in reference.seeds if seed is not None]
    if len(set(seeds)) == group.n and len(others) == reference.n and sorted(seeds) == sorted(others):
        return statistics.paired(first[np.argsort(seeds)], second[np.argsort(others)]) or NO_SPREAD
    return statistics.welch(first, second) or NO_SPREAD


def _test_predictions(group: Group, reference: Group) -> Difference | str:
    """Test two single runs by their predictions for the same test images."""
    try:
        first, second = group.predictions, reference.predictions
    except UserError as error:
        return f"not tested: {error.cause}"
    if not np.array_equal(first.labels, second.labels):
        return "not tested: predictions for different images"
    return pair_errors(first, second).difference


def _more_seeds(difference: Difference, comparisons: int) -> int | None:
    needed = None if difference.test == "McNemar" else statistics.seeds_needed(difference, comparisons)
    return None if needed is None else max(needed - difference.n, 1)


def format_p_value(p: float) -> str:
    """Format a p-value: = 0.031, or < 0.0001; close to the level, with enough digits to show on which side of it."""
    if p < 0.0001:
        return "< 0.0001"
    digits = next((digits for digits in range(2, 17) if float(f"{p:.{digits}g}") != LEVEL), 2)
    return f"= {p:.{digits}g}"
