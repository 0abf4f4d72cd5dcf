"""`mnist-exp -sc install=SHELL` and `query=SHELL`: completion of sub-commands, options, runs, settings and their values.

Hydra completes only overrides, after it has been imported. This module reads the YAML files itself.
"""

import itertools
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from mnist_exp.commands import help as manual
from mnist_exp.commands.arguments import COMMANDS, primary_config
from mnist_exp.commands.setting_completion import groups_in, overrides
from mnist_exp.errors import EXIT_DONE, InputError
from mnist_exp.export.formats import FORMATS, QUANTIZATIONS
from mnist_exp.machine.plain_data import UNREADABLE, read_yaml
from mnist_exp.runs.run import STATUS, SUMMARY

SCRIPTS = {
    # A reply replaces the last word, which begins after the last "=", and is quoted unless the user has opened a quote.
    "bash": r"""_mnist_exp() {
    local line="${COMP_LINE:0:COMP_POINT}" reply prefix=""
    local word="${line##* }"
    [[ $COMP_WORDBREAKS == *=* && $word == *=* ]] && prefix="${word%"${word##*=}"}"
    COMPREPLY=()
    while IFS= read -r reply; do
        reply="${reply#"$prefix"}"
        if [[ ${COMP_WORDS[COMP_CWORD]} != [\"\']* ]]; then
            printf -v reply %q "$reply"
            reply="${reply//\\,/,}"
            [[ $reply == \\~* ]] && reply="${reply:1}"
        fi
        COMPREPLY+=("$reply")
    done < <(COMP_LINE="$line" mnist-exp -sc query=bash 2>/dev/null)
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=./] ]] && compopt -o nospace
}
complete -F _mnist_exp mnist-exp""",
    "zsh": r"""_mnist_exp() {
    local -a replies
    replies=("${(@f)$(COMP_LINE="${(j: :)words[1,CURRENT-1]} $PREFIX" mnist-exp -sc query=zsh 2>/dev/null)}")
    compadd -S '' -- ${(M)replies:#*[=./]}
    compadd -- ${replies:#*[=./]}
}
autoload -Uz compinit; (( $+functions[compdef] )) || compinit; compdef _mnist_exp mnist-exp""",
    "fish": r"""complete -c mnist-exp -e
complete -c mnist-exp -f -a '(env COMP_LINE=(commandline -cp | string collect) mnist-exp -sc query=fish 2>/dev/null)'""",
}
DIRECTORY, FILE, A_RUN = "a directory", "a file", "a run"
DATA_ACTIONS = ("show", "list", "fetch", "verify", "remove")
Values = str | tuple[str, ...] | None  # of an option: a path or a run, one of a list, or none; () for any text
CONFIG_DIR: dict[str, Values] = {"--config-dir": DIRECTORY}
FLAGS: dict[str, Values] = {
    "-m": None, "--multirun": None, "--cfg": ("job", "hydra", "all"), "--resolve": None, "--package": (),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"), **CONFIG_DIR, "--config-name": (),
    "--hydra-help": None, "--debug": None, "--version": None, "--help": None,
}  # fmt: skip
OPTIONS: dict[str, dict[str, Values]] = {
    "show": {},
    "compare": {
        "--by": (), "--where": (), "--metric": (), "--baseline": A_RUN, "--sort": (), "--top": (), "--columns": (),
        "--on": ("new-images", "these-images"), "--equivalence": (),
        "--format": ("table", "json", "csv", "markdown", "latex", "html"), "--output": FILE,
    },
    "diff": {"--format": ("table", "json"), "--output": FILE},
    "ensemble": {"--name": ()},
    "evaluate": {"--name": (), "--format": ("table", "json"), **CONFIG_DIR},
    "predict": {"--single": None, "--confidence": (), "--format": ("table", "json", "csv"), "--explain": FILE},
    "export": {"--format": tuple(FORMATS), "--quantize": QUANTIZATIONS, "--card": None, "--output": DIRECTORY},
    "draw": {"--output": FILE, "--no-open": None},
    "watch": {"--interval": (), "--once": None, "--forever": None},
    "resume": {"--retry-failed": None, "--until-decided": None, "--max-seeds": ()},
    "track": CONFIG_DIR,
    "data": {"--count": (), "--output": FILE, **CONFIG_DIR},
    "help": {},
}  # fmt: skip
SECTIONS = {"resume": (), "track": ("tracker",), "evaluate": ("dataset",)}  # whose settings a command takes; (): of all
PATHS = ("dataset.path", "dataset.root", "dataset.class_names", "runs_dir")  # settings
MAX_RUNS = 1000  # that are listed


def main(arguments: Sequence[str]) -> int:
    """Print the script for a shell, or the completions of the command line in COMP_LINE.

    Raises:
        InputError: the shell is unknown.
    """
    request = " ".join(word for word in arguments if not word.startswith("-"))
    action, _, shell = request.partition("=")
    if shell not in SCRIPTS or action not in {"install", "uninstall", "query"}:
        cause = f"-sc {request}: not allowed"
        raise InputError(cause, f"allowed: install=SHELL, uninstall=SHELL; shells: {', '.join(SCRIPTS)}")
    if action == "query":
        for found in completions(os.environ.get("COMP_LINE", "")):
            print(found)
    else:
        remove = {"bash": "complete -r mnist-exp", "zsh": "compdef -d mnist-exp", "fish": "complete -c mnist-exp -e"}
        print(SCRIPTS[shell] if action == "install" else remove[shell])
    return EXIT_DONE


def completions(line: str) -> list[str]:
    """Return what the last word of a command line may become; nothing if a file cannot be read."""
    try:
        words = shlex.split(line)
    except ValueError:  # an open quote
        words = line.replace("'", "").replace('"', "").split()
    current = "" if line[-1:].isspace() or len(words) < 2 else words.pop()
    try:
        found = {each for each in _candidates(words[1:], current) if each.startswith(current) and each.isprintable()}
        return sorted(found - {current})
    except UNREADABLE:  # no message may get into a prompt
        return []


def _candidates(words: Sequence[str], current: str) -> Iterator[str]:
    command = words[0] if words and words[0] in COMMANDS else None
    options = FLAGS if command is None else OPTIONS[command] | ({} if command == "help" else {"--runs-dir": DIRECTORY})
    option, equals, value = current.partition("=")
    if equals and option in options:
        yield from (f"{option}={each}" for each in _values(options[option], words, value))
    elif words and options.get(words[-1]) is not None:
        yield from _values(options[words[-1]], words, current)
    elif option in PATHS:
        yield from (f"{option}={each}" for each in _paths(value, directories=False))
    elif current.startswith("-"):
        yield from (*options, "--help")
    elif command == "help":
        yield from manual.topics()
    elif command == "data":
        yield from _of_data(words, current)
    elif command == "predict" and _has_name(words, options):
        yield from _paths(current, directories=False)
    elif command is not None:
        yield from _named_runs(words, current)
        yield from _paths(current, directories=command != "predict")
        yield from [f"split={part}" for part in ("test", "validation", "train")] if command == "evaluate" else []
        yield from overrides(words, current, _directories(words), SECTIONS[command]) if command in SECTIONS else ()
    elif option == "initial_weights":
        yield from _sources(words, value)
    else:
        yield from () if words else COMMANDS
        yield from overrides(words, current, _directories(words))


def _has_name(words: Sequence[str], options: Mapping[str, Values]) -> bool:
    """Return whether a word after the sub-command is neither an option nor the value of one."""
    return any(not word.startswith("-") and options.get(before) is None for before, word in itertools.pairwise(words))


def _named_runs(words: Sequence[str], current: str) -> Iterator[str]:
    yield from ("latest", *_runs(Path(_option(words, "--runs-dir") or str(primary_config()["runs_dir"])), current))


def _sources(words: Sequence[str], typed: str) -> Iterator[str]:
    """Yield the runs whose weights a training can start from; in a sweep, after a comma."""
    chosen, comma, last = typed.rpartition(",")
    runs_dir = _option(words, "runs_dir") or str(primary_config()["runs_dir"])
    for each in ("latest", *_runs(Path(runs_dir), last), *_paths(last, directories=True)):
        yield f"initial_weights={chosen}{comma}{each}"


def _of_data(words: Sequence[str], current: str) -> Iterator[str]:
    """Yield the actions of `data`, and what can follow one."""
    action = next((word for word in words[1:] if word in DATA_ACTIONS), None)
    if action is None:
        yield from DATA_ACTIONS
    elif action == "show":
        yield from overrides(words, current, _directories(words), ("dataset", "augmentation", "seed"))
    elif action != "list":
        yield from (name for name, option in groups_in(_directories(words))["dataset"].items() if _is_described(option))


def _is_described(option: Any) -> bool:
    content = read_yaml(Path(str(option)))
    return isinstance(content, dict) and content.get("kind") == "files"


def _values(values: Values, words: Sequence[str], current: str) -> Iterator[str]:
    """Yield the values of an option."""
    if isinstance(values, tuple):
        yield from values
    elif values == A_RUN:
        yield from _named_runs(words, current)
    elif values is not None:
        yield from _paths(current, directories=values == DIRECTORY)


def _option(words: Sequence[str], name: str) -> str | None:
    """Return the value of an option that the command line has."""
    following = [after for word, after in itertools.pairwise(words) if word == name]
    joined = [word.partition("=")[2] for word in words if word.startswith(f"{name}=")]
    return next((os.path.expanduser(found) for found in [*following, *joined]), None)  # noqa: PTH111


def _runs(runs_dir: Path, current: str) -> Iterator[str]:
    """Yield the runs and sweeps in a directory, and its other directories."""
    section = current.rpartition("/")[0]
    for entry, _ in zip(sorted((runs_dir / section).glob("*/")), range(MAX_RUNS), strict=False):
        is_named = any((entry / name).exists() for name in (STATUS, SUMMARY, "sweep.yaml"))
        yield f"{section}/{entry.name}".lstrip("/") + ("" if is_named else "/")


def _paths(current: str, directories: bool) -> Iterator[str]:
    """Yield what is in a directory; hidden entries only after a dot, as a shell does."""
    start = current.rpartition("/")[0] + "/" if "/" in current else ""
    place = Path(os.path.expanduser(start) or ".")  # noqa: PTH111
    for path in sorted(place.iterdir()) if place.is_dir() else ():
        is_hidden = path.name.startswith(".") and not current.rpartition("/")[2].startswith(".")
        if not is_hidden and (path.is_dir() or not directories):
            yield f"{start}{path.name}{'/' if path.is_dir() else ''}"


def _directories(words: Sequence[str]) -> list[Any]:
    """Return the directories of options: the shipped ones, and that of --config-dir."""
    own = _option(words, "--config-dir")
    return [files("mnist_exp.conf"), *([] if own is None else [Path(own)])]
