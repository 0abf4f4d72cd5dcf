"""The differences between two runs: settings, environment, learning curves, and predictions for the test images."""

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mnist_exp.comparison.predictions import PairedErrors, Predictions, check_against_summary, pair_errors, read_predictions
from mnist_exp.comparison.rows import NOT_SETTINGS, flatten_untrusted, read_settings
from mnist_exp.config.identity import expand_layers, is_layer_list, same_layer_list, unmatched_layers
from mnist_exp.config.problems import format_value
from mnist_exp.errors import InputError, IntegrityError, UserError
from mnist_exp.machine.plain_data import read_json
from mnist_exp.run import history
from mnist_exp.run.environment import REPRODUCIBILITY_KEYS
from mnist_exp.run.history import Epoch
from mnist_exp.run.names import Run
from mnist_exp.run.status import Record, read_record

RECORDED = ("git", *REPRODUCIBILITY_KEYS, "cores")  # the keys of environment.json that are compared
MAX_LISTED_LAYERS = 4
SUMMARY_KEYS = ("test", "validation", "model", "seed", "config_hash", "epochs", "train_seconds")

Measure = Literal["validation", "training"]  # error by epoch


@dataclass(frozen=True)
class Side:
    """One of the two runs, as far as its files can be read; `faults` say what is missing or damaged."""

    run: Run
    record: Record
    settings: dict[str, Any]  # by dotted key
    environment: dict[str, Any]  # by dotted key
    resumed: int  # number of times
    history: list[Epoch]
    predictions: Predictions | None
    faults: list[UserError]

    def errors(self, measure: Measure) -> np.ndarray:
        """The error of each epoch in percent, float64 (epochs,)."""
        name = "validation_error_percent" if measure == "validation" else "train_error_percent"
        return np.array([getattr(epoch, name) for epoch in self.history], np.float64)


@dataclass(frozen=True)
class RunDifference:
    """Two runs and their differences."""

    a: Side
    b: Side
    settings: dict[str, dict[str, Any]]  # by dotted key, the values of "a" and "b"
    environment: dict[str, dict[str, Any]]
    errors: PairedErrors | str  # on the test images, or why these cannot be compared

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both runs."""
        return self.a, self.b

    @property
    def measure(self) -> Measure:
        """The error to compare by epoch: validation if both runs have it, else training."""
        epochs = [*self.a.history, *self.b.history]
        return "validation" if all(epoch.validation_error_percent is not None for epoch in epochs) else "training"


def compare_runs(a: Run, b: Run) -> RunDifference:
    """Compare two runs; a damaged file is recorded as a fault.

    Raises:
        InputError: both are the same run.
    """
    if a.directory.resolve() == b.directory.resolve():
        raise InputError(f"{a.directory} and {b.directory}: are the same run", "choose two runs")
    left, right = _read_side(a), _read_side(b)
    settings = _differing_settings(left.settings, right.settings) if left.settings and right.settings else {}
    environment = _differences(left.environment, right.environment) if left.environment and right.environment else {}
    return RunDifference(left, right, settings, environment, _pair_errors(left, right))


def to_json(difference: RunDifference, image_grid: Path | None) -> dict[str, Any]:
    """The whole difference, schema 1; a setting that a run does not have is missing in its "a" or "b"."""
    measure, errors = difference.measure, difference.errors
    sides = {"a": difference.a, "b": difference.b}
    return {
        "schema": 1,
        "runs": {name: _run_to_json(side) for name, side in sides.items()},
        "settings": _values_to_json(difference.settings),
        "environment": _values_to_json(difference.environment),
        "history": {"error": measure} | {name: side.errors(measure).tolist() for name, side in sides.items()},
        "images": None if isinstance(errors, str) else _errors_to_json(errors),
        "without_images": errors if isinstance(errors, str) else None,
        "plate": image_grid and str(image_grid),
    }


def _read_side(run: Run) -> Side:
    faults: list[UserError] = []
    record = read_record(run.directory)
    if record.status == "unreadable":
        remedy = f"write it again: mnist-exp resume {run.directory}"
        faults.append(IntegrityError(f"{run.directory}: {record.cause}", remedy))
    settings: dict[str, Any] = {}
    environment: dict[str, Any] = {}
    predictions = None
    try:
        settings = read_settings(record)
    except ValueError as error:
        faults.append(InputError(str(error), "restore the file"))
    recorded = read_json(run.environment)
    with contextlib.suppress(ValueError):
        environment = flatten_untrusted({key: recorded[key] for key in RECORDED if key in recorded})
    try:
        predictions = read_predictions(run)
        if record.summary is not None:
            check_against_summary(run, record.summary.test, predictions)
    except UserError as fault:
        predictions = None
        faults.append(fault)
    resumed = recorded.get("resumed")
    times = len(resumed) if isinstance(resumed, list) else 0
    return Side(run, record, settings, environment, times, history.read(run.history), predictions, faults)


def _pair_errors(a: Side, b: Side) -> PairedErrors | str:
    """Count the errors of both runs, or say why they cannot be compared."""
    if a.predictions is None or b.predictions is None:
        missing = [name for name, side in (("A", a), ("B", b)) if side.predictions is None]
        return f"no predictions of {' and '.join(missing)}"
    hashes = {side.record.summary.dataset.sha256 for side in (a, b) if side.record.summary is not None}
    if len(hashes) > 1 or not np.array_equal(a.predictions.labels, b.predictions.labels):
        return "the runs were evaluated on different test images"
    return pair_errors(a.predictions, b.predictions)


def _differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The keys with different values, in order; a value that is missing is not in the result."""
    differences = {}
    for key in dict.fromkeys([*a, *b]):
        values = {name: side[key] for name, side in (("a", a), ("b", b)) if key in side}
        if len(values) < 2 or repr(values["a"]) != repr(values["b"]):
            differences[key] = values
    return differences


def _differing_settings(a: dict[str, Any], b: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings that differ; for different lists of layers, the few layers that only one list contains are added."""
    sides = expand_layers(a), expand_layers(b)
    differences = {
        key: values
        for key, values in _differences(*sides).items()
        if same_layer_list(key, *sides) and key.partition(".")[0] not in NOT_SETTINGS
    }
    for key, values in differences.items():
        for name, own, other in (("a", a.get(key), b.get(key)), ("b", b.get(key), a.get(key))):
            if (
                is_layer_list(own)
                and is_layer_list(other)
                and 0 < len(only := unmatched_layers(own, other)) <= MAX_LISTED_LAYERS
            ):
                values[name] += f", only here: {', '.join(map(format_value, only))}"
    return differences


def _run_to_json(side: Side) -> dict[str, Any]:
    record = side.record
    summary = {} if record.summary is None else record.summary.model_dump(mode="json")
    return {
        "directory": str(side.run.directory),
        "status": record.status,
        "cause": record.cause,
        **{key: summary.get(key) for key in SUMMARY_KEYS},
        "resumed": side.resumed,
        "missing": [fault.cause for fault in side.faults],
    }


def _errors_to_json(errors: PairedErrors) -> dict[str, Any]:
    return {
        "n": errors.n,
        "both_right": errors.both_right,
        "only_a_wrong": errors.only_a,
        "only_b_wrong": errors.only_b,
        "both_wrong": errors.both_wrong,
        "both_wrong_same_answer": errors.same_prediction,
        "mcnemar_p": errors.difference.p,
        "difference_points": errors.difference.value,
        "difference_ci95": list(errors.difference.interval),
        "disagreements": errors.disagreements.tolist(),
    }


def _values_to_json(differences: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {key: {name: _to_json(value) for name, value in values.items()} for key, values in differences.items()}


def _to_json(value: Any) -> Any:
    """A value that JSON can represent; other values of YAML become text."""
    if isinstance(value, list):
        return [_to_json(item) for item in value]
    is_json = isinstance(value, str | int | float | None) and (not isinstance(value, float) or math.isfinite(value))
    return value if is_json else format_value(value)
