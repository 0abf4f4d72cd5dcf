"""A run as the paths of the files in its directory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

STATUS, SUMMARY = "status.json", "summary.json"  # a directory with one of them is a run


class FilePath:
    """A read-only attribute: the path of a file in the `directory` of its object."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, owner: Any, kind: type) -> Path:
        return Path(owner.directory / self._name)


@dataclass(frozen=True)
class Run:
    """One run directory."""

    directory: Path

    config = FilePath("config.yaml")
    ensemble = FilePath("ensemble.yaml")  # the runs that an ensemble averages; it has no config.yaml
    overrides = FilePath("overrides.yaml")
    environment = FilePath("environment.json")
    log = FilePath("train.log")
    history = FilePath("history.csv")
    checkpoints = FilePath("checkpoints")
    model = FilePath("model.keras")
    predictions = FilePath("predictions.npz")
    errors = FilePath("errors.json")
    report = FilePath("report.html")
    figures = FilePath("figures")
    status = FilePath(STATUS)
    prune_request = FilePath("pruned.json")  # written by the driver of a search that wants the run to stop early
    tracking = FilePath("tracking.json")  # the run's identifiers in trackers, and which of them have all of it
    tracking_lock = FilePath("tracking.lock")
    tensorboard = FilePath("tensorboard")
    wandb = FilePath("wandb")
    summary = FilePath(SUMMARY)
