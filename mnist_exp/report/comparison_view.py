"""The content of a comparison's page: configurations with their styles, the curves of their runs, and the unranked runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mnist_exp.comparison import export, verdicts
from mnist_exp.comparison.fields import Metric
from mnist_exp.comparison.groups import Group
from mnist_exp.comparison.ranking import Comparison
from mnist_exp.comparison.rows import Row
from mnist_exp.comparison.significance import Question
from mnist_exp.config.conversions import format_value
from mnist_exp.config.identity import short_key
from mnist_exp.report.encodings import UNFINISHED, Style, style_of
from mnist_exp.report.setting_values import short
from mnist_exp.runs import history
from mnist_exp.runs.run import Run

LABEL_CHARACTERS = 60
IMAGE_QUESTIONS: Sequence[Question] = ("new images", "these images")


@dataclass(frozen=True)
class Configuration:
    """A line of the leaderboard for the charts; errors are in percent."""

    rank: int
    name: str  # the settings in which it differs, in short
    label: str  # rank and name: no other configuration has the same
    settings: Mapping[str, Any]  # in which the configurations differ
    errors: Sequence[float]  # of each run
    mean: float
    interval: tuple[float, float] | None
    parameters: int
    seconds: float
    style: Style
    runs: Sequence[Row] = ()
    spread: Mapping[str, float] | None = None  # of the test error over seeds: see Group.spread

    @property
    def overrides(self) -> str:
        """Its settings as in overrides."""
        return ", ".join(f"{key}={format_value(value)}" for key, value in self.settings.items())


@dataclass(frozen=True)
class Curve:
    """The validation error of a run by epoch."""

    epochs: np.ndarray  # int64 (n,), n ≥ 1
    errors: np.ndarray  # in percent, float64 (n,)
    style: Style
    labels: Mapping[str, str]  # of the run, of its configuration, and of the repetition: its seed


@dataclass(frozen=True)
class Answer:
    """The verdicts of a comparison that answer one question."""

    heading: str  # of their column
    question: str  # in words
    verdicts: Sequence[str]  # by line
    notes: Sequence[str]  # how they were tested


@dataclass(frozen=True)
class ComparisonView:
    """A board with what its page shows in addition."""

    board: Comparison

    @property
    def metrics(self) -> list[tuple[str, Metric]]:
        """The metrics with a mean and an interval in each line, by their key in `lines`."""
        ranked, *others = self.board.shown_metrics
        return [("ranked_by", ranked), *(("test", other) for other in others)]

    @cached_property
    def lines(self) -> list[dict[str, Any]]:
        """The lines of the leaderboard, as in leaderboard.json."""
        return [export.line_to_json(self.board, line) for line in self.board.lines]

    @cached_property
    def answers(self) -> list[Answer]:
        """The verdicts of the board, and those that answer the other question if they can have one."""
        boards = {self.board.tests.question: self.board} if self.board.tests else {}
        if boards and verdicts.subject(self.board) != "two networks":
            others = [self.board.ask(question) for question in IMAGE_QUESTIONS if question not in boards]
            boards |= {other.tests.question: other for other in others if other.tests and verdicts.subject(other)}
        return [_answer(question, board) for question, board in boards.items()]

    @property
    def lines_have_own_names(self) -> bool:
        """Whether a name says more than the setting model.name, where that has a column."""
        return any(line["name"] != line["settings"].get("model.name") for line in self.lines)

    @cached_property
    def configurations(self) -> list[Configuration]:
        """The lines that have a value of the metric, in the order of the leaderboard."""
        pairs = zip(self.board.lines, self.lines, strict=True)
        ranked = [(line.group, record) for line, record in pairs if record["ranked_by"] is not None]
        return [_configuration(group, record, self.board.metric, place) for place, (group, record) in enumerate(ranked)]

    @property
    def styles(self) -> dict[str, Style]:
        """The style of each ranked run, by its name."""
        return {row.name: one.style for one in self.configurations for row in one.runs}

    @cached_property
    def curves(self) -> list[Curve]:
        """The curves of the ranked runs, in the order of the leaderboard, then those of the runs without a result."""
        runs = [(row, one.label, one.style) for one in self.configurations for row in one.runs]
        runs += [(row, "–", UNFINISHED) for row, _ in self.unranked if row.record.summary is None]
        return [curve for run in runs if (curve := _curve(*run)) is not None]

    @cached_property
    def unranked(self) -> list[tuple[Row, str]]:
        """The runs that are not ranked, each with the reason."""
        return [(row, reason) for reason, rows in self.board.not_ranked.items() for row in rows]

    @property
    def legend(self) -> list[Style]:
        """Every style of the page, the best configuration first."""
        return list(dict.fromkeys([*(one.style for one in self.configurations), *(curve.style for curve in self.curves)]))


def _answer(question: Question, board: Comparison) -> Answer:
    return Answer(verdicts.heading(board), verdicts.QUESTIONS[question], verdicts.results(board), verdicts.notes(board))


def _configuration(group: Group, record: Mapping[str, Any], metric: Metric, place: int) -> Configuration:
    values = group.values(metric)
    name = _short_name(record, group.rows[0].settings)
    label = f"{record['rank']} · {name}"
    return Configuration(
        rank=record["rank"],
        name=name,
        label=label,
        settings=record["settings"],
        errors=[] if values is None else values.tolist(),
        mean=record["ranked_by"]["mean"],
        interval=record["ranked_by"]["ci95"],
        parameters=round(record["parameters"]),
        seconds=record["train_seconds"],
        style=style_of(place, label),
        runs=group.rows,
        spread=record["spread"],
    )


def _short_name(record: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """Return the differing settings that the runs have, config groups by their option alone; else the name of the line."""
    known = {key: value for key, value in record["settings"].items() if value is not None or key in settings}
    parts = [short(value) if key.endswith(".name") else f"{short_key(key)}={short(value)}" for key, value in known.items()]
    return short(" ".join(parts) or str(record["name"]), LABEL_CHARACTERS)


def _curve(row: Row, configuration: str, style: Style) -> Curve | None:
    """Return the curve of a run up to its last epoch; None without validation errors."""
    rows = history.read(Run(row.record.directory).history)
    points = [(row.epoch, row.validation_error_percent) for row in rows if row.validation_error_percent is not None]
    if not points:
        return None
    epochs, errors = zip(*points, strict=True)
    summary = row.record.summary
    repetition = f"seed {summary.seed}" if summary else f"{row.record.status}, seed {row.settings.get('seed', '?')}"
    labels = {"run": row.name, "configuration": configuration, "repetition": repetition}
    return Curve(np.array(epochs), np.array(errors), style, labels)
