"""Run directories: create one, find runs, read a run's configuration."""

import contextlib
import os
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from mnist_exp.config import additions
from mnist_exp.errors import InputError
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import UNREADABLE, describe, read_yaml
from mnist_exp.runs.run import STATUS, SUMMARY, Run
from mnist_exp.terminal import messages


def create_directory(runs_dir: Path, label: str) -> Path:
    """Create a new directory `<time>_<label>` in `runs_dir`, numbered if another process has just created it.

    Raises:
        EnvironmentFailure: it cannot be created.
    """
    stamp = datetime.now().astimezone().strftime("%Y-%m-%dT%H-%M-%S")
    with files.writing(runs_dir):
        runs_dir.mkdir(parents=True, exist_ok=True)
        attempt = 1
        while True:
            directory = runs_dir / (f"{stamp}_{label}" if attempt == 1 else f"{stamp}_{label}_{attempt}")
            with contextlib.suppress(FileExistsError):
                directory.mkdir()
                files.sync_directory(runs_dir)
                return directory
            attempt += 1


def is_run(directory: Path) -> bool:
    """Return whether a directory contains a status or a summary."""
    return files.exists(directory / STATUS) or files.exists(directory / SUMMARY)


def last_change(run: Run) -> int:
    """Return the time of the last change of status or summary, in nanoseconds; 0 without either."""
    changes = [0]
    for path in (run.status, run.summary):
        with contextlib.suppress(OSError):
            changes.append(path.stat().st_mtime_ns)
    return max(changes)


def find_runs(place: Path) -> list[Path]:
    """Return the runs in a directory, at any depth, ordered by name, each once even if links lead to it or form a loop.

    A directory that cannot be read is skipped with a warning.

    Raises:
        InputError: the directory does not exist.
    """
    if not place.is_dir():
        raise InputError(f"{place}: directory does not exist", "name a run directory, or a directory that contains runs")
    runs: list[str] = []
    pending, links = [str(place)], list[str]()  # links are followed last, so that a run keeps its own name
    visited: set[tuple[int, int]] = set()
    while pending or links:
        directory = pending.pop() if pending else links.pop(0)
        try:
            status = os.stat(directory)  # noqa: PTH116  (there may be thousands, and a Path takes ten times as long)
            if (identity := (status.st_dev, status.st_ino)) in visited:
                continue
            visited.add(identity)
            is_a_run, children, linked = _scan(directory)
        except (FileNotFoundError, NotADirectoryError):  # it has just been removed
            continue
        except OSError as error:
            warn_unreadable(directory, error.strerror)
            continue
        if is_a_run:
            runs.append(directory)
        pending += children
        links += linked
    return [Path(path) for path in sorted(runs, key=lambda path: path.split("/"))]


@cache
def warn_unreadable(path: str, cause: str | None) -> None:
    """Print a warning, once for each path."""
    messages.warning(f"{path}: cannot be read: {cause}")


def _scan(directory: str) -> tuple[bool, list[str], list[str]]:
    """Return whether a directory is a run and, if not, its subdirectories and the links in it that may lead to others."""
    children, links = [], []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name in {STATUS, SUMMARY}:
                return True, [], []
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():
                links.append(entry.path)
            elif entry.is_dir():
                children.append(entry.path)
    return False, children, sorted(links)


def read_config(run: Run) -> dict[str, Any]:
    """Read config.yaml or, for an ensemble, ensemble.yaml, unchecked. Settings that its version did not have are added.

    Raises:
        ValueError: the file cannot be read, or is not a mapping.
    """
    path = run.ensemble if files.exists(run.ensemble) else run.config
    try:
        tree = read_yaml(path)
        if isinstance(tree, dict) and path == run.config:
            additions.complete(tree)
    except UNREADABLE as error:
        raise ValueError(f"{path}: {describe(error)}") from None
    if not isinstance(tree, dict):
        raise ValueError(f"{path}: contains no settings")
    return tree
