"""Runs and directories that a user names on the command line of a sub-command."""

import difflib
import glob
from pathlib import Path

from mnist_exp.errors import InputError
from mnist_exp.run.directory import find_runs, is_run, last_change
from mnist_exp.run.run import Run


def find_directory(name: str, runs_dir: str) -> Path:
    """Return the directory that a user names: `latest` (run), a path, or a name below `runs_dir`.

    Raises:
        InputError: it does not exist; the nearest name is suggested.
    """
    if name == "latest":
        return _latest(Path(runs_dir))
    for candidate in (Path(name), Path(runs_dir) / name):
        if candidate.is_dir():
            return candidate
    known = [str(found.relative_to(runs_dir)) for found in find_runs(Path(runs_dir))] if Path(runs_dir).is_dir() else []
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
    suggestion = f"did you mean {close[0]}?" if close else "name a run directory, or latest"
    raise InputError(f"{name}: run not found", suggestion)


def find_directories(name: str, runs_dir: str) -> list[Path]:
    """Return the directories that a user names: one, or all that match a pattern.

    Raises:
        InputError: there are none.
    """
    if not glob.has_magic(name) or Path(name).exists():
        return [find_directory(name, runs_dir)]
    # Path.glob accepts no absolute pattern.
    found = sorted(glob.glob(name)) or sorted(glob.glob(str(Path(runs_dir) / name)))  # noqa: PTH207
    directories = [Path(path) for path in found if Path(path).is_dir()]
    if not directories:
        raise InputError(f"{name}: no matching directory, here or in {runs_dir}", "list the runs: mnist-exp compare")
    return directories


def find_run(name: str, runs_dir: str) -> Run:
    """Return the single run that a user names.

    Raises:
        InputError: it does not exist, or the directory is not a run.
    """
    directory = find_directory(name, runs_dir)
    if is_run(directory):
        return Run(directory)
    below = [found for found in find_runs(directory) if is_run(found)]
    if below:
        raise InputError(f"{directory}: contains {len(below)} runs; choose one", f"for example: {below[0]}")
    raise InputError(f"{directory}: not a run", "name a run directory, or latest")


def _latest(runs_dir: Path) -> Path:
    found = [directory for directory in find_runs(runs_dir) if is_run(directory)] if runs_dir.is_dir() else []
    if not found:
        raise InputError(
            f"{runs_dir}: contains no run", "train one with mnist-exp, or name another directory with --runs-dir DIR"
        )
    return max(found, key=lambda directory: (last_change(Run(directory)), directory.name))
