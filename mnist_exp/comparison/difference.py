"""The differences between two runs: settings, environment, learning curves, and predictions for the test images."""

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnist_exp.comparison.predictions import PairedErrors, Predictions, pair_errors, read_image_groups, read_predictions
from mnist_exp.comparison.rows import NOT_SETTINGS, flatten_untrusted, read_settings
from mnist_exp.comparison.verdicts import compare_networks
from mnist_exp.config.conversions import format_value
from mnist_exp.config.identity import expand_layers, is_layer_list, same_layer_list, unmatched_layers
from mnist_exp.errors import InputError, IntegrityError, UserError
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs import history
from mnist_exp.runs.environment import REPRODUCIBILITY_KEYS
from mnist_exp.runs.history import Epoch
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import Record, read_record

RECORDED = ("git", *REPRODUCIBILITY_KEYS, "cores")  # the keys of environment.json that are compared
MAX_LISTED_LAYERS = 4
SUMMARY_KEYS = ("test", "validation", "model", "seed", "config_hash", "epochs", "train_seconds")


@dataclass(frozen=True)
class Side:
    """One of the two runs, as far as its files can be read; `faults` say what is missing or damaged."""

    name: str  # A or B
    run: Run
    record: Record
    settings: dict[str, Any]  # by dotted key
    environment: dict[str, Any]  # by dotted key
    resumed: int  # number of times
    history: list[Epoch]
    predictions: Predictions | None
    faults: list[UserError]


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
        return self.a, self.b

    def curves(self) -> tuple[str, list[np.ndarray]]:
        """Return the learning curves: "validation" if both runs have it, else "training", in percent, float64 (epochs,)."""
        measure, name = "validation", "validation_error_percent"
        if any(epoch.validation_error_percent is None for side in self.sides for epoch in side.history):
            measure, name = "training", "train_error_percent"
        return measure, [np.array([getattr(epoch, name) for epoch in side.history], np.float64) for side in self.sides]


def compare_runs(a: Run, b: Run) -> RunDifference:
    """Compare two runs; a damaged file is recorded as a fault.

    Raises:
        InputError: both are the same run.
    """
    if a.directory.resolve() == b.directory.resolve():
        raise InputError(f"{a.directory} and {b.directory}: are the same run", "choose two runs")
    left, right = _read_side("A", a), _read_side("B", b)
    settings = _differing_settings(left.settings, right.settings)
    environment = _differences(left.environment, right.environment)
    return RunDifference(left, right, settings, environment, _pair_errors(left, right))


def to_json(difference: RunDifference, image_grid: Path | None) -> dict[str, Any]:
    """Return the whole difference, schema 2; a setting that a run does not have is missing in its "a" or "b"."""
    (measure, (a, b)), errors = difference.curves(), difference.errors
    return {
        "schema": 2,
        "runs": {"a": _run_to_json(difference.a), "b": _run_to_json(difference.b)},
        "settings": _values_to_json(difference.settings),
        "environment": _values_to_json(difference.environment),
        "history": {"error": measure, "a": a.tolist(), "b": b.tolist()},
        "images": None if isinstance(errors, str) else _errors_to_json(errors),
        "reason": errors if isinstance(errors, str) else None,
        "image_grid": image_grid and str(image_grid),
    }


def _read_side(name: str, run: Run) -> Side:
    record = read_record(run.directory)
    faults: list[UserError] = []
    settings: dict[str, Any] = {}
    environment: dict[str, Any] = {}
    predictions = None
    if record.status == "unreadable":
        faults.append(
            IntegrityError(f"{run.directory}: {record.cause}", f"write it again: mnist-exp resume {run.directory}")
        )
    try:
        settings = read_settings(record)
    except ValueError as error:
        faults.append(InputError(str(error), "restore the file"))
    recorded = read_json(run.environment)
    with contextlib.suppress(ValueError):
        environment = flatten_untrusted({key: recorded[key] for key in RECORDED if key in recorded})
    try:
        predictions = read_predictions(run, None if record.summary is None else record.summary.test)
    except UserError as fault:
        faults.append(fault)
    resumed = recorded.get("resumed")
    times = len(resumed) if isinstance(resumed, list) else 0
    return Side(name, run, record, settings, environment, times, history.read(run.history), predictions, faults)


def _pair_errors(a: Side, b: Side) -> PairedErrors | str:
    """Count the errors of both runs, or say why they cannot be compared."""
    if a.predictions is None or b.predictions is None:
        return f"no predictions of {' and '.join(side.name for side in (a, b) if side.predictions is None)}"
    hashes = {side.record.summary.dataset.sha256 for side in (a, b) if side.record.summary is not None}
    if len(hashes) > 1 or not np.array_equal(a.predictions.labels, b.predictions.labels):
        return "the runs were evaluated on different test images"
    stated = [None if side.record.summary is None else side.record.summary.image_groups for side in (a, b)]
    if stated[0] is None or stated[1] is None or stated[0].sha256 != stated[1].sha256:
        return pair_errors(a.predictions, b.predictions)
    try:
        return pair_errors(a.predictions, b.predictions, read_image_groups(a.run, stated[0], len(a.predictions.labels)))
    except UserError as error:
        return error.cause


def _differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the keys with different values, in order, without the values that are missing; none if a file is damaged."""
    if not a or not b:
        return {}
    differences = {}
    for key in dict.fromkeys([*a, *b]):
        values = {name: side[key] for name, side in (("a", a), ("b", b)) if key in side}
        if len(values) < 2 or repr(values["a"]) != repr(values["b"]):
            differences[key] = values
    return differences


def _differing_settings(a: dict[str, Any], b: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the settings that differ; for different lists of layers, add the few layers that only one list contains."""
    sides = expand_layers(a), expand_layers(b)
    differences = {
        key: values
        for key, values in _differences(*sides).items()
        if same_layer_list(key, *sides) and key.partition(".")[0] not in NOT_SETTINGS
    }
    for key, values in differences.items():
        for name, own, other in (("a", a.get(key), b.get(key)), ("b", b.get(key), a.get(key))):
            only = unmatched_layers(own, other) if is_layer_list(own) and is_layer_list(other) else []
            if 0 < len(only) <= MAX_LISTED_LAYERS:
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
        "both_wrong_same_prediction": errors.same_prediction,
        "verdict": compare_networks(errors).verdict,
        "words": compare_networks(errors).text,
        "question": "two networks",
        "mcnemar_p": errors.difference.p,
        "difference_points": errors.difference.value,
        "difference_ci95": list(errors.difference.interval),
        "disagreements": errors.disagreements.tolist(),
    }


def _values_to_json(differences: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {key: {name: _to_json(value) for name, value in values.items()} for key, values in differences.items()}


def _to_json(value: Any) -> Any:
    """Return a value that JSON can represent; other values of YAML become text."""
    if isinstance(value, list):
        return [_to_json(item) for item in value]
    is_json = isinstance(value, str | int | float | None) and (not isinstance(value, float) or math.isfinite(value))
    return value if is_json else format_value(value)
