"""Run directories: create one, lock it, find runs below a place, read a run's configuration."""

import contextlib
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from mnist_exp.config import additions
from mnist_exp.errors import InputError
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import UNREADABLE, load_yaml, read_json
from mnist_exp.run.names import STATUS, SUMMARY, Run


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
def locked_run(run: Run, patience: float = 0.0) -> Iterator[None]:
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


def is_run(directory: Path) -> bool:
    """Whether a directory calls itself a run."""
    run = Run(directory)
    return run.status.exists() or run.summary.exists()


def last_change(run: Run) -> int:
    """When the run last said where it stands, in nanoseconds; 0 if it never did."""
    times = [path.stat().st_mtime_ns for path in (run.status, run.summary) if path.exists()]
    return max(times, default=0)


def find_runs(place: Path) -> list[Path]:
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


def read_config(run: Run) -> dict[str, Any]:
    """Return the configuration in config.yaml or, for an ensemble, the content of ensemble.yaml, unchecked.

    A setting that the version of the run did not have is added; see `additions`.

    Raises:
        ValueError: the file cannot be read, or is not a mapping.
    """
    path = run.ensemble if run.ensemble.exists() else run.config
    try:
        tree = load_yaml(path.read_bytes())
        if isinstance(tree, dict) and path == run.config:
            additions.complete(tree)
    except UNREADABLE as error:
        raise ValueError(f"{path}: {' '.join(str(error).split()) or type(error).__name__}") from None
    if not isinstance(tree, dict):
        raise ValueError(f"{path}: holds no settings")
    return tree
