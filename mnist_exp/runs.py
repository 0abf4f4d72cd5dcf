"""A run directory: create, lock, write its status, find, read. Every file name of a run stands here."""

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from mnist_exp import files, plain_yaml
from mnist_exp.errors import InputError
from mnist_exp.summary import Summary

Status = Literal["waiting", "running", "completed", "interrupted", "pruned", "failed", "diverged"]
# What parsing a half-written or hostile file can raise; RecursionError by deep nesting.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, yaml.YAMLError)

STATUS, SUMMARY = "status.json", "summary.json"  # one of them makes a directory a run
NO_RUN = "no run"  # what a directory is called that is none
MAKE_AGAIN = "make it again: mnist-exp ensemble RUN…"  # what an ensemble costs is not worth keeping a state of
WITHOUT_A_WORD = "its process ended without a word"


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
    def verdict(self) -> Path:
        """Written from outside, by a search that has seen enough of the run."""
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


def create_directory(runs_dir: Path, label: str) -> Path:
    """Make a new directory `<time>_<label>` below `runs_dir`; two that start in the same second never share one.

    Raises:
        EnvironmentFailure: it cannot be made.
    """
    stamp = datetime.now().astimezone().strftime("%Y-%m-%dT%H-%M-%S")
    with files.writing(runs_dir):
        runs_dir.mkdir(parents=True, exist_ok=True)
        attempt = 1
        while True:
            directory = runs_dir / (f"{stamp}_{label}" if attempt == 1 else f"{stamp}_{label}_{attempt}")
            try:
                directory.mkdir()
            except FileExistsError:
                attempt += 1
            else:
                files.sync_directory(runs_dir)
                return directory


@contextlib.contextmanager
def locked(run: Run, patience: float = 0.0) -> Iterator[None]:
    """Hold the run for this process alone, if need be after so many seconds.

    Raises:
        InputError: another process holds it.
        EnvironmentFailure: its log cannot be opened.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(files.locked(run.log, patience))
        except BlockingIOError:
            status = read_json(run.status)
            holder = f"process {status.get('pid')} on {status.get('host')}" if status else "another process"
            raise InputError(f"{run.directory}: is being written by {holder}", "wait for it, or end it first") from None
        files.remove_unfinished(run.directory)
        yield


def write_status(
    run: Run, status: Status, exit_code: int | None = None, cause: str | None = None, remedy: str | None = None
) -> None:
    """Say where the run stands and, if it did not complete, why; the exit code is None while it is running."""
    content = {"schema": 1, "status": status, "exit_code": exit_code, "cause": cause, "remedy": remedy}
    files.write_json(run.status, content | {"time": now(), "pid": os.getpid(), "host": socket.gethostname()})


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Record:
    """What can be read of a directory that is, or looks like, a run; `summary` is there if and only if it completed."""

    directory: Path
    status: str
    cause: str | None
    remedy: str | None
    summary: Summary | None

    @property
    def agreed(self) -> dict[str, Any] | None:
        """Of an ensemble, the settings in which its members agree, by dotted key: it has no config.yaml."""
        return None if self.summary is None or self.summary.members is None else dict(self.summary.settings)


def is_run(directory: Path) -> bool:
    """Whether a directory calls itself a run."""
    run = Run(directory)
    return run.status.exists() or run.summary.exists()


def changed(run: Run) -> int:
    """When the run last said where it stands, in nanoseconds; 0 if it never did."""
    times = [path.stat().st_mtime_ns for path in (run.status, run.summary) if path.exists()]
    return max(times, default=0)


def find(place: Path) -> list[Path]:
    """The runs at or below a place in the order of their names, and the directories that hold none.

    Raises:
        InputError: there is no such place.
    """
    if not place.is_dir():
        raise InputError(f"{place}: there is no such directory", "name a run directory or one that holds runs")
    run, children = _scan(str(place))
    return [place] if run else [Path(found) for child in children for found in _below(child) or [child]]


def _below(directory: str) -> list[str]:
    run, children = _scan(directory)
    return [directory] if run else [found for child in children for found in _below(child)]


def _scan(directory: str) -> tuple[bool, list[str]]:
    """Whether a directory calls itself a run and, if it does not, what is in it; one look, since there may be thousands."""
    children = []
    with contextlib.suppress(PermissionError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.name in {STATUS, SUMMARY}:
                return True, []
            if not entry.name.startswith(".") and entry.is_dir():
                children.append(entry.path)
    return False, sorted(children)


def read(directory: Path) -> Record:
    """Read a run's summary, or why there is none; never fails on a half-written or foreign directory."""
    run = Run(directory)
    try:
        summary = Summary.model_validate_json(run.summary.read_bytes())
    except FileNotFoundError:
        return _without_summary(run)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return Record(directory, "unreadable", f"summary.json: {where}: {first['msg']}", None, None)
    except OSError as error:
        return Record(directory, "unreadable", f"summary.json: {error.strerror}", None, None)
    return Record(directory, summary.status, None, None, summary)


def _without_summary(run: Run) -> Record:
    directory = run.directory
    if not run.status.exists():
        return Record(directory, NO_RUN, "no status.json and no summary.json", None, None)
    status = read_json(run.status)
    if not isinstance(status.get("status"), str):
        return Record(directory, "unreadable", "status.json: is not what a run writes", None, None)
    if status["status"] == "running" and has_ended(status):
        remedy = MAKE_AGAIN if run.ensemble.exists() else f"continue: mnist-exp resume {directory}"
        return Record(directory, "interrupted", WITHOUT_A_WORD, remedy, None)
    if status["status"] == "completed":
        remedy = MAKE_AGAIN if run.ensemble.exists() else f"write it anew: mnist-exp resume {directory}"
        return Record(directory, "incomplete", "it was completed, but its summary.json is gone", remedy, None)
    told = {key: str(status[key]) if status.get(key) else None for key in ("cause", "remedy")}
    return Record(directory, status["status"], told["cause"], told["remedy"], None)


def read_config(run: Run) -> dict[str, Any]:
    """The configuration as it stands in config.yaml or, of an ensemble, in ensemble.yaml, unchecked.

    Raises:
        ValueError: it cannot be read, or is no mapping.
    """
    path = run.ensemble if run.ensemble.exists() else run.config
    try:
        tree = plain_yaml.load(path.read_bytes())
    except UNREADABLE as error:
        raise ValueError(f"{path}: {' '.join(str(error).split()) or type(error).__name__}") from None
    if not isinstance(tree, dict):
        raise ValueError(f"{path}: holds no settings")
    return tree


def read_json(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file; empty if there is none that can be read."""
    try:
        content = json.loads(path.read_bytes())
    except UNREADABLE:
        return {}
    return content if isinstance(content, dict) else {}


def has_ended(status: dict[str, Any]) -> bool:
    """Whether the process that wrote "running" is gone; of another machine's process nothing is known."""
    if status.get("host") != socket.gethostname() or not isinstance(status.get("pid"), int):
        return False
    try:
        os.kill(status["pid"], 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        return False
    return False
