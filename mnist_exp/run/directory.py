"""Run directories: create one, lock it, find runs, read a run's configuration."""

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
from mnist_exp.run.run import STATUS, SUMMARY, Run


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


@contextlib.contextmanager
def lock_run(run: Run, timeout: float = 0.0) -> Iterator[None]:
    """Lock the run for this process; wait up to `timeout` seconds for another process to release it.

    Raises:
        InputError: another process has locked it.
        EnvironmentFailure: its log cannot be opened.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(files.locked(run.log, timeout))
        except BlockingIOError:
            status = read_json(run.status)
            owner = f"process {status.get('pid')} on {status.get('host')}" if status else "another process"
            raise InputError(f"{run.directory}: is being written by {owner}", "wait for it, or stop it first") from None
        with files.writing(run.directory):
            for unfinished in run.directory.glob(f"{files.UNFINISHED}*"):  # by a process that was killed
                unfinished.unlink()
        yield


def is_run(directory: Path) -> bool:
    """Return whether a directory contains a status or a summary."""
    run = Run(directory)
    return run.status.exists() or run.summary.exists()


def last_change(run: Run) -> int:
    """Return the time of the last change of status or summary, in nanoseconds; 0 without either."""
    times = [path.stat().st_mtime_ns for path in (run.status, run.summary) if path.exists()]
    return max(times, default=0)


def find_runs(place: Path) -> list[Path]:
    """Return the runs in a directory, at any depth, ordered by name, and its subdirectories that contain no run.

    Raises:
        InputError: the directory does not exist.
    """
    if not place.is_dir():
        raise InputError(f"{place}: directory does not exist", "name a run directory, or a directory that contains runs")
    is_a_run, children = _scan(str(place))
    return [place] if is_a_run else [Path(path) for child in children for path in _runs_in(child) or [child]]


def _runs_in(directory: str) -> list[str]:
    is_a_run, children = _scan(directory)
    return [directory] if is_a_run else [path for child in children for path in _runs_in(child)]


def _scan(directory: str) -> tuple[bool, list[str]]:
    """Return whether a directory is a run and, if not, its subdirectories. Reads it once: there may be thousands."""
    children = []
    with contextlib.suppress(PermissionError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.name in {STATUS, SUMMARY}:
                return True, []
            if not entry.name.startswith(".") and entry.is_dir():
                children.append(entry.path)
    return False, sorted(children)


def read_config(run: Run) -> dict[str, Any]:
    """Read config.yaml or, for an ensemble, ensemble.yaml, unchecked. Settings that its version did not have are added.

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
        raise ValueError(f"{path}: contains no settings")
    return tree
