"""Runs and directories that a user names on the command line of a sub-command."""

import contextlib
import difflib
import glob
import re
from datetime import datetime
from pathlib import Path

from mnist_exp.commands.arguments import path
from mnist_exp.config.conversions import quote
from mnist_exp.config.initial_weights import Source
from mnist_exp.errors import InputError, IntegrityError
from mnist_exp.runs.directory import find_runs, is_run
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import recorded_time
from mnist_exp.sweep import plan
from mnist_exp.sweep.plan import Sweep
from mnist_exp.terminal.messages import pluralize

MIN_PART = 3  # characters by which a name is recognised
LATEST = re.compile(r"(?<![^,(])latest(?![^,)])")  # as a whole value


def find_directory(name: str, runs_dir: str) -> Path:
    """Return the directory that a user names: `latest` (run or sweep), a path, or a name below `runs_dir`.

    Raises:
        InputError: it does not exist; the nearest name is suggested.
    """
    if name == "latest":
        return _latest(Path(runs_dir))
    for candidate in (Path(name), Path(runs_dir) / name):
        if candidate.is_dir():
            return candidate
    close = _similar(name, Path(runs_dir))
    raise InputError(f"{name}: run not found", f"did you mean {close}?" if close else "name a run directory, or latest")


def _similar(name: str, runs_dir: Path) -> str | None:
    """Return the last run or sweep whose name contains a part of a name, such as a label; or else the most similar name."""
    runs = [found.relative_to(runs_dir) for found in find_runs(runs_dir)] if runs_dir.is_dir() else []
    known = {str(place): place.name for run in runs for place in (run.parent, run) if place != Path()}
    if len(name) >= MIN_PART and (containing := [place for place, last in known.items() if name in last]):
        return max(containing, key=lambda place: ("/" not in place, place))
    return next(iter(difflib.get_close_matches(name, [*known, "latest"], n=1, cutoff=0.5)), None)


def find_directories(name: str, runs_dir: str) -> list[Path]:
    """Return the directories that a user names: one, or all that match a pattern.

    Raises:
        InputError: there are none.
    """
    if not glob.has_magic(name) or Path(name).exists():
        return [find_directory(name, runs_dir)]
    # Path.glob accepts no absolute pattern.
    found = sorted(glob.glob(name)) or sorted(glob.glob(str(Path(glob.escape(runs_dir)) / name)))  # noqa: PTH207
    directories = [Path(path) for path in found if Path(path).is_dir()]
    if not directories:
        raise InputError(f"{name}: no matching directory, here or in {runs_dir}", "list the runs: mnist-exp compare")
    return directories


def find_run(name: str, runs_dir: str) -> Run:
    """Return the single run that a user names.

    Raises:
        InputError: it does not exist, or the directory is not a run.
    """
    return run_in(find_directory(name, runs_dir))


def run_in(directory: Path) -> Run:
    """Return the single run in a directory.

    Raises:
        InputError: the directory is not a run.
    """
    if is_run(directory):
        return Run(directory)
    if below := find_runs(directory):
        raise InputError(f"{directory}: contains {pluralize(len(below), 'run')}; choose one", f"for example: {below[0]}")
    raise InputError(f"{directory}: not a run", "name a run directory, or latest")


def find_weights(name: str, runs_dir: str) -> Source:
    """Return the weights of the single completed run that a user names.

    Raises:
        InputError: it does not exist, or is not a completed run.
        IntegrityError: its model is damaged.
    """
    from mnist_exp.runs.initial_weights import read_source  # HDF5

    return read_source(find_run(path(name), path(runs_dir)))


def with_latest_found(line: str, runs_dir: str) -> str:
    """Return an override of `initial_weights` with the run that is the latest now, since a sweep may be resumed later."""
    key, equals, value = line.partition("=")
    if key.lstrip("+") != "initial_weights" or not LATEST.search(value):
        return line
    return key + equals + LATEST.sub(lambda _: quote(str(find_directory("latest", runs_dir).resolve())), value)


def _latest(runs_dir: Path) -> Path:
    """Return the run that changed last, by the time that is recorded in it, or the sweep that it belongs to."""
    times: dict[Path, float] = {}
    for directory in find_runs(runs_dir) if runs_dir.is_dir() else []:
        parent = directory.parent
        place = parent if directory != runs_dir != parent and plan.is_sweep(parent) else directory
        times[place] = max(recorded_time(Run(directory)), times.get(place, 0))
    for started in runs_dir.glob("*/sweep.yaml"):
        if (place := started.parent) not in times:  # none of its jobs has started
            with contextlib.suppress(IntegrityError, ValueError):
                times[place] = datetime.fromisoformat(plan.read(Sweep(place)).created).timestamp()
    if not times:
        raise InputError(
            f"{runs_dir}: contains no run", "train one with mnist-exp, or name another directory with --runs-dir DIR"
        )
    return max(times, key=lambda place: (times[place], place.name))
