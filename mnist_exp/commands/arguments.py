"""What the sub-commands' command lines have in common."""

import argparse
import difflib
import glob
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from mnist_exp.errors import InputError
from mnist_exp.run.directory import find_runs, is_run, last_change
from mnist_exp.run.names import Run


def parser(name: str, purpose: str, examples: str) -> argparse.ArgumentParser:
    """An argument parser whose help ends with examples."""
    return argparse.ArgumentParser(
        prog=f"mnist-exp {name}",
        description=purpose,
        epilog="examples:\n" + examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def listed(text: str) -> list[str]:
    """The words between commas; an argument's type."""
    return [word.strip() for word in text.split(",") if word.strip()]


def primary_config() -> dict[str, Any]:
    """conf/config.yaml, for commands that compose no configuration."""
    return dict(yaml.safe_load((files("mnist_exp.conf") / "config.yaml").read_text(encoding="utf-8")))


def add_runs_dir(to: argparse.ArgumentParser) -> None:
    """The option that says where runs lie."""
    default = primary_config()["runs_dir"]
    to.add_argument("--runs-dir", default=default, metavar="DIR", help="where runs lie (default: %(default)s)")


def directory_of(name: str, runs_dir: str) -> Path:
    """The directory that a user names: `latest` run, a path, or a name below `runs_dir`.

    Raises:
        InputError: there is none; the nearest name is suggested.
    """
    if name == "latest":
        return _latest(Path(runs_dir))
    for candidate in (Path(name), Path(runs_dir) / name):
        if candidate.is_dir():
            return candidate
    known = [str(found.relative_to(runs_dir)) for found in find_runs(Path(runs_dir))] if Path(runs_dir).is_dir() else []
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
    suggestion = f"did you mean {close[0]}?" if close else "name a run directory, or latest"
    raise InputError(f"{name}: there is no such run", suggestion)


def places(name: str, runs_dir: str) -> list[Path]:
    """The directories that a user's word stands for: one or, of a pattern, all that match.

    Raises:
        InputError: there is none.
    """
    if not glob.has_magic(name) or Path(name).exists():
        return [directory_of(name, runs_dir)]
    # Path.glob takes no pattern that begins at the root.
    found = sorted(glob.glob(name)) or sorted(glob.glob(str(Path(runs_dir) / name)))  # noqa: PTH207
    directories = [Path(path) for path in found if Path(path).is_dir()]
    if not directories:
        raise InputError(f"{name}: matches no directory, here or in {runs_dir}", "see what there is: mnist-exp compare")
    return directories


def run_of(name: str, runs_dir: str) -> Run:
    """The single run that a user names.

    Raises:
        InputError: there is none, or the directory is not one.
    """
    directory = directory_of(name, runs_dir)
    if is_run(directory):
        return Run(directory)
    below = [found for found in find_runs(directory) if is_run(found)]
    if below:
        raise InputError(f"{directory}: is no run but holds {len(below)}", f"name one of them, as {below[0]}")
    raise InputError(f"{directory}: is no run", "name a run directory, or latest")


def _latest(runs_dir: Path) -> Path:
    found = [directory for directory in find_runs(runs_dir) if is_run(directory)] if runs_dir.is_dir() else []
    if not found:
        raise InputError(f"{runs_dir}: holds no run", "train one with mnist-exp, or name the place with --runs-dir DIR")
    return max(found, key=lambda directory: (last_change(Run(directory)), directory.name))
