"""The fields by which runs are ranked, sorted and selected: settings and the numbers of summary.json, by dotted key."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mnist_exp.comparison.rows import Row
from mnist_exp.config.problems import format_value, nearest_key
from mnist_exp.errors import InputError
from mnist_exp.run.summary import Summary
from mnist_exp.terminal.messages import MISSING, join_some

MAX_LISTED = 8  # values of a field in a message


@dataclass(frozen=True)
class Metric:
    """A number of summary.json, never below 0."""

    key: str
    heading: str
    format_spec: str
    maximum: float = math.inf
    lower_is_better: bool = True

    @property
    def images(self) -> str | None:
        """The images that a score is computed on: validation or test."""
        return self.key.partition(".")[0] if self.key.startswith(("validation.", "test.")) else None

    def read(self, summary: Summary) -> float | None:
        """The number of a run; None if it has no validation images."""
        section, _, name = self.key.rpartition(".")
        value: float | None = getattr(getattr(summary, section) if section else summary, name, None)
        return value

    def format(self, value: float | None) -> str:
        """Format the number for a table."""
        return MISSING if value is None else format(value, self.format_spec)


VALIDATION, TEST = "validation.error_percent", "test.error_percent"
METRICS = {
    metric.key: metric
    for metric in (
        Metric(VALIDATION, "validation error %", ".2f", maximum=100),
        Metric(TEST, "test error %", ".2f", maximum=100),
        Metric("validation.loss", "validation loss", ".4f"),
        Metric("test.loss", "test loss", ".4f"),
        Metric("model.parameters", "parameters", ",.0f"),
        Metric("epochs", "epochs", ".0f"),
        Metric("train_seconds", "train s", ".1f"),
        Metric("wall_seconds", "wall s", ".1f"),
        Metric("images_per_second", "images/s", ",.0f", lower_is_better=False),
    )
}
RUN, STATUS = "run", "status"  # fields besides metrics and settings


def field_value(row: Row, key: str) -> Any:
    """The value of a field; None if the run does not have it."""
    if key in METRICS:
        return None if row.record.summary is None else METRICS[key].read(row.record.summary)
    if key == RUN:
        return row.name
    if key == STATUS:
        return row.record.status
    return row.settings.get(key)


def check_fields(keys: Iterable[str], rows: Iterable[Row], option: str) -> None:
    """Check that each field exists in at least one run.

    Raises:
        InputError: a field is unknown; the message suggests the nearest name.
    """
    keys = [key for key in keys if key not in METRICS and key not in {RUN, STATUS}]
    settings = dict.fromkeys(key for row in rows for key in row.settings) if keys else {}
    for key in keys:
        if key not in settings:
            raise unknown_name(f"{option} {key}: unknown field", key, [*METRICS, RUN, STATUS], settings)


def find_metric(key: str) -> Metric:
    """The metric with this key.

    Raises:
        InputError: the metric is unknown; the message suggests the nearest name.
    """
    if key not in METRICS:
        raise unknown_name(f"--metric {key}: unknown metric", key, METRICS)
    return METRICS[key]


def unknown_name(cause: str, key: str, names: Iterable[str], settings: Iterable[str] | None = None) -> InputError:
    """The error for an unknown name, with the nearest name or else the allowed names (but not all settings)."""
    known = [*names, *(settings or ())]
    sections = {name.rpartition(".")[0] for name in known}
    nearest = nearest_key(key, {*known, *sections} - {""})
    if nearest in known:
        return InputError(cause, f"did you mean {nearest}?")
    return InputError(cause, f"allowed: {', '.join(names)}" + (", or a setting of the runs" if settings is not None else ""))


def describe_values(key: str, rows: Iterable[Row]) -> str:
    """List the values of a field in some runs; if these are many numbers, the smallest and the largest."""
    values = {format_value(value): value for row in rows if (value := field_value(row, key)) is not None}
    if len(values) > MAX_LISTED and all(isinstance(value, (int, float)) for value in values.values()):
        return f"{key} is from {format_value(min(values.values()))} to {format_value(max(values.values()))}"
    return f"{key} is {join_some(sorted(values), MAX_LISTED) or 'null'}"
