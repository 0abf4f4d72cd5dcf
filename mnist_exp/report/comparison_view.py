"""A board as its page shows it: configurations with their labels and marks, the curves of their runs, what is not ranked."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mnist_exp.comparison import export
from mnist_exp.comparison.fields import Metric
from mnist_exp.comparison.ranking import Comparison, Line, shown_metrics
from mnist_exp.comparison.rows import Row
from mnist_exp.config.identity import brief
from mnist_exp.report.configurations import Configuration, Curve, legend
from mnist_exp.report.encodings import Mark
from mnist_exp.report.setting_values import short
from mnist_exp.run import history
from mnist_exp.run.names import Run

LABEL_CHARACTERS = 60


@dataclass(frozen=True)
class UnrankedRun:
    """A run that is not ranked, and why."""

    row: Row
    reason: str


@dataclass(frozen=True)
class ComparisonView:
    """What a page shows of a board."""

    title: str
    board: Comparison

    @property
    def error(self) -> str:
        """By what it ranks, in words."""
        return self.board.metric.heading

    @cached_property
    def lines(self) -> list[dict[str, Any]]:
        """As in leaderboard.json."""
        return [export.line_to_json(self.board, line) for line in self.board.lines]

    @property
    def metrics(self) -> list[tuple[str, Metric]]:
        """The numbers of every line that are told with their spread, under their keys in a line."""
        ranked, *others = shown_metrics(self.board)
        return [("ranked_by", ranked), *(("test", other) for other in others)]

    @property
    def against(self) -> str:
        """What the verdicts are against."""
        return "the baseline" if self.board.has_baseline else "the best"

    @cached_property
    def configurations(self) -> list[Configuration]:
        """The lines as they are drawn, but for those that lack the number."""
        return [
            _configuration(line, told, self.board.metric)
            for line, told in zip(self.board.lines, self.lines, strict=True)
            if told["ranked_by"] is not None
        ]

    @cached_property
    def curves(self) -> list[Curve]:
        """Of every run that has one; of those apart, of those without a result."""
        labels = self.labels
        found = [
            _curve(row, labels.get(row.name), f"seed {summary.seed}")
            for line in self.board.lines
            for row, summary in zip(line.group.rows, line.group.summaries, strict=True)
        ]
        unfinished = [one.row for one in self.unranked if one.row.record.summary is None]
        # No rank leads to the settings of these.
        found += [_curve(row, None, f"{row.record.status}, seed {row.settings.get('seed', '?')}") for row in unfinished]
        return [curve for curve in found if curve is not None]

    @cached_property
    def unranked(self) -> list[UnrankedRun]:
        """What is not ranked, run by run."""
        return [UnrankedRun(row, apart.reason) for apart in self.board.not_ranked for row in apart.rows]

    @cached_property
    def marks(self) -> list[Mark]:
        """What stands for what, in every chart."""
        return legend(self.configurations, any(curve.label is None for curve in self.curves))

    @cached_property
    def labels(self) -> dict[str, str]:
        """Of the configurations, by the names of their runs."""
        known = {one.rank: one.label for one in self.configurations}
        return {row.name: known[line.rank] for line in self.board.lines if line.rank in known for row in line.group.rows}


def _configuration(line: Line, told: Mapping[str, Any], metric: Metric) -> Configuration:
    values = line.group.values(metric)
    return Configuration(
        rank=line.rank,
        label=f"{line.rank} · {_label(told, line.group.rows[0].settings)}",
        settings=told["settings"],
        errors=[] if values is None else values.tolist(),
        mean=told["ranked_by"]["mean"],
        interval=told["ranked_by"]["ci95"],
        parameters=round(told["parameters"]),
        seconds=told["train_seconds"],
    )


def _label(told: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """The settings that differ, in short: a group by its option alone, nothing of what is not there; else the name."""
    parts = []
    for key, value in told["settings"].items():
        if value is None and key not in known:
            continue
        parts.append(short(value) if key.endswith(".name") else f"{brief(key)}={short(value)}")
    label = " ".join(parts) or str(told["name"])
    return label if len(label) <= LABEL_CHARACTERS else f"{label[: LABEL_CHARACTERS - 1]}…"


def _curve(row: Row, label: str | None, told: str) -> Curve | None:
    """The validation error of a run by epoch, as far as it came; None if it has none."""
    points = [
        (epoch.epoch, epoch.validation_error_percent)
        for epoch in history.read(Run(row.record.directory).history)
        if epoch.validation_error_percent is not None
    ]
    if not points:
        return None
    epochs, errors = zip(*points, strict=True)
    return Curve(row.name, label, told, np.array(epochs), np.array(errors))
