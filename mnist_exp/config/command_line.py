"""The flags of `mnist-exp [overrides]`: those of Hydra, except for flags that run code or hide the shipped options."""

import argparse
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from mnist_exp.errors import InputError

INFORMATION = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
REFUSED = {
    "experimental_rerun": (
        "--experimental-rerun: refused, because it unpickles a file, which can run any code",
        "repeat a run with the overrides in its overrides.yaml",
    ),
    "config_path": (
        "--config-path: refused, because it would hide all shipped options",
        "add a directory of your own options with --config-dir DIR",
    ),
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Report an unknown flag like all other mistakes."""
        raise InputError(message, "see mnist-exp --help; a setting is written key=value, without dashes")


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse a command line that trains, sweeps, or asks Hydra for information.

    Returns:
        `overrides`, `multirun`, `config_dir`, `config_name`, and Hydra's own `cfg`, `resolve`, `package`, `info`
        and `hydra_help`.

    Raises:
        InputError: a flag is unknown or refused, or the directory does not exist.
    """
    parser = _Parser(prog="mnist-exp", add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--multirun", "-m", action="store_true")
    parser.add_argument("--cfg", "-c", choices=("job", "hydra", "all"))
    parser.add_argument("--resolve", action="store_true")
    parser.add_argument("--package", "-p")
    parser.add_argument("--info", "-i", nargs="?", const="all", choices=INFORMATION)
    parser.add_argument("--hydra-help", action="store_true")
    parser.add_argument("--config-name", "-cn")
    parser.add_argument("--config-dir", "-cd", type=os.path.expanduser)  # a shell expands no ~ after "="
    parser.add_argument("--config-path", "-cp")
    parser.add_argument("--experimental-rerun")
    parsed = parser.parse_intermixed_args(arguments)
    for flag, message in REFUSED.items():
        if getattr(parsed, flag) is not None:
            raise InputError(*message)
    if (parsed.resolve or parsed.package) and not parsed.cfg:
        raise InputError("--resolve, --package: options of --cfg", "add --cfg job")
    if parsed.config_dir is not None and not Path(parsed.config_dir).is_dir():
        reason = "not a directory" if Path(parsed.config_dir).exists() else "the directory does not exist"
        raise InputError(
            f"--config-dir {parsed.config_dir}: {reason}", "name a directory that contains model/NAME.yaml and the like"
        )
    return parsed


def sweep_command(arguments: argparse.Namespace, replaced: Mapping[str, str], added: Sequence[str]) -> str:
    """Return the command of a sweep with the directory and the overrides of parsed arguments, for a shell.

    Args:
        arguments: as `parse_arguments` returns them.
        replaced: overrides that are replaced with others.
        added: overrides before these, if the command does not have them.
    """
    flags = [
        f"--{name.replace('_', '-')}={value}"
        for name in ("config_dir", "config_name")
        if (value := getattr(arguments, name))
    ]
    return shlex.join(
        [
            "mnist-exp",
            "-m",
            *flags,
            *(line for line in added if line not in arguments.overrides),
            *(replaced.get(line, line) for line in arguments.overrides),
        ]
    )
