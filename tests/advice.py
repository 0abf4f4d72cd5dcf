"""Does what the second line of a problem advises, and checks that this solves the problem."""

import argparse
import re
import shlex
from collections.abc import Iterator, Sequence

from mnist_exp.commands import help as manual
from mnist_exp.commands.arguments import COMMANDS
from mnist_exp.commands.named_runs import find_weights
from mnist_exp.config.command_line import parse_arguments
from mnist_exp.config.composition import Composition
from mnist_exp.errors import ConfigError, Problem

COMMAND = re.compile(r"mnist-exp [^;]*")
WRITE = re.compile(r"(?:\bwrite|\bone list:|\blist them:|\bsuch as:?|\bwith|over seeds:) ('?[~+]*[a-z_][\w./]*=[^;]*)")
DELETE = re.compile(r"leave it out with (~[\w.]+)")
KEY = re.compile("unknown key|unknown group|this part of Hydra")  # the key is wrong, not the value
MEANT = re.compile(r"did you mean ([^?]+)\?")


def compositions(arguments: argparse.Namespace) -> Composition:
    """Make a composition that finds the runs of initial weights."""
    return Composition(arguments, find=find_weights)


def solve(arguments: Sequence[str], found: Sequence[Problem]) -> int:
    """Follow each advice of all problems of a command line; return their number."""
    count = 0
    for problem in found:
        for corrected in _corrections(list(arguments), problem):
            count += 1
            left = [other for other in remaining(corrected) if other.key == problem.key]
            assert not left, f"{problem}\n{shlex.join(corrected)}\n{left}"
    return count


def remaining(arguments: Sequence[str]) -> list[Problem]:
    """Check a command line as `mnist-exp` does before it trains; return its problems."""
    try:
        found = compositions(parse_arguments(arguments))
        _ = found.first() if "-m" in arguments else found.single()
    except ConfigError as error:
        return error.problems
    return []


def _corrections(arguments: list[str], problem: Problem) -> Iterator[list[str]]:
    line = next((given for given in arguments if problem.cause.startswith((f"{given}:", f"{given} "))), None)
    own = line or next((given for given in arguments if _key(given) == problem.key), None)
    if command := COMMAND.search(problem.remedy):
        words = shlex.split(command[0])[1:]
        if words[0] == "help":
            manual.page(words[1])
        elif words[0] not in COMMANDS:
            yield words
    elif written := WRITE.search(problem.remedy):
        yield _replaced(arguments, own, shlex.split(written[1]))
    elif deleted := DELETE.search(problem.remedy):
        yield [*arguments, deleted[1]]
    elif meant := MEANT.search(problem.remedy):
        yield _replaced(arguments, own, [_meant(own, problem, shlex.split(meant[1])[0])])


def _meant(own: str | None, problem: Problem, text: str) -> str:
    """Return the override that "did you mean TEXT?" suggests: an override, another key, or another value."""
    if "=" in text:
        return text
    key, _, value = (own or f"{problem.key}=").partition("=")
    return f"{text}={value}" if KEY.search(problem.cause) else f"{key}={text}"


def _replaced(arguments: list[str], own: str | None, lines: list[str]) -> list[str]:
    return [*(given for given in arguments if given != own), *lines]


def _key(argument: str) -> str:
    return argument.lstrip("+~").partition("=")[0]
