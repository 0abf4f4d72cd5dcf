"""The sub-commands, and parsers and options that they share; quick to import."""

import argparse
import difflib
import os
import re
import shutil
import textwrap
from collections.abc import Collection, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from mnist_exp.errors import InputError

if TYPE_CHECKING:
    from mnist_exp.config.schema import Experiment

# Sub-command → its purpose; each is a module of this package with a `main(arguments) -> exit code`.
COMMANDS = {
    "show": "print the result of a run or a sweep",
    "compare": "compare runs: errors, differing settings, and which differences are significant",
    "diff": "show how two runs differ, and draw the images on which they disagree",
    "ensemble": "average the predictions of runs into a new run, and compare it with each member",
    "evaluate": "evaluate completed runs on other images: another data set, or their validation images",
    "predict": "read the digits in photos, scans and screenshots with a trained network",
    "export": "write a trained model for other runtimes (SavedModel, ONNX, LiteRT), checked on all test images",
    "draw": "write a page on which one draws digits and sees the answers of a trained network, and open it",
    "watch": "show the progress of running runs and sweeps",
    "resume": "continue an interrupted run or sweep, train a completed run longer, or add jobs to a sweep",
    "track": "upload existing runs to a tracker: TensorBoard, MLflow or Weights & Biases",
    "data": "list, fetch, verify and remove data sets; show one: counts, hashes and the first images",
    "help": "list the topics of the manual, or print one of them",
}
REQUIRED, UNKNOWN = "the following arguments are required: ", "unrecognized arguments: "  # messages of argparse
INVALID = re.compile(r"argument ([^:]+): invalid (choice|int value|float value): (.*?)(?: \(choose from (.*)\))?", re.DOTALL)
OVERRIDE = re.compile(r"[+~]*[A-Za-z_][\w./]*=")


class Parser(argparse.ArgumentParser):
    """A parser that reports wrong arguments like all other mistakes."""

    def error(self, message: str) -> NoReturn:
        """Raise InputError; a wrong option or value is suggested, and only what must not be missing is named as required."""
        if (invalid := INVALID.fullmatch(message)) is not None:
            raise self._invalid_value(*invalid.groups())
        text, hint = message, ""
        if message.startswith(REQUIRED):
            optional = {str(action.metavar) for action in self._actions if action.nargs in ("*", "?")}
            names = message.removeprefix(REQUIRED).split(", ")
            text = REQUIRED + ", ".join(name for name in names if name not in optional)
            positional = [str(action.metavar) for action in self._actions if not action.option_strings]
            usage = " ".join(f"[{name}]" if name in optional else name for name in positional)
            hint = f"write {self.prog} {usage}; "
        for word in message.removeprefix(UNKNOWN).split() if message.startswith(UNKNOWN) else ():
            if word.startswith("-") and (close := difflib.get_close_matches(word.partition("=")[0], self._options(), 1)):
                hint = f"did you mean {close[0]}? "
                break
        raise InputError(f"{self.prog}: {text}", f"{hint}see {self.prog} --help")

    def _invalid_value(self, name: str, kind: str, value: str, choices: str | None) -> InputError:
        """Return the error of an argument that argparse refuses, in the form of all others."""
        value = value.strip("'")
        subject = f"{name} {value}" if name.startswith("-") else f"{self.prog} {value}"
        if choices is None:
            return InputError(
                f"{subject}: not allowed", f"allowed: {'an integer' if kind.startswith('int') else 'a number'}"
            )
        allowed = choices.replace("'", "").split(", ")
        close = difflib.get_close_matches(value, allowed, 1)
        suggestion = f"; did you mean {close[0]}?" if close else ""
        return InputError(f"{subject}: not allowed", f"allowed: {', '.join(allowed)}{suggestion}")

    def _options(self) -> list[str]:
        return [name for action in self._actions for name in action.option_strings]


def parser(name: str, examples: str, runs_dir: bool = True, purpose: str = "") -> Parser:
    """Return the parser of a sub-command, whose help ends with examples; `runs_dir` adds the option `--runs-dir`.

    Args:
        purpose: in a sentence; empty for that in `COMMANDS`.
    """
    purpose = purpose or f"{COMMANDS[name][0].upper()}{COMMANDS[name][1:]}."
    command = Parser(
        prog=f"mnist-exp {name}",
        description=textwrap.fill(purpose, max(11, shutil.get_terminal_size().columns - 2)),  # the width of argparse
        epilog="examples:\n" + examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if runs_dir:
        text, default = "the directory of the runs (default: %(default)s)", primary_config()["runs_dir"]
        command.add_argument("--runs-dir", type=path, default=default, metavar="DIR", help=text)
    return command


def add_config_dir(command: Parser, text: str) -> None:
    """Add the option `--config-dir`, with its help."""
    command.add_argument("--config-dir", type=path, metavar="DIR", help=text)


def compose(overrides: Sequence[str], config_dir: str | None) -> "Experiment":
    """Compose an experiment for a command that uses a part of it and trains nothing.

    Raises:
        ConfigError: the overrides have problems.
    """
    from mnist_exp.config.command_line import parse_arguments
    from mnist_exp.config.composition import Composition

    flags = [] if config_dir is None else [f"--config-dir={config_dir}"]
    return Composition(parse_arguments([*flags, *overrides]), can_sweep=False).combinations()[0].experiment


def checked_label(name: str) -> str:
    """Return the value of `--name`, which becomes part of the name of a directory.

    Raises:
        InputError: it cannot.
    """
    from pydantic import TypeAdapter, ValidationError

    from mnist_exp.config.settings import Label

    try:
        return str(TypeAdapter(Label).validate_python(name))
    except ValidationError:
        allowed = TypeAdapter(Label).json_schema()["description"]
        raise InputError(f"--name {name}: not allowed", f"allowed: {allowed}") from None


def path(text: str) -> str:
    """Replace ~ with the home directory, since a shell does not after "="; for `type=` of argparse."""
    return os.path.expanduser(text)  # noqa: PTH111  (Path's fails without a home)


def is_override(word: str) -> bool:
    """Return whether a word is KEY=VALUE and not a directory with such a name."""
    return OVERRIDE.match(word) is not None and not Path(word).exists()


def comma_separated(text: str) -> list[str]:
    """Split a comma-separated argument; for `type=` of argparse."""
    return [word.strip() for word in text.split(",") if word.strip()]


def output_file(name: str, endings: Collection[str], option: str = "--output") -> Path:
    """Return the file that a user names with an option; a pipe or a device may have any ending.

    Raises:
        InputError: it is a directory, or its ending is not one of `endings`, such as .png.
        EnvironmentFailure: it cannot be written.
    """
    file = Path(name)
    if not file.name or name.endswith("/") or file.is_dir():
        raise InputError(f"{option} {name or repr(name)}: is a directory, not a file", "name a file, such as a new one")
    is_special = file.exists() and not file.is_file()
    if not is_special and file.suffix.lower() not in endings:
        listed = ", ".join(ending for ending in endings if ending)
        raise InputError(f"{option} {name}: unknown ending", f"allowed: a file name that ends in {listed}")
    from mnist_exp.machine.files import check_output  # NumPy

    check_output(file)
    return file


def primary_config() -> dict[str, Any]:
    """Return the content of conf/config.yaml, for commands that do not compose a configuration."""
    import yaml

    return dict(yaml.safe_load((files("mnist_exp.conf") / "config.yaml").read_text(encoding="utf-8")))
