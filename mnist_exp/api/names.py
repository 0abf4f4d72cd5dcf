"""How a user names runs in Python: as on the command line, or as objects, which are paths."""

import os
from collections.abc import Sequence

from mnist_exp.commands import arguments as command_line
from mnist_exp.errors import InputError

RunName = str | os.PathLike[str]  # a directory, its name in the directory of the runs, or latest


def default_runs_dir(given: RunName | None) -> str:
    """Return the directory of the runs that a user names, or the default of conf/config.yaml."""
    return str(command_line.primary_config()["runs_dir"]) if given is None else command_line.path(os.fspath(given))


def checked_overrides(overrides: Sequence[str]) -> list[str]:
    """Return overrides as a list; InputError for one string, which is a sequence of characters, and for other types."""
    if isinstance(overrides, str | bytes) or not all(isinstance(line, str) for line in overrides):
        raise InputError(f"overrides {overrides!r}: not a list of strings", 'such as: ["model=mlp", "training.epochs=3"]')
    return list(overrides)
