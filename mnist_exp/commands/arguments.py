"""What the sub-commands' command lines have in common."""

import argparse
import difflib
from pathlib import Path

from mnist_exp import runs
from mnist_exp.errors import InputError

RUNS_DIR = "runs"  # the default of `runs_dir` in conf/config.yaml, for commands that compose no configuration


def parser(name: str, purpose: str, examples: str) -> argparse.ArgumentParser:
    """An argument parser whose help ends with examples."""
    return argparse.ArgumentParser(
        prog=f"mnist-exp {name}",
        description=purpose,
        epilog="examples:\n" + examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_runs_dir(to: argparse.ArgumentParser) -> None:
    """The option that says where runs lie."""
    to.add_argument("--runs-dir", default=RUNS_DIR, metavar="DIR", help="where runs lie (default: %(default)s)")


def run_directory(name: str, runs_dir: str) -> Path:
    """The run that a user names: `latest`, a path, or the name of a directory in `runs_dir`.

    Raises:
        InputError: there is none; the nearest name is suggested.
    """
    if name == "latest":
        return _latest(Path(runs_dir))
    for candidate in (Path(name), Path(runs_dir) / name):
        if candidate.is_dir():
            return candidate
    known = [directory.name for directory in runs.find(Path(runs_dir))] if Path(runs_dir).is_dir() else []
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
    suggestion = f"did you mean {close[0]}?" if close else "name a run directory, or latest"
    raise InputError(f"{name}: there is no such run", suggestion)


def _latest(runs_dir: Path) -> Path:
    found = [directory for directory in runs.find(runs_dir) if runs.is_run(directory)] if runs_dir.is_dir() else []
    if not found:
        raise InputError(f"{runs_dir}: holds no run", "train one with mnist-exp, or name the place with --runs-dir DIR")
    return max(found, key=lambda directory: (runs.Run(directory).status.stat().st_mtime_ns, directory.name))
