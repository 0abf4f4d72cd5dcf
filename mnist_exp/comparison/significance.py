"""Which differences are real: every group against one of them, in numbers and in words.

What is tested is the test error, unless the user names another number: the best was chosen by its validation error, which
therefore flatters it, and the test images had no part in that choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mnist_exp.comparison import statistics
from mnist_exp.comparison.fields import METRICS, TEST, VALIDATION, Metric
from mnist_exp.comparison.groups import Group
from mnist_exp.comparison.predictions import Predictions, read_predictions
from mnist_exp.comparison.statistics import LEVEL, MOST_SEEDS, Difference, difference_interval, mcnemar_exact
from mnist_exp.errors import UserError
from mnist_exp.run.names import Run

ONE_SEED = "one seed says nothing of a mean"
NOT_SIGNIFICANT = "no significant difference"


@dataclass(frozen=True)
class Significance:
    """How a group stands to the reference."""

    test: Literal["McNemar", "paired t", "Welch"] | None  # None: nothing can be tested
    metric: Metric  # that was tested
    difference: float | None  # of the means, the group's minus the reference's
    interval: tuple[float, float] | None  # 95 %, not corrected
    p: float | None
    p_corrected: float | None  # by Holm, over all groups that are told
    more_seeds: int | None  # beyond those of the smaller group, to tell with a power of 0.8; None: unknown, or too many
    reason: str  # why nothing is tested, or what the test is about

    @property
    def significant(self) -> bool:
        return self.p_corrected is not None and self.p_corrected < LEVEL

    @property
    def text(self) -> str:
        """In a line."""
        if self.p_corrected is None or self.difference is None or self.interval is None:
            return self.reason
        told = f"p {format_p_value(self.p_corrected)}"
        if self.significant:
            better = (self.difference < 0) == self.metric.lower_is_better
            low, high = self.interval if self.difference > 0 else (-self.interval[1], -self.interval[0])
            by = f"{self.metric.format(abs(self.difference))} ({self.metric.format(low)} – {self.metric.format(high)})"
            return f"{'better' if better else 'worse'} by {by}, {told}"
        if self.test == "McNemar":
            return f"{NOT_SIGNIFICANT}, {told}"
        if self.more_seeds is None:
            return f"{NOT_SIGNIFICANT}, {told}; not even {MOST_SEEDS:,} seeds would tell"
        return f"{NOT_SIGNIFICANT}, {told}; {self.more_seeds:,} more seeds would tell"


def judge(groups: Sequence[Group], reference: Group, metric: Metric) -> list[Significance | None]:
    """Each group against the reference, None for itself; p-values corrected over all of them.

    Args:
        groups: those that are told.
        reference: the best, or the user's baseline.
        metric: by which they are ranked.
    """
    tested = METRICS[TEST] if metric.key == VALIDATION else metric
    answers = _answers(reference) if tested.key == TEST and reference.n == 1 else ONE_SEED
    verdicts = [_compared(group, reference, tested, answers) for group in groups if group is not reference]
    known = [verdict.p for verdict in verdicts if verdict.p is not None]
    corrected = iter(statistics.holm(known))
    found = iter([
        Significance(
            test=verdict.test,
            metric=tested,
            difference=verdict.difference,
            interval=verdict.interval,
            p=verdict.p,
            p_corrected=None if verdict.p is None else next(corrected),
            more_seeds=_more(verdict, len(known)),
            reason=verdict.reason,
        )
        for verdict in verdicts
    ])  # fmt: skip
    return [None if group is reference else next(found) for group in groups]


@dataclass(frozen=True)
class _Compared:
    """One comparison, before it is one of many."""

    reason: str = ""
    test: Literal["McNemar", "paired t", "Welch"] | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None
    p: float | None = None
    of_means: Difference | None = None


def _compared(group: Group, reference: Group, tested: Metric, answers: Predictions | str) -> _Compared:
    """One group against the reference, whose answers are given if it is a single run; or why they cannot be."""
    if group.n == reference.n == 1:
        return _networks(_answers(group), answers) if tested.key == TEST else _Compared(reason=ONE_SEED)
    if group.n == 1 or reference.n == 1:
        return _Compared(reason=ONE_SEED)
    first, second = group.values(tested), reference.values(tested)
    if first is None or second is None:
        return _Compared(reason=f"no {tested.heading}")
    found = _paired(group, reference, first, second) or statistics.welch(first, second)
    return _Compared("", found.test, found.mean, found.interval, found.p, found)


def _paired(group: Group, reference: Group, first: np.ndarray, second: np.ndarray) -> Difference | None:
    """A test of pairs, if both groups have the same seeds, each once."""
    seeds = [seed for seed in group.seeds if seed is not None]
    others = [seed for seed in reference.seeds if seed is not None]
    if len(set(seeds)) < group.n or len(others) < reference.n or sorted(seeds) != sorted(others):
        return None
    return statistics.paired(first[np.argsort(seeds)], second[np.argsort(others)])


def _answers(group: Group) -> Predictions | str:
    """What the network of a single run says of the test images; or why that is not known."""
    try:
        return read_predictions(Run(group.rows[0].record.directory))
    except UserError as error:
        return f"cannot be tested: {error.cause}"


def _networks(first: Predictions | str, second: Predictions | str) -> _Compared:
    """Two single runs by their answers to the same test images; of other seeds that says nothing."""
    if isinstance(first, str) or isinstance(second, str):
        return _Compared(reason=first if isinstance(first, str) else str(second))
    if not np.array_equal(first.labels, second.labels):
        return _Compared(reason="cannot be tested: predictions of other images")
    wrong, other_wrong = first.answers != first.labels, second.answers != second.labels
    only, only_other = int((wrong & ~other_wrong).sum()), int((other_wrong & ~wrong).sum())
    difference, interval = 100 * (only - only_other) / len(wrong), difference_interval(only, only_other, len(wrong))
    return _Compared("", "McNemar", difference, interval, mcnemar_exact(only, only_other))


def _more(compared: _Compared, comparisons: int) -> int | None:
    if compared.of_means is None:
        return None
    needed = statistics.seeds_needed(compared.of_means, comparisons)
    return None if needed is None else max(needed - compared.of_means.n, 1)


def format_p_value(p: float) -> str:
    """A p-value for people: = 0.031, or < 0.0001; one beside the level with the digits that tell on which side it is."""
    if p < 0.0001:
        return "< 0.0001"
    digits = next((digits for digits in range(2, 17) if float(f"{p:.{digits}g}") != LEVEL), 2)
    return f"= {p:.{digits}g}"
