"""The names of the files in a run directory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

STATUS, SUMMARY = "status.json", "summary.json"  # a directory with one of them is a run


class FileIn:
    """A read-only attribute: the path of a file in the `directory` of its object."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, owner: Any, kind: type) -> Path:
        return Path(owner.directory / self._name)


@dataclass(frozen=True)
class Run:
    """One run directory."""

    directory: Path

    config = FileIn("config.yaml")
    ensemble = FileIn("ensemble.yaml")  # the runs that an ensemble averages; it has no config.yaml
    overrides = FileIn("overrides.yaml")
    environment = FileIn("environment.json")
    log = FileIn("train.log")
    history = FileIn("history.csv")
    checkpoints = FileIn("checkpoints")
    model = FileIn("model.keras")
    predictions = FileIn("predictions.npz")
    errors = FileIn("errors.json")
    report = FileIn("report.html")
    figures = FileIn("figures")
    status = FileIn(STATUS)
    prune_request = FileIn("pruned.json")  # written by the driver of a search that wants the run to stop early
    tracking = FileIn("tracking.json")  # the run's identifiers in trackers, and which of them have all of it
    tracking_lock = FileIn("tracking.lock")
    tensorboard = FileIn("tensorboard")
    wandb = FileIn("wandb")
    summary = FileIn(SUMMARY)
