"""Where the log of a run or a sweep is written."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from mnist_exp.machine import files


@contextlib.contextmanager
def log_to_file(path: Path) -> Iterator[None]:
    """Everything that the program logs, and Python's warnings, go to a file.

    Raises:
        EnvironmentFailure: it cannot be opened.
    """
    with files.writing(path):
        handler = _FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("mnist_exp", "py.warnings", "tensorflow")]
    logging.captureWarnings(True)
    for logger in loggers:
        logger.addHandler(handler)
    loggers[0].setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        logging.captureWarnings(False)
        with contextlib.suppress(OSError):  # a full disk, which what is written next tells
            handler.close()


class _FileHandler(logging.FileHandler):
    """A log that fills its disk does not end the run, nor print a traceback for each line: the next file written tells."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        """Say nothing."""
