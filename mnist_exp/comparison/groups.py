"""Rows → groups of runs that are one configuration, or agree in what the user names; and what cannot be ranked with them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mnist_exp.comparison import fields
from mnist_exp.comparison.fields import RUN, Metric
from mnist_exp.comparison.rows import Row, differing_settings
from mnist_exp.config.problems import show
from mnist_exp.run.directory import last_change
from mnist_exp.run.names import Run
from mnist_exp.run.summary import Summary

UNFINISHED = frozenset({"waiting", "running", "interrupted", "pruned", "incomplete"})
MOST_LABELS = 3  # that are named
WITH_THE_OTHERS = f"--metric {fields.TEST} ranks all together"


@dataclass(frozen=True)
class Group:
    """Completed runs that are repetitions of each other: the same configuration, each with a seed of its own."""

    rows: Sequence[Row]
    settings: dict[str, Any]  # in which the groups of a comparison differ

    @cached_property
    def summaries(self) -> Sequence[Summary]:
        """Those of the rows."""
        return [row.record.summary for row in self.rows if row.record.summary is not None]

    @property
    def n(self) -> int:
        return len(self.rows)

    @property
    def label(self) -> str:
        """The label that its runs share, or the first of several and how many there are beyond these."""
        labels = list(dict.fromkeys(summary.name for summary in self.summaries))
        more = len(labels) - MOST_LABELS
        return ", ".join(labels[:MOST_LABELS]) + (f" and {more:,} more" if more > 0 else "")

    @property
    def name(self) -> str:
        """Its label; of a single run, that run's own name."""
        return self.rows[0].name if self.n == 1 else self.label

    @property
    def seeds(self) -> list[int | None]:
        """Of each run; an ensemble has none."""
        return [summary.seed for summary in self.summaries]

    def values(self, metric: Metric) -> np.ndarray | None:
        """A number of each run, float64 (n,); None if a run does not have it."""
        found = [metric.of(summary) for summary in self.summaries]
        return None if None in found else np.array(found, np.float64)

    def mean(self, metric: Metric) -> float | None:
        values = self.values(metric)
        return None if values is None else float(values.mean())


@dataclass(frozen=True)
class NotRanked:
    """What cannot be ranked with the rest: runs that belong together, and the reason."""

    rows: Sequence[Row]
    reason: str


def select_comparable(
    rows: Sequence[Row], metric: Metric | None, reference: Row | None
) -> tuple[list[Row], list[NotRanked], Metric]:
    """The runs that can be ranked with each other, the others, and by what to rank.

    Runs are comparable if their numbers are of the same images with the same labels. Of several such sets, that of the
    reference is taken or else the largest, and of equals the one with the latest run.

    Args:
        rows: all of them.
        metric: to rank by; None for the validation error or, where the set has no validation images, the test error.
        reference: a run that must be among those that are ranked.
    """
    apart: dict[str, list[Row]] = {}
    sets: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if row.record.summary is None:
            apart.setdefault(_status(row), []).append(row)
        else:
            sets.setdefault(_images(row.record.summary, metric), []).append(row)
    if not sets:
        return [], [NotRanked(members, reason) for reason, members in apart.items()], metric or fields.METRICS[fields.TEST]

    def weight(members: Sequence[Row]) -> tuple[bool, int, int]:
        latest = max(last_change(Run(row.record.directory)) for row in members) if len(sets) > 1 else 0
        return reference in members, len(members), latest

    taken = max(sets.values(), key=weight)
    first = _summary(taken[0])
    for members in sets.values():
        if members is not taken:
            apart.setdefault(_difference(_summary(members[0]), first), []).extend(members)
    chosen = metric or fields.METRICS[fields.VALIDATION if first.validation is not None else fields.TEST]
    return taken, [NotRanked(members, reason) for reason, members in apart.items()], chosen


def grouped(rows: Sequence[Row], by: Sequence[str] | None) -> list[Group]:
    """Completed runs by configuration without seed, in any order.

    Of several runs of one configuration with one seed only the latest counts: a repetition of the same numbers is no
    further evidence.

    Args:
        rows: completed runs.
        by: the fields that the runs of a group share, in place of all settings but the seed; `run` alone takes each run
            by itself.
    """
    members: dict[str, list[Row]] = {}
    for row in rows if by == [RUN] else _latest(rows):
        members.setdefault(str(row.record.directory) if by == [RUN] else _key(row, by), []).append(row)
    firsts = [group[0] for group in members.values()]
    if by is None or by == [RUN]:
        keys = differing_settings(firsts, apart_from=frozenset({"seed"} if by is None else ()))
        return [Group(group, {key: group[0].settings.get(key) for key in keys}) for group in members.values()]
    return [Group(group, {key: fields.value(group[0], key) for key in by}) for group in members.values()]


def _key(row: Row, by: Sequence[str] | None) -> str:
    if by is None:
        return _summary(row).config_hash
    return repr([fields.value(row, key) for key in by])


def _latest(rows: Sequence[Row]) -> list[Row]:
    """The rows, of those with one configuration and one seed the latest."""
    identities = Counter((_summary(row).config_hash, _summary(row).seed) for row in rows)
    if len(identities) == len(rows):
        return list(rows)
    latest: dict[tuple[str, int | None], Row] = {}
    for row in sorted(rows, key=lambda row: last_change(Run(row.record.directory))):
        latest[_summary(row).config_hash, _summary(row).seed] = row
    kept = {id(row) for row in latest.values()}
    return [row for row in rows if id(row) in kept]


def _images(summary: Summary, metric: Metric | None) -> tuple[str, ...]:
    """What must be the same for two runs to be ranked: the data and, where validation images decide, which these are."""
    data = summary.dataset
    split = (data.split_sha256,) if metric is None or metric.images == "validation" else ()
    return (data.sha256, data.labels_sha256, *split)


def _difference(summary: Summary, taken: Summary) -> str:
    """Why a run is not ranked with others."""
    data, other = summary.dataset, taken.dataset
    if data.sha256 != other.sha256:
        return f"other data: {data.name} with SHA-256 {data.sha256[:12]}"
    if data.labels_sha256 != other.labels_sha256:
        return "other labels of the test images"
    if not data.validation or not other.validation:
        return f"{'with' if data.validation else 'no'} validation images; {WITH_THE_OTHERS}"
    keys = ("dataset.split_seed", "dataset.validation", "dataset.limit")
    told = [
        f"{key}={show(summary.settings.get(key))}" for key in keys if summary.settings.get(key) != taken.settings.get(key)
    ]
    return f"other validation images: {', '.join(told) or 'another split'}; {WITH_THE_OTHERS}"


def _status(row: Row) -> str:
    return "unfinished" if row.record.status in UNFINISHED else row.record.status


def _summary(row: Row) -> Summary:
    if row.record.summary is None:
        raise ValueError(f"{row.name} has no result")
    return row.record.summary


def ordered(groups: Iterable[Group], metric: Metric) -> list[Group]:
    """Best mean first; those that lack the number come last."""

    def rank(group: Group) -> float:
        mean = group.mean(metric)
        return float("inf") if mean is None else mean if metric.lower_is_better else -mean

    return sorted(groups, key=rank)
