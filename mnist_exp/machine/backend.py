"""The start of TensorFlow: only here, without packages that are not needed, and silent on the terminal."""

import contextlib
import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from mnist_exp.machine import signals, xla
from mnist_exp.terminal import messages

NOT_NEEDED = ("matplotlib", "pandas", "sklearn")  # Keras imports them if installed, which takes a third of its time
# 303: there is no driver of a GPU, so this machine computes on the CPU; a driver that fails has another number.
# XlaSerializedCacheEntry: a compiled program was found in the cache; TensorFlow first tries to read it as text.
HINT = re.compile(
    rb"I\d{4} |WARNING: All log messages before absl|E\d{4} .*failed call to cuInit: .*\(303\)"
    rb"|E\d{4} .*Error parsing text-format tensorflow\.XlaSerializedCacheEntry"
)


@contextlib.contextmanager
def tensorflow(log_file: Path, quiet: bool, device: str = "cpu") -> Iterator[None]:
    """Import TensorFlow and allow its use in this block; its messages go to a file instead of the terminal.

    If `device` is not "cpu", what XLA compiles for a GPU is kept from one process to the next.
    """
    cache = None if device == "cpu" else xla.enable()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")  # without the hints about builds and drivers, with all warnings
    with messages.redirect_native_stderr(log_file):
        with (
            contextlib.nullcontext() if quiet else messages.spinner("starting TensorFlow"),
            hidden(*NOT_NEEDED),
            without_user_settings(),
            without_hints(log_file),
        ):
            import keras  # noqa: F401
        signals.deliver()  # one that an import has caught
        logger = logging.getLogger("tensorflow")
        for handler in logger.handlers[:]:
            if not isinstance(handler, logging.FileHandler):  # it would write into the terminal's display
                logger.removeHandler(handler)
        try:
            with contextlib.nullcontext() if cache is None else without_hints(log_file):
                yield
        finally:
            if cache is not None:
                xla.complete(cache)


@contextlib.contextmanager
def without_hints(log_file: Path) -> Iterator[None]:
    """Remove the hints about builds and drivers that this block writes to a log: no setting silences all of them."""
    start = log_file.stat().st_size if log_file.exists() else 0
    try:
        yield
    finally:
        with contextlib.suppress(OSError), log_file.open("r+b") as file:
            file.seek(start)
            lines = [line for line in file if not HINT.match(line)]
            file.seek(start)
            file.writelines(lines)
            file.truncate()  # last: nothing is lost if the process is killed here


@contextlib.contextmanager
def without_user_settings() -> Iterator[None]:
    """Have Keras start in this block with its own defaults.

    It reads keras.json, in KERAS_HOME or the home directory, and the variables KERAS_*. They would change the data type and
    the layout of images, and so the weights of the same configuration and seed.
    """
    given = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("KERAS_")}
    os.environ["KERAS_HOME"] = f"{os.devnull}/keras"  # nothing can be there: Keras reads no file, and writes none
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        yield
    finally:
        del os.environ["KERAS_HOME"]
        os.environ |= given | {"KERAS_BACKEND": "tensorflow"}


@contextlib.contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """Make imports of these packages fail in this block; packages that are already imported stay."""
    absent = [package for package in packages if package not in sys.modules]
    for package in absent:
        sys.modules[package] = None  # type: ignore[assignment]  # documented: the import of that name fails
    try:
        yield
    finally:
        for package in absent:
            sys.modules.pop(package, None)
