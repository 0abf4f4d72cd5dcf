"""Rows → a board: groups in order, what each came to, how it stands to the best, and what is not ranked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mnist_exp.comparison import fields, significance
from mnist_exp.comparison.fields import METRICS, TEST, VALIDATION, Metric
from mnist_exp.comparison.groups import Group, NotRanked, grouped, ordered, select_comparable
from mnist_exp.comparison.rows import Row
from mnist_exp.comparison.significance import Significance
from mnist_exp.comparison.statistics import mean_interval
from mnist_exp.errors import InputError


@dataclass(frozen=True)
class Line:
    """A group in its place."""

    rank: int  # by the metric, from 1
    group: Group
    significance: Significance | None  # None for the reference itself


@dataclass(frozen=True)
class Comparison:
    """What a comparison came to."""

    metric: Metric
    lines: Sequence[Line]  # in the order in which they are told
    total: int  # groups, before the best were taken
    settings: Sequence[str]  # in which the groups differ
    reference: Group | None  # that the others are tested against; None if there is no group
    has_baseline: bool  # whether the user named it; else it is the best
    not_ranked: Sequence[NotRanked]
    superseded: int = 0  # runs that do not count, since a later one has the same configuration and seed

    @property
    def has_repetitions(self) -> bool:
        """Whether a mean is one of several runs."""
        return any(line.group.n > 1 for line in self.lines)


def compare(
    rows: Sequence[Row],
    metric: Metric | None = None,
    by: Sequence[str] | None = None,
    sort: Sequence[str] = (),
    top: int | None = None,
    baseline: Row | None = None,
) -> Comparison:
    """Rank what can be ranked, and say which differences are real.

    Args:
        rows: the runs.
        metric: to rank by; None for the validation error or, where there is none, the test error.
        by: fields that make a group, in place of the whole configuration without the seed.
        sort: fields to order the lines by, in place of their rank; with a - before it, from high to low.
        top: how many lines at most.
        baseline: a run of the group to test against, in place of the best.

    Raises:
        InputError: a field that no run has, or a baseline without a result.
    """
    fields.check([key.removeprefix("-") for key in sort], rows, "--sort")
    fields.check(by or (), rows, "--by")
    if baseline is not None and baseline.record.summary is None:
        cause = f"--baseline {baseline.name}: has no result: {baseline.record.status}"
        raise InputError(cause, "name a run that completed")
    ranked, apart, metric = select_comparable(rows, metric, baseline)
    groups = ordered(grouped(ranked, by), metric)
    reference = _reference(groups, baseline)
    ranks = {id(group): rank for rank, group in enumerate(groups, 1)}
    shown = _sorted(groups, sort)[:top]
    verdicts = [] if reference is None else significance.judge(shown, reference, metric)
    lines = [Line(ranks[id(group)], group, verdict) for group, verdict in zip(shown, verdicts, strict=True)]
    settings = list(groups[0].settings) if groups else []
    repeats = len(ranked) - sum(group.n for group in groups)
    return Comparison(metric, lines, len(groups), settings, reference, baseline is not None, apart, repeats)


def spread(group: Group, metric: Metric) -> dict[str, Any] | None:
    """Of a number over the runs of a group: mean, standard deviation, 95 % interval of the mean, and the best."""
    values = group.values(metric)
    if values is None:
        return None
    return {
        "mean": float(values.mean()),
        "std": float(values.std(ddof=1)) if len(values) > 1 else None,
        "ci95": mean_interval(values, 0, metric.most),
        "best": float(values.min() if metric.lower_is_better else values.max()),
    }


def shown_metrics(board: Comparison) -> list[Metric]:
    """The number that ranks and, beside a validation error, the test error."""
    return [board.metric, METRICS[TEST]] if board.metric.key == VALIDATION else [board.metric]


def _reference(groups: Sequence[Group], baseline: Row | None) -> Group | None:
    if baseline is None:
        return groups[0] if groups else None
    directory = baseline.record.directory.resolve()
    for group in groups:
        if any(row.record.directory.resolve() == directory for row in group.rows):
            return group
    cause = f"--baseline {baseline.name}: a later run of the same configuration and seed counts in its place"
    raise InputError(cause, "name that one, or compare run by run: --by run")


def _sorted(groups: Sequence[Group], sort: Sequence[str]) -> list[Group]:
    """In the order of fields, the last first; a text after all numbers, and what is missing after both."""
    found = list(groups)
    for key in reversed(sort):
        down = key.startswith("-")
        name = key.removeprefix("-")
        known = [group for group in found if _value(group, name) is not None]
        missing = [group for group in found if _value(group, name) is None]
        found = sorted(known, key=lambda group: _order(_value(group, name)), reverse=down) + missing
    return found


def _value(group: Group, key: str) -> Any:
    return group.mean(METRICS[key]) if key in METRICS else fields.value(group.rows[0], key)


def _order(value: Any) -> tuple[bool, float, str]:
    number = isinstance(value, (int, float))
    return not number, float(value) if number else 0.0, "" if number else str(value)
