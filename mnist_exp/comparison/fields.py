"""What a run can be ranked, sorted and chosen by: its settings and the numbers of its summary, each under its dotted key."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mnist_exp.comparison.rows import Row
from mnist_exp.config.problems import nearest_key, show
from mnist_exp.errors import InputError
from mnist_exp.run.summary import Score, Summary

MOST_VALUES = 8  # of a field that are told


@dataclass(frozen=True)
class Metric:
    """A number of a summary."""

    key: str  # as in summary.json
    heading: str
    form: str  # how it is told, as in format()
    of: Callable[[Summary], float | None]
    most: float = math.inf  # it is never below 0, nor above this
    lower_is_better: bool = True

    @property
    def images(self) -> str | None:
        """Of which images it is a score: validation or test."""
        return self.key.partition(".")[0] if self.key.startswith(("validation.", "test.")) else None

    def format(self, value: float | None) -> str:
        """The number for people."""
        return "–" if value is None else format(value, self.form)


def _score(of: Callable[[Score], float], images: str) -> Callable[[Summary], float | None]:
    def value(summary: Summary) -> float | None:
        score = summary.test if images == "test" else summary.validation
        return None if score is None else of(score)

    return value


def _error_percent(score: Score) -> float:
    return score.error_percent


def _loss(score: Score) -> float:
    return score.loss


VALIDATION, TEST = "validation.error_percent", "test.error_percent"
METRICS = {
    metric.key: metric
    for metric in (
        Metric(VALIDATION, "validation error %", ".2f", _score(_error_percent, "validation"), most=100),
        Metric(TEST, "test error %", ".2f", _score(_error_percent, "test"), most=100),
        Metric("validation.loss", "validation loss", ".4f", _score(_loss, "validation")),
        Metric("test.loss", "test loss", ".4f", _score(_loss, "test")),
        Metric("model.parameters", "parameters", ",.0f", lambda summary: summary.model.parameters),
        Metric("epochs", "epochs", ".0f", lambda summary: summary.epochs),
        Metric("train_seconds", "train s", ".1f", lambda summary: summary.train_seconds),
        Metric("wall_seconds", "wall s", ".1f", lambda summary: summary.wall_seconds),
        Metric("images_per_second", "images/s", ",.0f", lambda summary: summary.images_per_second, lower_is_better=False),
    )
}
RUN, STATUS = "run", "status"  # the other two fields


def value(row: Row, key: str) -> Any:
    """A field of a run; None if the run has none of that name, or no result."""
    if key in METRICS:
        return None if row.record.summary is None else METRICS[key].of(row.record.summary)
    if key == RUN:
        return row.name
    if key == STATUS:
        return row.record.status
    return row.settings.get(key)


def check(keys: Iterable[str], rows: Iterable[Row], option: str) -> None:
    """See that some run has each of these fields.

    Raises:
        InputError: none has; the nearest name is suggested.
    """
    missing = [key for key in keys if key not in METRICS and key not in {RUN, STATUS}]
    if not missing:
        return
    known = dict.fromkeys(key for row in rows for key in row.settings)
    for key in missing:
        if key not in known:
            close = nearest_of(key, [*known, *METRICS, RUN, STATUS])
            suggestion = f"did you mean {close}?" if close else f"such as {', '.join(METRICS)}, or a setting of the runs"
            raise InputError(f"{option} {key}: no run has such a field", suggestion)


def told_values(key: str, rows: Iterable[Row]) -> str:
    """What runs have as a field: the values, or from where to where many numbers go."""
    found = {show(one): one for row in rows if (one := value(row, key)) is not None}
    if len(found) > MOST_VALUES and all(isinstance(one, (int, float)) for one in found.values()):
        return f"{key} is from {show(min(found.values()))} to {show(max(found.values()))}"
    words = sorted(found)[:MOST_VALUES]
    more = f" and {len(found) - len(words):,} more" if len(found) > len(words) else ""
    return f"{key} is {', '.join(words) or 'null'}{more}"


def nearest_of(key: str, keys: Iterable[str]) -> str | None:
    """The dotted key that was most likely meant."""
    known = list(keys)
    sections = {name.rpartition(".")[0] for name in known}
    close = nearest_key(key, {*known, *sections} - {""})
    return close if close in known else None


def metric(key: str) -> Metric:
    """The metric of that name.

    Raises:
        InputError: there is none.
    """
    if key not in METRICS:
        close = nearest_of(key, METRICS)
        suggestion = f"; did you mean {close}?" if close else ""
        raise InputError(f"--metric {key}: there is no such number", f"allowed: {', '.join(METRICS)}{suggestion}")
    return METRICS[key]
