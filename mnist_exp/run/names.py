"""The name of every file in a run directory."""

from dataclasses import dataclass
from pathlib import Path

STATUS, SUMMARY = "status.json", "summary.json"  # a directory with one of them is a run


@dataclass(frozen=True)
class Run:
    """The files of one run."""

    directory: Path

    @property
    def config(self) -> Path:
        return self.directory / "config.yaml"

    @property
    def ensemble(self) -> Path:
        """In place of a config.yaml: which runs it averages."""
        return self.directory / "ensemble.yaml"

    @property
    def overrides(self) -> Path:
        return self.directory / "overrides.yaml"

    @property
    def environment(self) -> Path:
        return self.directory / "environment.json"

    @property
    def log(self) -> Path:
        return self.directory / "train.log"

    @property
    def history(self) -> Path:
        return self.directory / "history.csv"

    @property
    def checkpoints(self) -> Path:
        return self.directory / "checkpoints"

    @property
    def model(self) -> Path:
        return self.directory / "model.keras"

    @property
    def predictions(self) -> Path:
        return self.directory / "predictions.npz"

    @property
    def errors(self) -> Path:
        return self.directory / "errors.json"

    @property
    def report(self) -> Path:
        return self.directory / "report.html"

    @property
    def figures(self) -> Path:
        return self.directory / "figures"

    @property
    def status(self) -> Path:
        return self.directory / STATUS

    @property
    def prune_request(self) -> Path:
        """Written by the driver of a search that wants the run to stop early."""
        return self.directory / "pruned.json"

    @property
    def tracking(self) -> Path:
        """Under which name trackers know the run, and which of them have all of it."""
        return self.directory / "tracking.json"

    @property
    def tracking_lock(self) -> Path:
        return self.directory / "tracking.lock"

    @property
    def tensorboard(self) -> Path:
        return self.directory / "tensorboard"

    @property
    def wandb(self) -> Path:
        return self.directory / "wandb"

    @property
    def summary(self) -> Path:
        return self.directory / SUMMARY
