"""Errors as the user sees them: a cause, a remedy and an exit code.

Exit codes: 0 done · 1 a run, any job of a sweep, or an export failed · 2 invalid configuration or input · 3 a file failed
its integrity or security check · 4 training diverged · 5 the environment (disk, permissions, device, network) · 130 / 143
interrupted by SIGINT / SIGTERM.
"""

from dataclasses import dataclass
from typing import ClassVar

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_SIGNAL_BASE = 128  # the shell's convention: 128 + the number of the signal


class WithRemedy(BaseException):
    """What is wrong, and what to do."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(cause, remedy)
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.cause}\n{self.remedy}"

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows instead of a traceback."""
        return [f"{type(self).__name__}: {self}"]


class UserError(WithRemedy, Exception):
    """An error that is not a defect of the program; printed without a traceback."""

    exit_code: ClassVar[int] = EXIT_FAILED


class InputError(UserError):
    """A command line, configuration or path that cannot be used."""

    exit_code = 2


class IntegrityError(UserError):
    """A file that is damaged, or unsafe to load."""

    exit_code = 3


class DivergenceError(UserError):
    """The loss, a weight or an output became NaN or infinite."""

    exit_code = 4


class EnvironmentFailure(UserError):  # noqa: N818  (EnvironmentError is Python's old name for OSError)
    """The machine lacks something: disk space, a permission, a device, the network."""

    exit_code = 5

    @classmethod
    def of(cls, error: OSError) -> "EnvironmentFailure":
        """Return an error of the system as one with a remedy."""
        name = f"{error.filename}: " if error.filename else ""
        return cls(f"{name}{error.strerror or error}", "check the file and its permissions")


def class_of(exit_code: int | None) -> type[UserError]:
    """Return the class of the errors that have an exit code."""
    classes = (InputError, IntegrityError, DivergenceError, EnvironmentFailure)
    return next((one for one in classes if one.exit_code == exit_code), UserError)


class Pruned(Exception):  # noqa: N818  (as Optuna's TrialPruned)
    """A search stops this run before its last epoch; it has not failed."""


class Interrupted(BaseException):
    """SIGTERM, as KeyboardInterrupt is SIGINT; a BaseException so that no `except Exception` swallows it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_code = EXIT_SIGNAL_BASE + signal_number


class RunInterrupted(WithRemedy, KeyboardInterrupt):
    """In Python, KeyboardInterrupt stopped a run or a sweep, which can be resumed."""


@dataclass(frozen=True)
class Problem:
    """One problem of a configuration."""

    key: str
    cause: str
    remedy: str


class ConfigError(InputError):
    """All problems of a configuration."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(problem.cause for problem in problems), "\n".join(problem.remedy for problem in problems))
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(f"{problem.cause}\n  {problem.remedy}" for problem in self.problems)
