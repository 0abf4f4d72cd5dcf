"""Weights & Biases: a run for each run, in a group for each sweep; offline mode writes to the run directory."""

import os
import shlex
import shutil
from pathlib import Path
from typing import Any

from mnist_exp.config.trackers import WandbTrackerConfig
from mnist_exp.runs.run import Run
from mnist_exp.tracking.snapshot import RunSnapshot
from mnist_exp.tracking.tracker import TrackedRun, Tracker

MAX_TAG = 64  # characters of a tag


class Wandb(Tracker):
    """A project."""

    location = "wandb"
    remedy = "log in with WANDB_API_KEY, or write to the run directory with tracker.mode=offline"

    def __init__(self, settings: WandbTrackerConfig) -> None:
        self._settings = settings
        self._online = settings.mode == "online"
        self.target = f"wandb {settings.mode} {settings.entity or ''}/{settings.project}"
        os.environ |= {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
        import wandb  # reads these variables

        self._wandb = wandb

    def open_run(self, snapshot: RunSnapshot, sweep: RunSnapshot | None) -> "WandbRun":
        """Start or continue a run."""
        settings, directory = self._settings, Run(snapshot.directory).wandb
        if not self._online:  # an offline run cannot be continued: it is written again
            for old in directory.glob(f"offline-run-*-{snapshot.id}"):
                shutil.rmtree(old)
        run = self._wandb.init(
            entity=settings.entity,
            project=settings.project,
            id=snapshot.id,
            name=snapshot.name,
            group=None if sweep is None else sweep.name,
            config=dict(snapshot.parameters),
            dir=str(snapshot.directory),
            mode=settings.mode,
            resume="allow" if self._online else None,
            reinit="create_new",
            settings=self._wandb.Settings(  # print nothing, record only what is sent, and limit every wait
                silent=True,
                console="off",
                disable_code=True,
                disable_git=True,
                save_code=False,
                symlink=False,
                x_disable_machine_info=True,
                x_disable_meta=True,
                x_disable_stats=True,
                x_save_requirements=False,
                init_timeout=settings.timeout,
                login_timeout=settings.timeout,
                finish_timeout=settings.timeout,
                finish_timeout_raises=True,
            ),
        )
        return WandbRun(run, str(run.url) if self._online else _sync_command(directory, ""))

    def send_sweep(self, snapshot: RunSnapshot) -> str:
        """Return where the jobs are: they form a group."""
        if not self._online:
            return _sync_command(snapshot.directory, "*/wandb/")
        return f"the group {snapshot.name} of the project {self._settings.project}"


class WandbRun(TrackedRun):
    """One run of the project."""

    def __init__(self, run: Any, address: str) -> None:
        self.address = address
        self._run = run
        self._sent = max(run.step - 1, 0)  # `step`: of the next epoch; 0 for a new run

    def send(self, snapshot: RunSnapshot) -> None:
        """Send new epochs and tags; at the end also results, files and status."""
        for row in snapshot.epochs[self._sent :]:
            self._run.log(dict(row.metrics), step=row.epoch, commit=True)
        self._sent = len(snapshot.epochs)
        self._run.config.update(dict(snapshot.tags), allow_val_change=True)
        tags = [f"{key}:{value}" for key, value in snapshot.tags.items()]
        self._run.tags = tuple(tag for tag in tags if len(tag) <= MAX_TAG)
        if snapshot.ended is not None:
            self._run.summary.update(dict(snapshot.results))
            for path in snapshot.files:
                self._run.save(str(path), base_path=str(snapshot.directory), policy="now", glob=False)
            self._run.finish(exit_code=0 if snapshot.successful else 1)

    def close(self) -> None:
        """End a run that may continue later; no effect on one that has ended."""
        self._run.finish(exit_code=1)


def _sync_command(directory: Path, below: str) -> str:
    return f"wandb sync {shlex.quote(str(directory))}/{below}offline-run-*"
