"""The command line → a sub-command or a training; the exit code; the only place where errors are printed."""

import difflib
import errno
import importlib
import re
import signal
import sys
import traceback

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
from mnist_exp.machine import signals
from mnist_exp.terminal import streams

SETTING = re.compile(r"[+~=]")  # an argument with one of these is an override, not a sub-command


def main(arguments: list[str] | None = None) -> int:
    """Run `mnist-exp` and return its exit code."""
    is_process = arguments is None
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    if debug:
        arguments.remove("--debug")
    streams.install()
    with signals.raised():
        try:
            code = _run(arguments, debug)
            signals.deliver()  # one that a library has caught
        except KeyboardInterrupt:
            code = EXIT_SIGNAL_BASE + signal.SIGINT
        except Interrupted as interruption:
            code = interruption.exit_code
        code = _after_output(code)
        if is_process:
            signals.reset()
    return code


def _run(arguments: list[str], debug: bool) -> int:
    try:
        return _dispatch(arguments)
    except SystemExit as end:  # of argparse
        return end.code if isinstance(end.code, int) else EXIT_FAILED
    except BrokenPipeError:  # the reader of an output file that is a pipe has closed it
        return EXIT_SIGNAL_BASE + signal.SIGPIPE
    except Exception as error:  # noqa: BLE001  (the last resort: two lines instead of a traceback)
        signals.deliver()  # then the error is its consequence
        return _print_error(error, debug)


def _after_output(code: int) -> int:
    """Return the exit code of a command whose standard output may have been lost."""
    sys.stdout.flush()
    stream = streams.stream_of(sys.stdout)
    if stream is None or stream.error is None:
        return code
    cause = f"standard output: cannot be written: {stream.error.strerror}"
    if stream.copy is not None:
        from mnist_exp.terminal import messages

        messages.note(f"warning: {cause}; the result is in {stream.copy}")
        return code
    if code != EXIT_DONE:
        return code
    if stream.error.errno == errno.EPIPE:  # its reader has seen enough
        return EXIT_SIGNAL_BASE + signal.SIGPIPE
    return _print_error(EnvironmentFailure(cause, "the output is incomplete: print it to another place"), debug=False)


def _dispatch(arguments: list[str]) -> int:
    first = arguments[0] if arguments else ""
    if {"-sc", "--shell-completion"} & set(arguments):
        from mnist_exp.commands import completion

        return completion.main(arguments)
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
        from mnist_exp.commands import overview

        close = overview.settings_with_option(first) or overview.setting_with_spaces(arguments)
        close = close or difflib.get_close_matches(first, COMMANDS, n=1)
        suggestion = f"did you mean {' or '.join(close)}? " if close else ""
        raise InputError(
            f"{first}: not a sub-command and not a setting (key=value)",
            f"{suggestion}sub-commands: {', '.join(COMMANDS)}; without one, mnist-exp trains; see mnist-exp --help",
        )
    from mnist_exp.commands import train

    return train.main(arguments)


def _print_error(error: Exception, debug: bool) -> int:
    """Print an error, its cause and its remedy on a line each; return the exit code."""
    from mnist_exp.terminal import messages

    if debug:
        traceback.print_exception(error)
    if isinstance(error, OSError):
        error = EnvironmentFailure.of(error)
    if isinstance(error, ConfigError):
        for problem in error.problems:
            messages.error(problem.cause, problem.remedy)
    elif isinstance(error, UserError):
        messages.error(error.cause, error.remedy)
    else:
        messages.error(f"{type(error).__name__}: {error}", "this is a defect of mnist-exp; --debug shows where")
    return error.exit_code if isinstance(error, UserError) else EXIT_FAILED
