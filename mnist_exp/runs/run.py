"""A run as the paths of the files in its directory."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnist_exp.errors import IntegrityError

STATUS, SUMMARY = "status.json", "summary.json"  # a directory with one of them is a run


class FilePath:
    """A read-only attribute: the path of a file in the `directory` of its object."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, owner: Any, kind: type) -> Path:
        return Path(owner.directory / self._name)


def refuse_special_files(*paths: Path) -> None:
    """Check paths that are opened for writing or removed: each must be a regular file, a directory, or missing.

    Through a symbolic link, files elsewhere would be changed or deleted; a pipe would make the program wait for ever.

    Raises:
        IntegrityError: one is something else.
    """
    for path in paths:
        try:
            mode = os.lstat(path).st_mode
        except OSError:  # it is missing; or that cannot be known, and it cannot be written either
            continue
        if stat.S_ISLNK(mode):
            cause = f"{path}: is a symbolic link, through which files elsewhere could be changed"
            raise IntegrityError(cause, "replace the link by what it leads to")
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise IntegrityError(f"{path}: is not a regular file", "remove it")


@dataclass(frozen=True)
class Run:
    """One run directory."""

    directory: Path

    config = FilePath("config.yaml")
    ensemble = FilePath("ensemble.yaml")  # the runs that an ensemble averages; it has no config.yaml
    overrides = FilePath("overrides.yaml")
    environment = FilePath("environment.json")
    lineage = FilePath("lineage.json")  # the run from which this one started
    lock = FilePath(".lock")
    log = FilePath("train.log")
    history = FilePath("history.csv")
    checkpoints = FilePath("checkpoints")
    model = FilePath("model.keras")
    predictions = FilePath("predictions.npz")
    calibration = FilePath("calibration.json")  # on the validation images; written when it is first needed
    outliers = FilePath("outliers.npz")  # a network that recognises images that are not digits; as calibration.json
    errors = FilePath("errors.json")
    report = FilePath("report.html")
    figures = FilePath("figures")
    evaluations = FilePath("evaluations")  # on other images, a directory for each
    exports = FilePath("exports")  # artefacts for other runtimes, with the results of their checks, and the model card
    status = FilePath(STATUS)
    prune_request = FilePath("pruned.json")  # written by the driver of a search that wants the run to stop early
    tracking = FilePath("tracking.json")  # the run's identifiers in trackers, and which of them have all of it
    tracking_lock = FilePath("tracking.lock")
    tensorboard = FilePath("tensorboard")
    wandb = FilePath("wandb")
    summary = FilePath(SUMMARY)

    @property
    def written_in_place(self) -> tuple[Path, ...]:
        """The files that are opened for writing, and the directories; other files are replaced, even if they are links."""
        return self.lock, self.log, self.checkpoints, self.figures, self.tracking_lock, self.tensorboard, self.wandb
