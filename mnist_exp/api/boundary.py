"""The boundary between a user's Python and the program: errors without the frames of the program, output in a notebook."""

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from mnist_exp.errors import EnvironmentFailure, RunInterrupted, UserError
from mnist_exp.terminal import streams

P = ParamSpec("P")
T = TypeVar("T")


def public(function: Callable[P, T]) -> Callable[P, T]:
    """Have a public function raise a user's mistakes from its first frame; an error of the system becomes one of them."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        failure: UserError | RunInterrupted
        with _messages():
            try:
                return function(*args, **kwargs)
            except (UserError, RunInterrupted) as error:
                failure = error
            except OSError as error:
                failure = EnvironmentFailure.of(error)
        raise failure.with_traceback(None) from None

    return call


@contextlib.contextmanager
def _messages() -> Iterator[None]:
    """Write messages of this block to standard output in a notebook, which shows standard error as if it were a failure."""
    with contextlib.redirect_stderr(sys.stdout) if streams.is_notebook() else contextlib.nullcontext():
        yield
