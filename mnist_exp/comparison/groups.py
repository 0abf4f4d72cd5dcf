"""Groups of runs that share a configuration or the settings of `--by`, and the runs that cannot be ranked with them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mnist_exp.comparison.fields import METRICS, RUN, TEST, VALIDATION, Metric, field_value
from mnist_exp.comparison.predictions import read_image_groups, read_predictions
from mnist_exp.comparison.repetitions import Repetitions
from mnist_exp.comparison.rows import Row, differing_settings
from mnist_exp.comparison.statistics import mean_interval
from mnist_exp.config.conversions import format_value
from mnist_exp.errors import UserError
from mnist_exp.runs.status import UNFINISHED
from mnist_exp.runs.summary import Summary
from mnist_exp.terminal.messages import join_some

MAX_LABELS = 3  # in the name of a group
RANK_BY_TEST = f"--metric {TEST} ranks all runs together"


@dataclass(frozen=True)
class Group:
    """Completed runs that are ranked as one: by default the repetitions of one configuration, each with its own seed."""

    rows: Sequence[Row]
    settings: dict[str, Any]  # those that differ between the groups of a comparison

    @cached_property
    def summaries(self) -> Sequence[Summary]:
        return [row.summary for row in self.rows]

    @cached_property
    def wrong_images(self) -> np.ndarray | str:
        """For each run a bit for each test image that is classified wrongly, uint8 (n, ⌈N / 8⌉); or why it is unknown."""
        try:
            return np.stack([_wrong_bits(row) for row in self.rows])
        except UserError as error:
            return error.cause

    @cached_property
    def repetitions(self) -> Repetitions:
        """The wrong test images of the runs; ValueError if they are unknown."""
        if isinstance(self.wrong_images, str) or isinstance(self.image_groups, str):
            raise ValueError(self.unknown)
        return Repetitions(self.wrong_images, self.summaries[0].test.n, self.image_groups)

    @cached_property
    def image_groups(self) -> np.ndarray | str | None:
        """The group of each test image, such as its writer, int (N,); None without groups; or why they are unknown."""
        stated = self.summaries[0].image_groups
        try:
            return None if stated is None else read_image_groups(self.rows[0].tested, stated, self.summaries[0].test.n)
        except UserError as error:
            return error.cause

    @property
    def unknown(self) -> str | None:
        """Why the wrong images, or their groups, are unknown; None if they are known."""
        if isinstance(self.wrong_images, str):
            return self.wrong_images
        return self.image_groups if isinstance(self.image_groups, str) else None

    @property
    def spread(self) -> dict[str, float] | None:
        """The standard deviation of the test error over seeds, in percentage points; None for one run or unknown images.

        `images` is the part that finite test images make, `seeds` would remain with infinitely many; their squares add up.
        """
        if self.n == 1 or self.unknown:
            return None
        variance, residual, scale = self.repetitions.variance, self.repetitions.residual, 100 / self.repetitions.n
        parts = {"std": variance, "images": min(residual, variance), "seeds": max(variance - residual, 0.0)}
        return {name: scale * math.sqrt(value) for name, value in parts.items()}

    @property
    def n(self) -> int:
        return len(self.rows)

    @property
    def label(self) -> str:
        """The label of the runs; if they have several, the first of them and the number of the others."""
        return join_some(list(dict.fromkeys(summary.name for summary in self.summaries)), MAX_LABELS)

    @property
    def name(self) -> str:
        """The label; for a single run, the name of the run."""
        return self.rows[0].name if self.n == 1 else self.label

    @property
    def seeds(self) -> list[int | None]:
        """The seed of each run; None for an ensemble."""
        return [summary.seed for summary in self.summaries]

    def values(self, metric: Metric) -> np.ndarray | None:
        """Return the metric of each run, float64 (n,); None if a run does not have it."""
        values = [metric.read(summary) for summary in self.summaries]
        return None if None in values else np.array(values, np.float64)

    def mean(self, metric: Metric) -> float | None:
        """Return the mean of the metric over the runs; None if a run does not have it."""
        values = self.values(metric)
        return None if values is None else _mean(values)

    def statistics(self, metric: Metric) -> dict[str, Any] | None:
        """Return the mean, standard deviation, 95 % interval of the mean and best value of the metric over the runs."""
        values = self.values(metric)
        if values is None:
            return None
        return {
            "mean": _mean(values),
            "std": float(values.std(ddof=1)) if len(values) > 1 else None,
            "ci95": mean_interval(values, 0, metric.maximum),
            "best": min(values.tolist()) if metric.lower_is_better else max(values.tolist()),
        }


def _mean(values: np.ndarray) -> float:
    return float(values.mean() if len(values) > 1 else values[0])  # faster, for thousands of single runs


def select_comparable(
    rows: Sequence[Row], metric: Metric | None, reference: Row | None
) -> tuple[list[Row], dict[str, list[Row]], Metric]:
    """Select the runs that can be ranked together: those evaluated on the same images with the same labels.

    Args:
        metric: to rank by; None for the validation error or, without validation images, the test error.
        reference: a run of the set that is selected; None for the first of `comparable_sets`.

    Returns:
        The selected runs, the others by the reason why they cannot be ranked with them, and the metric.
    """
    not_ranked: dict[str, list[Row]] = {}
    for row in rows:
        if row.record.summary is None:
            reason = "unfinished" if row.record.status in UNFINISHED else row.record.status
            not_ranked.setdefault(reason, []).append(row)

    selected, *others = comparable_sets(rows, metric, reference) or [[]]
    for members in others:
        not_ranked.setdefault(_difference(members[0].summary, selected[0].summary), []).extend(members)
    if metric is None:
        metric = METRICS[VALIDATION if selected and selected[0].summary.validation is not None else TEST]
    return selected, not_ranked, metric


def comparable_sets(rows: Sequence[Row], metric: Metric | None = None, reference: Row | None = None) -> list[list[Row]]:
    """Divide completed runs into those that were evaluated on the same images with the same labels.

    The first is the set of the reference, or else the one with the most runs, or else the one with the latest run.
    """
    sets: dict[tuple[str | int, ...], list[Row]] = {}
    for row in rows:
        if row.record.summary is not None:
            sets.setdefault(_evaluated_images(row.record.summary, metric), []).append(row)
    if len(sets) < 2:  # the times are in a file of each run, which is read only if they decide
        return list(sets.values())
    return sorted(sets.values(), key=lambda one: (reference in one, len(one), max(row.time for row in one)), reverse=True)


def group_runs(rows: Sequence[Row], by: Sequence[str] | None) -> list[Group]:
    """Group completed runs by configuration without seed, or by some fields.

    If several runs have the same configuration and seed, only the latest counts: a repeated number is no new evidence.

    Args:
        by: the fields that the runs of a group share; None for the configuration without seed, `run` for single runs.
    """
    each_run = by == [RUN]
    members: dict[str, list[Row]] = {}
    for row in rows if each_run else _latest(rows):
        key = row.summary.config_hash if by is None else repr([field_value(row, field) for field in by])
        members.setdefault(key, []).append(row)
    firsts = [group[0] for group in members.values()]
    fields = differing_settings(firsts, frozenset() if each_run else frozenset({"seed"})) if by is None or each_run else by
    return [Group(group, {key: field_value(group[0], key) for key in fields}) for group in members.values()]


def _wrong_bits(row: Row) -> np.ndarray:
    """Return the wrong test images of a run, of an earlier version from its predictions; UserError without them."""
    if (bits := row.summary.wrong_bits) is not None:
        return bits
    predictions = read_predictions(row.tested, row.summary.test)
    return np.packbits(predictions.classes != predictions.labels)


def _latest(rows: Sequence[Row]) -> list[Row]:
    """Return the latest run of each configuration and seed."""
    repeated: dict[tuple[str, int | None], list[Row]] = {}
    for row in rows:
        repeated.setdefault((row.summary.config_hash, row.summary.seed), []).append(row)
    older = {id(row) for same in repeated.values() if len(same) > 1 for row in sorted(same, key=lambda row: row.time)[:-1]}
    return [row for row in rows if id(row) not in older]


def _evaluated_images(summary: Summary, metric: Metric | None) -> tuple[str | int, ...]:
    """Return what must match to rank two runs together: hashes of the data and, to rank by validation, of the split."""
    data, groups = summary.dataset, "" if summary.image_groups is None else summary.image_groups.sha256
    split = (data.split_sha256,) if metric is None or metric.images == "validation" else ()
    return (data.sha256, data.labels_sha256, summary.test.n, groups, *split)


def _difference(summary: Summary, selected: Summary) -> str:
    """Return the reason why a run cannot be ranked with the selected ones."""
    data, other = summary.dataset, selected.dataset
    if data.sha256 != other.sha256:
        return f"different data: {data.name} with SHA-256 {data.sha256[:12]}"
    if data.labels_sha256 != other.labels_sha256:
        return "different labels of the test images"
    if summary.test.n != selected.test.n:
        return f"evaluated on {summary.test.n:,} test images"
    if len({one.image_groups and one.image_groups.sha256 for one in (summary, selected)}) > 1:
        return "different groups of the test images"
    if not data.validation or not other.validation:
        return f"{'with' if data.validation else 'no'} validation images; {RANK_BY_TEST}"
    settings, others = summary.settings, selected.settings
    keys = ("dataset.split_seed", "dataset.validation", "dataset.limit")
    differences = [f"{key}={format_value(settings.get(key))}" for key in keys if settings.get(key) != others.get(key)]
    return f"different validation images: {', '.join(differences) or 'different split'}; {RANK_BY_TEST}"
