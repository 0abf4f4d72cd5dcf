"""The log file of a run or a sweep."""

import contextlib
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from mnist_exp.machine import files


@contextlib.contextmanager
def log_to_file(path: Path) -> Iterator[None]:
    """Write the program's log and Python's warnings to a file in this block, unless they are already written to it.

    Raises:
        EnvironmentFailure: it cannot be opened.
    """
    handlers = logging.getLogger("mnist_exp").handlers
    if any(isinstance(handler, _FileHandler) and handler.path == path for handler in handlers):
        yield
        return
    with files.writing(path):
        handler = _FileHandler(path)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
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
        with contextlib.suppress(OSError):  # on a full disk; the next file that is written reports it
            handler.close()


class _Formatter(logging.Formatter):
    """Writes times as all files of a run do: in ISO 8601 with the offset from UTC."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802  (logging's)
        """Return the time of a record."""
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class _FileHandler(logging.FileHandler):
    """A handler that ignores a full disk, instead of a traceback for each line: the next file that is written reports it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8")
        self.path = path

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        """Ignore the error."""
