"""The ranking of groups of runs, with a significance test of each group against the best or the baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mnist_exp.comparison import looks, significance
from mnist_exp.comparison.fields import METRICS, TEST, VALIDATION, Metric, check_fields, field_value
from mnist_exp.comparison.groups import Group, comparable_sets, group_runs, select_comparable
from mnist_exp.comparison.looks import Looks
from mnist_exp.comparison.rows import Row, differing_settings
from mnist_exp.comparison.significance import Question, Significance, Tests
from mnist_exp.config.conversions import format_value
from mnist_exp.config.identity import CONTENT_HASHES
from mnist_exp.errors import InputError


@dataclass(frozen=True)
class Line:
    """A line of a comparison: a group and its rank."""

    rank: int  # by the metric, from 1
    group: Group
    significance: Significance | None  # None for the reference


@dataclass(frozen=True)
class Comparison:
    """The result of comparing runs."""

    metric: Metric
    lines: Sequence[Line]  # in the order of the table
    groups: Sequence[Group]  # by rank, also those beyond `--top`
    settings: Sequence[str]  # those that differ between the groups
    reference: Group | None  # the group that the others are tested against; None if there is no group
    reference_name: Literal["baseline", "best"]
    tests: Tests | None  # of all groups; None if there is no group
    not_ranked: Mapping[str, Sequence[Row]]  # runs by the reason why they cannot be ranked with the others
    superseded: int  # number of runs that a later run with the same configuration and seed replaces
    looks: Looks | None  # that were planned for the sweeps of the runs
    equivalence: float | None  # the difference of two test errors below which they count as equal
    images: Mapping[str, Any] = field(default_factory=dict)  # how its images differ from those of other comparisons

    def ask(self, question: Question) -> "Comparison":
        """Return this comparison with the tests that answer a question."""
        if self.reference is None:
            return self
        is_baseline = self.reference_name == "baseline"
        tests = significance.compare_with(
            self.reference, self.groups, self.metric, question, is_baseline, self.equivalence, self.looks
        )
        results = dict(zip(map(id, self.groups), tests.results, strict=True))
        return replace(
            self, tests=tests, lines=[Line(line.rank, line.group, results[id(line.group)]) for line in self.lines]
        )

    @property
    def title(self) -> str:
        """How its images differ from those of other comparisons, such as dataset.name=kmnist; empty without others."""
        return ", ".join(f"{key}={format_value(value)}" for key, value in self.images.items())

    @property
    def has_repetitions(self) -> bool:
        """Whether a group has several runs."""
        return any(line.group.n > 1 for line in self.lines)

    @property
    def open_groups(self) -> list[Group]:
        """The groups that more seeds could decide, together with the reference; of those that are shown."""
        undecided = [line.group for line in self.lines if line.significance is not None and line.significance.can_be_decided]
        return [self.reference, *undecided] if undecided and self.reference is not None else []

    @property
    def shown_metrics(self) -> list[Metric]:
        """The metric of the ranking and, next to a validation error, the test error."""
        return [self.metric, METRICS[TEST]] if self.metric.key == VALIDATION else [self.metric]


def compare(
    rows: Sequence[Row],
    metric: Metric | None = None,
    by: Sequence[str] | None = None,
    sort: Sequence[str] = (),
    top: int | None = None,
    baseline: Row | None = None,
    question: Question = "new images",
    equivalence: float | None = None,
    planned: Looks | None = None,
) -> Comparison:
    """Rank runs and test which differences are significant.

    Args:
        metric: to rank by; None for the validation error or, without validation images, the test error.
        by: the fields that the runs of a group share; None for the configuration without seed.
        sort: the fields to sort the lines by instead of the rank; a field with a leading - sorts in descending order.
        top: the maximum number of lines.
        baseline: a run of the group to test against; None for the best group.
        question: whether the differences are those on new test images or on these.
        equivalence: the difference of two test errors, in percentage points, below which they count as equal.
        planned: looks; None for those that were planned for the sweeps of the runs.

    Raises:
        InputError: a field is unknown, or the baseline has no result.
        IntegrityError: a file with planned looks is damaged.
    """
    check_fields([key.removeprefix("-") for key in sort], rows, "--sort")
    check_fields(by or (), rows, "--by")
    if baseline is not None and baseline.record.summary is None:
        raise InputError(f"--baseline {baseline.name}: has no result: {baseline.record.status}", "choose a completed run")
    ranked, not_ranked, metric = select_comparable(rows, metric, baseline)
    groups = _sorted(group_runs(ranked, by), [metric.key if metric.lower_is_better else f"-{metric.key}"])
    ranks = {id(group): rank for rank, group in enumerate(groups, 1)}
    return Comparison(
        metric=metric,
        lines=[Line(ranks[id(group)], group, None) for group in _sorted(groups, sort)[:top]],
        groups=groups,
        settings=list(groups[0].settings) if groups else [],
        reference=_reference(groups, baseline),
        reference_name="best" if baseline is None else "baseline",
        tests=None,
        not_ranked=not_ranked,
        superseded=len(ranked) - sum(group.n for group in groups),
        looks=planned or looks.of_sweeps(ranked),
        equivalence=equivalence,
    ).ask(question)


def compare_each(rows: Sequence[Row], planned: Looks | None = None) -> list[Comparison]:
    """Compare each set of runs that can be ranked together, such as those of one data set: see `comparable_sets`.

    Runs without a result are in the first comparison. Several comparisons have titles.
    """
    first, *others = comparable_sets(rows) or [[]]
    without_result = [row for row in rows if row.record.summary is None]
    comparisons = [compare(one, planned=planned) for one in ([*first, *without_result], *others)]
    if not others:
        return comparisons
    examples = [first[0], *(one[0] for one in others)]
    settings = [key for key in differing_settings(examples) if key.startswith("dataset.")]
    within = {key for one in (first, *others) for key in differing_settings(one)}  # settings of some runs of a set only
    keys = [key for key in settings if key not in {*CONTENT_HASHES.values(), *within}]
    images = [{key: field_value(row, key) for key in keys} or {"images": place} for place, row in enumerate(examples, 1)]
    return [replace(comparison, images=one) for comparison, one in zip(comparisons, images, strict=True)]


def _reference(groups: Sequence[Group], baseline: Row | None) -> Group | None:
    if baseline is None:
        return groups[0] if groups else None
    for group in groups:
        if baseline in group.rows:
            return group
    cause = f"--baseline {baseline.name}: a later run has the same configuration and seed"
    raise InputError(cause, "choose the later run, or compare single runs: --by run")


def _sorted(groups: Sequence[Group], sort: Sequence[str]) -> list[Group]:
    """Sort by fields, the first field first: numbers before text, and groups without a value last."""
    ordered = list(groups)
    for key in reversed(sort):
        name = key.removeprefix("-")
        values = {id(group): _value(group, name) for group in ordered}
        ordered.sort(key=lambda group: _sort_key(values[id(group)]), reverse=key.startswith("-"))
        ordered.sort(key=lambda group: values[id(group)] is None)
    return ordered


def _value(group: Group, key: str) -> Any:
    return group.mean(METRICS[key]) if key in METRICS else field_value(group.rows[0], key)


def _sort_key(value: Any) -> tuple[bool, float, str]:
    return (False, float(value), "") if isinstance(value, (int, float)) else (True, 0.0, str(value))
