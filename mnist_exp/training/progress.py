"""The display of a training: a live bar in a terminal, a line for each epoch elsewhere, or nothing."""

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any, Literal, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from mnist_exp.runs.history import Epoch
from mnist_exp.terminal import messages

WIDE = 125  # columns for the whole live line
STEPS_FILE = "MNIST_EXP_STEPS_FILE"  # the variable with the path of the file for `StepsFile`
WRITE_SECONDS = 0.3  # between two writes of it


class Display(contextlib.AbstractContextManager["Display"]):
    """A display that shows nothing, and the base of the others; shown between `__enter__` and `__exit__`."""

    def __exit__(self, *_: object) -> None:
        return None

    def steps_done(self, epoch: int, seen: int, loss: float, error_percent: float) -> None:
        """Show that `seen` images of an epoch, counted from 1, are trained."""

    def epoch_done(self, row: Epoch) -> None:
        """Show a finished epoch; called from another thread, perhaps during the next epoch."""


def display(setting: Literal["auto", "live", "plain", "quiet"], epochs: int, images: int, done: int = 0) -> Display:
    """Return the display for the setting `progress`: `auto` is live in a terminal and plain elsewhere.

    A live bar covers all epochs, with that many images each; `done` epochs were trained before the run was interrupted.
    """
    if (path := os.environ.get(STEPS_FILE)) is not None:
        return StepsFile(Path(path), images)
    if setting == "quiet":
        return Display()
    console = messages.console(stderr=True, force_terminal=True if setting == "live" else None)
    if setting == "live" or (setting == "auto" and console.is_terminal):
        return Live(console, epochs, images, done)
    return Plain(epochs)


def epoch_line(row: Epoch, epochs: int, width: int | None = None) -> str:
    """Return one epoch in one line; in a terminal of few characters, without parts about its time."""
    validation = row.validation_error_percent
    line = f"epoch {row.epoch:>{len(str(epochs))}}/{epochs}  loss {row.train_loss:.4f}"
    line += f"  accuracy {100 - row.train_error_percent:6.2f} %"
    line += "" if validation is None else f"  validation error {validation:.2f} %"
    rate, seconds = f"  {row.images_per_second:,.0f} images/s", f"  {row.seconds:.1f} s"
    compiled = f"  compiled in {row.compile_seconds:.1f} s" if row.compile_seconds else ""
    lines = [line + times for times in (rate + seconds + compiled, rate + seconds, seconds, "")]
    return next((line for line in lines if width is None or len(line) <= width), line)


class StepsFile(Display):
    """Writes the progress within an epoch to a file, for the process that started this one and shows it."""

    def __init__(self, path: Path, images: int) -> None:
        self._path, self._images = path, images
        self._written = 0.0

    def steps_done(self, epoch: int, seen: int, loss: float, error_percent: float) -> None:
        """Replace the content, a few times a second: the images of an epoch, and the arguments."""
        if (now := time.monotonic()) - self._written >= WRITE_SECONDS:
            self._written = now
            with contextlib.suppress(OSError):  # the other process has ended, or its disk is full
                self._path.write_text(json.dumps([self._images, epoch, seen, loss, error_percent]))


class Plain(Display):
    """A line for each epoch, for logs and pipes."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs

    def epoch_done(self, row: Epoch) -> None:
        """Print the epoch."""
        messages.note(epoch_line(row, self._epochs))


class Live(Display):
    """A bar over all epochs with the current numbers, below a line for each finished epoch."""

    def __init__(self, console: Console, epochs: int, images: int, done: int = 0) -> None:
        self._epochs, self._images = epochs, images
        self._validation = self._rate = ""
        self._last = (0.0, 0, 0)  # time, epoch and images seen at the end of the last chunk of steps
        # A narrow terminal shows the numbers of an epoch only in its line, when it is finished.
        numbers = [TextColumn("{task.fields[numbers]}")] if console.width >= WIDE else []
        self._bar = Progress(
            TextColumn("epoch {task.fields[current]}/{task.fields[epochs]}"),
            BarColumn(bar_width=20),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[rate]}"),
            *numbers,
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        fields: dict[str, Any] = {"current": done + 1, "epochs": epochs, "numbers": "", "rate": ""}
        self._task = self._bar.add_task("train", total=epochs * images, completed=done * images, **fields)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def steps_done(self, epoch: int, seen: int, loss: float, error_percent: float) -> None:
        """Move the bar."""
        now = time.perf_counter()
        last_time, last_epoch, last_seen = self._last
        if epoch == last_epoch:  # the time between epochs includes more than training
            self._rate = f"{(seen - last_seen) / max(now - last_time, 1e-9):>7,.0f} images/s"
        self._last = now, epoch, seen
        self._bar.update(
            self._task,
            completed=(epoch - 1) * self._images + seen,
            current=epoch,
            rate=self._rate,
            numbers=f"loss {loss:.4f}  accuracy {100 - error_percent:.2f} %{self._validation}",
        )

    def epoch_done(self, row: Epoch) -> None:
        """Print the finished epoch above the bar."""
        if row.validation_error_percent is not None:
            self._validation = f"  validation error {row.validation_error_percent:.2f} %"
        console = self._bar.console
        console.print(epoch_line(row, self._epochs, console.width), highlight=False, soft_wrap=True)
