"""TensorFlow, started here and nowhere else: without what is not needed, and silent on the terminal."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from mnist_exp.terminal import messages

# Keras imports these wherever they are installed, for layers and pictures that nothing here uses: a third of its time.
NOT_NEEDED = ("matplotlib", "pandas", "sklearn")


@contextlib.contextmanager
def tensorflow(log_file: Path, quiet: bool) -> Iterator[None]:
    """A block that may import it: what that would write to the terminal goes to a file."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with messages.redirect_native_stderr(log_file):
        with contextlib.nullcontext() if quiet else messages.spinner("starting TensorFlow"), hidden(*NOT_NEEDED):
            import keras  # noqa: F401
        _only_to_files(logging.getLogger("tensorflow"))
        yield


def _only_to_files(logger: logging.Logger) -> None:
    """Take from a logger what would write across the terminal's display."""
    for handler in logger.handlers[:]:
        if not isinstance(handler, logging.FileHandler):
            logger.removeHandler(handler)


@contextlib.contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """A block in which these are not installed, as far as an import can tell; what has been imported before stays."""
    absent = [package for package in packages if package not in sys.modules]
    for package in absent:
        sys.modules[package] = None  # type: ignore[assignment]  # documented: the import of that name fails
    try:
        yield
    finally:
        for package in absent:
            sys.modules.pop(package, None)
