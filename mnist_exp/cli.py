"""The command line → a sub-command or a training; the exit code; the only place where errors are printed."""

import difflib
import importlib
import os
import re
import signal
import sys
import traceback
from types import FrameType

from mnist_exp import __version__
from mnist_exp.commands.arguments import COMMANDS
from mnist_exp.errors import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_SIGNAL_BASE,
    ConfigError,
    EnvironmentFailure,
    InputError,
    Interrupted,
    UserError,
)

SETTING = re.compile(r"[+~=]")  # an argument with one of these is an override, not a sub-command


def main(arguments: list[str] | None = None) -> int:
    """Run `mnist-exp` and return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    if debug:
        arguments.remove("--debug")
    terminate = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _dispatch(arguments)
    except KeyboardInterrupt:
        return EXIT_SIGNAL_BASE + signal.SIGINT
    except Interrupted as interruption:
        return interruption.exit_code
    except BrokenPipeError:  # the reader of a pipe has closed it
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123  (or Python complains when it closes the pipe)
        return EXIT_SIGNAL_BASE + signal.SIGPIPE
    except Exception as error:  # noqa: BLE001  (the last resort: two lines instead of a traceback)
        return _print_error(error, debug)
    finally:
        signal.signal(signal.SIGTERM, terminate)


def _dispatch(arguments: list[str]) -> int:
    first = arguments[0] if arguments else ""
    if first in COMMANDS:
        module = importlib.import_module(f"mnist_exp.commands.{first}")
        return int(module.main(arguments[1:]))
    if {"--help", "-h"} & set(arguments):
        from mnist_exp.commands import overview

        return overview.main()
    if "--version" in arguments:
        print(f"mnist-exp {__version__}")
        return EXIT_DONE
    if first and not first.startswith("-") and not SETTING.search(first):
        close = difflib.get_close_matches(first, COMMANDS, n=1)
        suggestion = f"did you mean {close[0]}? " if close else ""
        raise InputError(
            f"{first}: not a sub-command and not a setting (key=value)",
            f"{suggestion}sub-commands: {', '.join(COMMANDS)}; see mnist-exp --help",
        )
    from mnist_exp.commands import train

    return train.main(arguments)


def _interrupt(signal_number: int, _: FrameType | None) -> None:
    raise Interrupted(signal_number)


def _print_error(error: Exception, debug: bool) -> int:
    """Print an error, its cause and its remedy on a line each; return the exit code."""
    from mnist_exp.terminal import messages

    if debug:
        traceback.print_exception(error)
    if isinstance(error, ConfigError):
        for problem in error.problems:
            messages.error(problem.cause, problem.remedy)
    elif isinstance(error, UserError):
        messages.error(error.cause, error.remedy)
    elif isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        messages.error(f"{name}{error.strerror or error}", "check the file and its permissions")
        return EnvironmentFailure.exit_code
    else:
        messages.error(f"{type(error).__name__}: {error}", "this is a defect of mnist-exp; --debug shows where")
    return error.exit_code if isinstance(error, UserError) else EXIT_FAILED
