"""Weights & Biases: a run of theirs for each run, in the group of its sweep; offline, in the run's own directory."""

import os
import shlex
import shutil
from pathlib import Path
from typing import Any

from mnist_exp.config.schema import WandbTrackerConfig
from mnist_exp.machine import files
from mnist_exp.run.names import Run
from mnist_exp.terminal import messages
from mnist_exp.tracking import reaching
from mnist_exp.tracking.snapshot import Identity, RunSnapshot

MOST_TAG = 64  # characters of a tag
REMEDY = "log in with WANDB_API_KEY, or write it to the run directory with tracker.mode=offline"


class Wandb:
    """A project."""

    def __init__(self, settings: WandbTrackerConfig) -> None:
        self._settings = settings
        self.target = f"wandb {settings.mode} {settings.entity or ''}/{settings.project}"
        os.environ |= {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
        import wandb  # which reads the variables

        self._wandb = wandb

    def begin(self, snapshot: RunSnapshot, parent: Identity | None) -> "Recording":
        """Begin or continue a run.

        Raises:
            EnvironmentFailure: the service cannot be reached, or refuses it.
        """
        settings, run = self._settings, Run(snapshot.directory)
        if settings.mode == "offline":  # what was written before cannot be added to: it is written anew
            for old in run.wandb.glob(f"offline-run-*-{snapshot.identity.id}"):
                with files.writing(old):
                    shutil.rmtree(old)
        with reaching("wandb", REMEDY):
            began = self._wandb.init(
                entity=settings.entity,
                project=settings.project,
                id=snapshot.identity.id,
                name=messages.sanitize(snapshot.identity.name),
                group=None if parent is None else messages.sanitize(parent.name),
                config={messages.sanitize(key): value for key, value in snapshot.parameters.items()},
                dir=str(snapshot.directory),
                mode=settings.mode,
                resume="allow" if settings.mode == "online" else None,
                reinit="create_new",
                settings=self._quiet(settings.timeout),
            )
        return Recording(began, str(began.url) if settings.mode == "online" else _later(run.wandb, ""))

    def sweep(self, snapshot: RunSnapshot) -> str:
        """Where to look: its jobs are a group."""
        if self._settings.mode == "offline":
            return _later(snapshot.directory, "*/wandb/")
        return f"the group {messages.sanitize(snapshot.identity.name)} of the project {self._settings.project}"

    def _quiet(self, timeout: int) -> Any:
        """Nothing is printed, nothing recorded that was not asked for, and nothing waited for without end."""
        return self._wandb.Settings(
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
            init_timeout=timeout,
            login_timeout=timeout,
            finish_timeout=timeout,
            finish_timeout_raises=True,
        )


class Recording:
    """One run of theirs."""

    def __init__(self, run: Any, address: str) -> None:
        self.address = address
        self._run = run
        self._first = run.step  # that is not there yet; 0 if there is none
        self._open = True

    def send(self, snapshot: RunSnapshot) -> None:
        """Send the epochs that are not there and, of a run that ended, results, files and how it ended.

        Raises:
            EnvironmentFailure: the service cannot be reached, or refuses it.
        """
        with reaching("wandb", REMEDY):
            for row in snapshot.epochs:
                if row.epoch >= self._first:
                    values = {messages.sanitize(key): value for key, value in row.metrics.items()}
                    self._run.log(values, step=row.epoch, commit=True)
                    self._first = row.epoch + 1
            self._run.config.update(dict(snapshot.tags), allow_val_change=True)
            tags = [f"{key}:{value}" for key, value in snapshot.tags.items()]
            self._run.tags = tuple(tag for tag in tags if len(tag) <= MOST_TAG)
            if snapshot.ended is not None:
                self._run.summary.update(dict(snapshot.results))
                for path in snapshot.files:
                    self._run.save(str(path), base_path=str(snapshot.directory), policy="now", glob=False)
                self._end(0 if snapshot.status in {"completed", "pruned"} else 1)

    def close(self) -> None:
        """End the run as one that may go on, unless it has ended.

        Raises:
            EnvironmentFailure: the service cannot be reached.
        """
        if self._open:
            with reaching("wandb", REMEDY):
                self._end(1)

    def _end(self, code: int) -> None:
        self._open = False
        self._run.finish(exit_code=code)


def _later(place: Path, below: str) -> str:
    """The command that uploads what was written offline."""
    return f"wandb sync {shlex.quote(messages.sanitize(place))}/{below}offline-run-*"
