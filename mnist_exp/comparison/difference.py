"""Two runs → in what they differ: settings, machine and source, learning curves, and the images that one has wrong."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mnist_exp.comparison.predictions import Predictions, check_against_summary, read_predictions
from mnist_exp.comparison.rows import NOT_SETTINGS
from mnist_exp.comparison.statistics import difference_interval, mcnemar_exact
from mnist_exp.config.identity import flat, is_layers, layered, matched, own_layers
from mnist_exp.config.problems import show as typed
from mnist_exp.errors import InputError, IntegrityError, UserError
from mnist_exp.machine.plain_data import read_json
from mnist_exp.run import history
from mnist_exp.run.directory import read_config
from mnist_exp.run.environment import REPRODUCIBILITY_KEYS
from mnist_exp.run.history import Epoch
from mnist_exp.run.names import Run
from mnist_exp.run.status import Record, read_record

RECORDED = ("git", *REPRODUCIBILITY_KEYS, "cores")  # of environment.json; the rest is of the moment, as when it started
# A mapping that people wrote is smaller; an anchor of YAML can make one endless, a number too long to print.
MOST_VALUES, DEEPEST, MOST_BITS = 10_000, 20, 1000
MOST_LAYERS_TOLD = 4  # one by one

Measure = Literal["validation", "training"]  # error by epoch


@dataclass(frozen=True)
class Side:
    """What can be read of one of the two runs; what cannot is empty or None, and `faults` say why."""

    run: Run
    record: Record
    settings: dict[str, Any]  # flattened
    environment: dict[str, Any]  # flattened
    resumed: int  # how often
    history: list[Epoch]
    predictions: Predictions | None
    faults: list[UserError]


@dataclass(frozen=True)
class Images:
    """How two networks divide n test images among right and wrong, and the images of which they say different things."""

    n: int
    both_right: int
    only_a: int  # has it wrong
    only_b: int
    both_wrong: int
    same_answer: int  # of those that both have wrong
    disagreements: np.ndarray  # int64, indices of images; those of which the two are surest on average come first

    @cached_property
    def p(self) -> float:
        """Of McNemar's exact test."""
        return mcnemar_exact(self.only_a, self.only_b)

    @property
    def points(self) -> float:
        """A's error less B's, in percentage points."""
        return 100 * (self.only_a - self.only_b) / self.n

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of that."""
        return difference_interval(self.only_a, self.only_b, self.n)


@dataclass(frozen=True)
class Difference:
    """Two runs and what they differ in; `without_images` says why there is nothing to say of the images."""

    a: Side
    b: Side
    settings: dict[str, dict[str, Any]]
    environment: dict[str, dict[str, Any]]
    images: Images | None
    without_images: str | None


def read(a: Run, b: Run) -> Difference:
    """Compare what two runs have left, as far as they came; never fails on a damaged file.

    Raises:
        InputError: they are the same run.
    """
    if a.directory.resolve() == b.directory.resolve():
        raise InputError(f"{a.directory} and {b.directory} are the same run", "name two runs")
    left, right = _side(a), _side(b)
    images, without = None, None
    try:
        images = _images(left, right)
    except InputError as reason:
        without = reason.cause
    settings = _settings_apart(left.settings, right.settings) if left.settings and right.settings else {}
    environment = differences(left.environment, right.environment) if left.environment and right.environment else {}
    return Difference(left, right, settings, environment, images, without)


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The keys in which two flattened mappings differ, in order, each with the values of "a" and "b" that are there."""
    found = {}
    for key in dict.fromkeys([*a, *b]):
        values = {name: side[key] for name, side in (("a", a), ("b", b)) if key in side}
        if len(values) < 2 or repr(values["a"]) != repr(values["b"]):
            found[key] = values
    return found


def _settings_apart(a: dict[str, Any], b: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings in which two runs differ; of lists of layers of other kinds, those that only one has, if they are few."""
    sides = layered(a), layered(b)
    found = {key: values for key, values in differences(*sides).items() if matched(key, *sides)}
    for key, values in found.items():
        for name, own, other in (("a", a.get(key), b.get(key)), ("b", b.get(key), a.get(key))):
            if is_layers(own) and is_layers(other) and 0 < len(alone := own_layers(own, other)) <= MOST_LAYERS_TOLD:
                values[name] += f", alone: {', '.join(map(typed, alone))}"
    return {key: values for key, values in found.items() if key.partition(".")[0] not in NOT_SETTINGS}


def measure(difference: Difference) -> Measure:
    """Which error of the epochs can be compared: validation where both runs have it, else training."""
    rows = [*difference.a.history, *difference.b.history]
    return "validation" if all(row.validation_error_percent is not None for row in rows) else "training"


def errors(side: Side, which: Measure) -> np.ndarray:
    """The errors of the epochs in percent, float64 (epochs,)."""
    values = [row.validation_error_percent if which == "validation" else row.train_error_percent for row in side.history]
    return np.array(values, np.float64)


def as_json(difference: Difference, plate: Path | None) -> dict[str, Any]:
    """All of it, schema 1; a key that a run does not have is not in its "a" or "b".

    Args:
        difference: of two runs.
        plate: where the images on which they disagree were drawn, if they were.
    """
    which = measure(difference)
    sides = {"a": difference.a, "b": difference.b}
    images = difference.images
    return {
        "schema": 1,
        "runs": {name: _run(side) for name, side in sides.items()},
        "settings": _inert(difference.settings),
        "environment": _inert(difference.environment),
        "history": {"error": which} | {name: errors(side, which).tolist() for name, side in sides.items()},
        "images": images
        and {
            "n": images.n,
            "both_right": images.both_right,
            "only_a_wrong": images.only_a,
            "only_b_wrong": images.only_b,
            "both_wrong": images.both_wrong,
            "both_wrong_same_answer": images.same_answer,
            "mcnemar_p": images.p,
            "difference_points": images.points,
            "difference_ci95": list(images.interval),
            "disagreements": images.disagreements.tolist(),
        },
        "without_images": difference.without_images,
        "plate": None if plate is None else str(plate),
    }


def _side(run: Run) -> Side:
    faults: list[UserError] = []
    record = read_record(run.directory)
    if record.status == "unreadable":
        faults.append(IntegrityError(f"{run.directory}: {record.cause}", f"write it anew: mnist-exp resume {run.directory}"))
    try:
        settings = _settings(run, record)
    except ValueError as error:
        settings = {}
        faults.append(InputError(str(error), "restore it"))
    recorded = read_json(run.environment)
    try:
        environment = _flat({key: recorded[key] for key in RECORDED if key in recorded})
    except ValueError:
        environment = {}
    resumed = recorded.get("resumed")
    predictions = None
    try:
        predictions = read_predictions(run)
        if record.summary is not None:
            check_against_summary(run, record.summary.test, predictions)
    except UserError as fault:
        predictions = None
        faults.append(fault)
    times = len(resumed) if isinstance(resumed, list) else 0
    return Side(run, record, settings, environment, times, history.read(run.history), predictions, faults)


def _settings(run: Run, record: Record) -> dict[str, Any]:
    """Those of a run's config.yaml; of an ensemble, in what its members agree.

    Raises:
        ValueError: they cannot be read, or are no settings.
    """
    return _flat(read_config(run)) if record.ensemble_settings is None else record.ensemble_settings


def _images(a: Side, b: Side) -> Images:
    """Count the images.

    Raises:
        InputError: the runs have no predictions of the same images.
    """
    if a.predictions is None or b.predictions is None:
        without = [name for name, side in (("A", a), ("B", b)) if side.predictions is None]
        raise InputError(f"no predictions of {' and '.join(without)}", "")
    summaries = [side.record.summary for side in (a, b)]
    hashes = {summary.dataset.sha256 for summary in summaries if summary is not None}
    if len(hashes) > 1 or not np.array_equal(a.predictions.labels, b.predictions.labels):
        raise InputError("the two were tested on different images", "")
    labels = a.predictions.labels
    wrong_a, wrong_b = a.predictions.answers != labels, b.predictions.answers != labels
    differ = a.predictions.answers != b.predictions.answers
    places = np.flatnonzero(differ)
    confidence = a.predictions.confidence[places] + b.predictions.confidence[places]
    return Images(
        n=len(labels),
        both_right=int(np.count_nonzero(~wrong_a & ~wrong_b)),
        only_a=int(np.count_nonzero(wrong_a & ~wrong_b)),
        only_b=int(np.count_nonzero(wrong_b & ~wrong_a)),
        both_wrong=int(np.count_nonzero(wrong_a & wrong_b)),
        same_answer=int(np.count_nonzero(wrong_a & ~differ)),
        disagreements=places[np.argsort(-confidence, kind="stable")],
    )


def _flat(tree: Mapping[Any, Any]) -> dict[str, Any]:
    """The leaves of nested mappings by their dotted keys.

    Raises:
        ValueError: they are more, or deeper, than anyone would write.
    """
    left: list[tuple[Any, int]] = [(tree, 0)]
    seen = 0
    while left:
        value, depth = left.pop()
        seen += 1
        if seen > MOST_VALUES or depth > DEEPEST or (isinstance(value, int) and value.bit_length() > MOST_BITS):
            raise ValueError("holds more than settings")
        if isinstance(value, Mapping | list):
            inner = [*value.keys(), *value.values()] if isinstance(value, Mapping) else value
            left += [(child, depth + 1) for child in inner]
    return flat(dict(tree))


def _run(side: Side) -> dict[str, Any]:
    """What JSON says of one run by itself."""
    record, summary = side.record, side.record.summary
    told = summary.model_dump(mode="json") if summary is not None else {}
    return {
        "directory": str(side.run.directory),
        "status": record.status,
        "cause": record.cause,
        **{key: told.get(key) for key in ("test", "validation", "model", "seed", "config_hash", "epochs", "train_seconds")},
        "resumed": side.resumed,
        "missing": [fault.cause for fault in side.faults],
    }


def _inert(found: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {key: {name: _json(value) for name, value in values.items()} for key, values in found.items()}


def _json(value: Any) -> Any:
    """A value of JSON as it is; what only YAML knows, as one would type it."""
    if isinstance(value, list):
        return [_json(item) for item in value]
    known = isinstance(value, str | int | float | None) and (not isinstance(value, float) or math.isfinite(value))
    return value if known else typed(value)
