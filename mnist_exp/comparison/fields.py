"""The fields by which runs are ranked, sorted and selected: settings and the numbers of summary.json, by dotted key."""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from mnist_exp.comparison.rows import Row
from mnist_exp.config.conversions import format_value
from mnist_exp.config.problems import nearest_key
from mnist_exp.errors import InputError
from mnist_exp.runs.summary import Summary
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
    of_test_images: bool = True  # of a test error: False if it is that of other images, in an evaluation

    @property
    def images(self) -> str | None:
        """The images that a score is computed on: validation or test."""
        return self.key.partition(".")[0] if self.key.startswith(("validation.", "test.")) else None

    def read(self, summary: Summary) -> float | None:
        """Return the number of a run; None if it has no validation images."""
        section, _, name = self.key.rpartition(".")
        value: float | None = getattr(getattr(summary, section) if section else summary, name, None)
        return value

    def format(self, value: float | None) -> str:
        return MISSING if value is None else format(value, self.format_spec)

    def format_interval(self, interval: tuple[float, float] | None) -> str:
        """Format a confidence interval for a table."""
        return MISSING if interval is None else f"{self.format(interval[0])} – {self.format(interval[1])}"


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
RUN, STATUS = "run", "status"
FIELDS = (*METRICS, RUN, STATUS)  # besides the settings


def field_value(row: Row, key: str) -> Any:
    """Return the value of a field; None if the run does not have it."""
    if key in METRICS:
        return None if row.record.summary is None else METRICS[key].read(row.record.summary)
    if key == RUN:
        return row.name
    if key == STATUS:
        return row.record.status
    return row.settings.get(key)


def check_fields(
    keys: Iterable[str], rows: Iterable[Row], option: str, kind: str = "field", names: Collection[str] = FIELDS
) -> None:
    """Check that each key is one of the names or a setting of a run.

    Raises:
        InputError: a key is unknown; the message suggests the nearest, or lists the names.
    """
    others = [key for key in keys if key not in names]
    settings = dict.fromkeys(key for row in rows for key in row.settings) if others else {}
    for key in others:
        if key not in settings:
            known = [*names, *settings]
            nearest = nearest_key(key, {*known, *(name.rpartition(".")[0] for name in known)} - {""})
            meant = [nearest, f"{key}.name", *(name for name in known if name.startswith(key))]
            close = next((name for name in meant if name in known), None)
            allowed = f"allowed: {', '.join(names)}{', or a setting of the runs' if settings else ''}"
            raise InputError(f"{option} {key}: unknown {kind}", f"did you mean {close}?" if close else allowed)


def describe_values(key: str, rows: Iterable[Row]) -> str:
    """List the values of a field in some runs; if these are many numbers, the smallest and the largest."""
    values = {format_value(value): value for row in rows if (value := field_value(row, key)) is not None}
    if len(values) > MAX_LISTED and all(isinstance(value, (int, float)) for value in values.values()):
        return f"{key} is from {format_value(min(values.values()))} to {format_value(max(values.values()))}"
    return f"{key} is {join_some(sorted(values), MAX_LISTED) or 'null'}"
