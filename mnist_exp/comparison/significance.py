"""Significance tests of groups of runs against a reference.

The test error is tested, unless the user ranks by another metric than the validation error: the best group was chosen by its
validation error, which is therefore too optimistic, while the test images played no part in this choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mnist_exp.comparison import statistics
from mnist_exp.comparison.fields import METRICS, TEST, VALIDATION, Metric
from mnist_exp.comparison.groups import Group
from mnist_exp.comparison.predictions import Predictions, pair_errors, read_predictions
from mnist_exp.comparison.statistics import LEVEL, MAX_SEEDS, MeanDifference
from mnist_exp.errors import UserError
from mnist_exp.run.names import Run

ONE_SEED = "not tested: only one seed"
NOT_SIGNIFICANT = "no significant difference"


@dataclass(frozen=True)
class Significance:
    """The significance of the difference between a group and the reference."""

    metric: Metric  # that is tested
    reason: str = ""  # why there is no test
    test: Literal["McNemar", "paired t", "Welch"] | None = None
    difference: float | None = None  # mean of the group minus mean of the reference
    interval: tuple[float, float] | None = None  # 95 %, not corrected
    p: float | None = None
    means: MeanDifference | None = None  # that was tested; None for McNemar's test
    p_corrected: float | None = None  # Holm correction over all groups that are shown
    more_seeds: int | None = None  # to detect the difference with a power of 0.8; None: unknown or too many

    @property
    def significant(self) -> bool:
        """Whether the corrected p-value is below the level."""
        return self.p_corrected is not None and self.p_corrected < LEVEL

    @property
    def text(self) -> str:
        """The result in one line."""
        if self.p_corrected is None or self.difference is None or self.interval is None:
            return self.reason
        p = f"p {format_p_value(self.p_corrected)}"
        if self.significant:
            better = (self.difference < 0) == self.metric.lower_is_better
            low, high = self.interval if self.difference > 0 else (-self.interval[1], -self.interval[0])
            size = f"{self.metric.format(abs(self.difference))} ({self.metric.format(low)} – {self.metric.format(high)})"
            return f"{'better' if better else 'worse'} by {size}, {p}"
        if self.test == "McNemar":
            return f"{NOT_SIGNIFICANT}, {p}"
        seeds = f"not even {MAX_SEEDS:,}" if self.more_seeds is None else f"{self.more_seeds:,} more"
        return f"{NOT_SIGNIFICANT}, {p}; {seeds} seeds would detect it"


def test_groups(groups: Sequence[Group], reference: Group, metric: Metric) -> list[Significance | None]:
    """Test each group against the reference, and correct the p-values for the number of tests.

    Args:
        groups: the groups that are shown.
        reference: the best group or the baseline.
        metric: the metric of the ranking.

    Returns:
        For each group the result; None for the reference.
    """
    tested = METRICS[TEST] if metric.key == VALIDATION else metric
    predictions = _predictions(reference) if tested.key == TEST and reference.n == 1 else ONE_SEED
    results = [None if group is reference else _test(group, reference, tested, predictions) for group in groups]
    p_values = [result.p for result in results if result is not None and result.p is not None]
    corrected = iter(statistics.holm(p_values))
    return [
        result
        if result is None or result.p is None
        else replace(result, p_corrected=next(corrected), more_seeds=_more_seeds(result.means, len(p_values)))
        for result in results
    ]


def _test(group: Group, reference: Group, tested: Metric, predictions: Predictions | str) -> Significance:
    """Test one group; `predictions` are those of a reference with one run, or why they are missing."""
    if group.n == reference.n == 1 and tested.key == TEST:
        return _test_predictions(_predictions(group), predictions, tested)
    if group.n == 1 or reference.n == 1:
        return Significance(tested, ONE_SEED)
    first, second = group.values(tested), reference.values(tested)
    if first is None or second is None:
        return Significance(tested, f"not tested: no {tested.heading}")
    means = _test_pairs(group, reference, first, second) or statistics.welch(first, second)
    return Significance(tested, "", means.test, means.mean, means.interval, means.p, means)


def _test_predictions(first: Predictions | str, second: Predictions | str, tested: Metric) -> Significance:
    """Test two single runs by their predictions for the same test images."""
    if isinstance(first, str) or isinstance(second, str):
        return Significance(tested, first if isinstance(first, str) else str(second))
    if not np.array_equal(first.labels, second.labels):
        return Significance(tested, "not tested: predictions for different images")
    errors = pair_errors(first, second)
    return Significance(tested, "", "McNemar", errors.difference, errors.interval, errors.p)


def _test_pairs(group: Group, reference: Group, first: np.ndarray, second: np.ndarray) -> MeanDifference | None:
    """Student's paired test; None unless both groups have the same seeds, each once."""
    seeds = [seed for seed in group.seeds if seed is not None]
    others = [seed for seed in reference.seeds if seed is not None]
    if len(set(seeds)) < group.n or len(others) < reference.n or sorted(seeds) != sorted(others):
        return None
    return statistics.paired(first[np.argsort(seeds)], second[np.argsort(others)])


def _predictions(group: Group) -> Predictions | str:
    """The predictions of a single run, or why they are missing."""
    try:
        return read_predictions(Run(group.rows[0].record.directory))
    except UserError as error:
        return f"not tested: {error.cause}"


def _more_seeds(means: MeanDifference | None, comparisons: int) -> int | None:
    needed = None if means is None else statistics.seeds_needed(means, comparisons)
    return None if means is None or needed is None else max(needed - means.n, 1)


def format_p_value(p: float) -> str:
    """Format a p-value: = 0.031, or < 0.0001; close to the level, with enough digits to show on which side of it."""
    if p < 0.0001:
        return "< 0.0001"
    digits = next((digits for digits in range(2, 17) if float(f"{p:.{digits}g}") != LEVEL), 2)
    return f"= {p:.{digits}g}"
