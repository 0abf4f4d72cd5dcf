"""Standard output and standard error that never fail: what a run stores must not depend on who reads its output.

A closed pipe, a full disk or a terminal that is gone loses the rest of the output, but stops no training. Characters that
the encoding lacks are replaced. `cli` turns a lost result into an exit code, once, at the end.
"""

import errno
import io
import math
import os
import select
import sys
import time
from pathlib import Path
from typing import Any, ClassVar, TextIO

GRACE_SECONDS = 1.0  # for a reader to take the rest of the output, after a signal
POLL_MILLISECONDS = 100
STANDARD_ERROR = 2  # file descriptor


class Stream(io.RawIOBase):
    """A file descriptor to write to; after an error, everything that is written to it is dropped."""

    deadline: ClassVar[float] = math.inf  # in seconds of `time.monotonic`: from then on, no write waits for a reader

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.error: OSError | None = None  # why output was lost
        self.copy: Path | None = None  # where the printed result is also stored

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, content: Any) -> int:
        """Write all bytes, or drop those that cannot be written."""
        rest = memoryview(content)
        while rest and self.error is None:
            try:
                self._wait()
                rest = rest[os.write(self._descriptor, rest[: select.PIPE_BUF]) :]  # so many never block a ready pipe
            except BlockingIOError:  # another program made the descriptor non-blocking, and was faster
                continue
            except OSError as error:
                self.error = error
        return len(memoryview(content))

    def _wait(self) -> None:
        """Wait until the descriptor takes bytes; raise TimeoutError if nobody reads it and the process must end."""
        ready = select.poll()
        ready.register(self._descriptor, select.POLLOUT)
        while not ready.poll(POLL_MILLISECONDS):
            if time.monotonic() > Stream.deadline:
                raise TimeoutError(errno.ETIMEDOUT, "nobody reads it")


def install() -> None:
    """Replace standard output and standard error of this process, unless a test or a notebook has replaced them."""
    for descriptor in range(STANDARD_ERROR + 1):
        try:
            os.fstat(descriptor)
        except OSError:  # closed: the next file that is opened would become the standard stream
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _text(1, sys.stdout)
    if sys.stderr is sys.__stderr__:
        # A descriptor of its own: messages of C++ libraries, to descriptor 2, can then be sent elsewhere.
        sys.stderr = _text(os.dup(STANDARD_ERROR), sys.stderr, line_buffering=True)


def hurry() -> None:
    """Wait for readers for only `GRACE_SECONDS` more: the process must end, even if nobody reads its output."""
    Stream.deadline = min(Stream.deadline, time.monotonic() + GRACE_SECONDS)


def is_notebook() -> bool:
    """Return whether this process runs the cells of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


def stream_of(text: TextIO | None) -> Stream | None:
    """Return the stream below `sys.stdout` or `sys.stderr`; None if it was not installed."""
    stream = getattr(text, "buffer", None)
    return stream if isinstance(stream, Stream) else None


def is_lost() -> bool:
    """Return whether nobody can see standard output any more."""
    stream = stream_of(sys.stdout)
    return stream is not None and stream.error is not None


def is_stored(place: Path) -> None:
    """Note that the printed result is also stored in a file or directory, so that its output may be lost."""
    if (stream := stream_of(sys.stdout)) is not None:
        stream.copy = place


def _text(descriptor: int, original: TextIO | None, line_buffering: bool = False) -> TextIO:
    stream = Stream(descriptor)
    if original is None:
        stream.error = OSError(errno.EBADF, "it is closed")
    encoding = "utf-8" if original is None else original.encoding
    # Without a BufferedWriter, whose lock a thread that waits for a reader would keep from the main thread.
    buffer: Any = stream  # a raw stream, as with `python -u`
    return io.TextIOWrapper(buffer, encoding, "replace", line_buffering=line_buffering or stream.isatty())
