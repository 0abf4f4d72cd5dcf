"""What the user sees while a model trains: a live display in a terminal, plain lines elsewhere, or nothing."""

import contextlib
import sys
import time
from types import TracebackType
from typing import Literal, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from mnist_exp.run.history import Epoch

WIDE = 125  # columns for the whole live line


class Display(Protocol):
    """Told of every stretch of steps and of every epoch, between `__enter__` and `__exit__`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def steps_done(self, epoch: int, seen: int, loss: float, error_percent: float) -> None:
        """So many images of an epoch, which counts from 1, were trained on."""

    def epoch_done(self, row: Epoch) -> None:
        """An epoch is done; called from another thread, perhaps when the next one has begun."""


def display(setting: Literal["auto", "live", "plain", "quiet"], epochs: int, images: int, done: int = 0) -> Display:
    """The display that the `progress` setting asks for.

    Args:
        setting: `auto` is live in a terminal and plain elsewhere.
        epochs: how many there will be in all.
        images: trained on in each of them.
        done: epochs that an interrupted run has behind it.
    """
    if setting == "quiet":
        return Quiet()
    console = Console(stderr=True, force_terminal=True if setting == "live" else None)
    if setting == "live" or (setting == "auto" and console.is_terminal):
        return Live(console, epochs, images, done)
    return Plain(epochs)


def epoch_line(row: Epoch, epochs: int) -> str:
    """One epoch in one line."""
    text = (
        f"epoch {row.epoch:>{len(str(epochs))}}/{epochs}  loss {row.train_loss:.4f}"
        f"  accuracy {100 - row.train_error_percent:6.2f} %"
    )
    if row.validation_error_percent is not None:
        text += f"  validation error {row.validation_error_percent:.2f} %"
    return text + f"  {row.images_per_second:,.0f} images/s  {row.seconds:.1f} s"


class Quiet:
    """Nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def steps_done(self, epoch: int, seen: int, loss: float, error_percent: float) -> None:
        """Say nothing."""

    def epoch_done(self, row: Epoch) -> None:
        """Say nothing."""


class Plain(Quiet):
    """A line for each epoch, for logs and pipes."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs

    def epoch_done(self, row: Epoch) -> None:
        """Print the epoch."""
        with contextlib.suppress(OSError):  # whoever read it has gone: that is no reason to end the training
            print(epoch_line(row, self._epochs), file=sys.stderr, flush=True)


class Live(Quiet):
    """A bar over all epochs with the current numbers, below a line for each finished epoch."""

    def __init__(self, console: Console, epochs: int, images: int, done: int = 0) -> None:
        self._epochs, self._images = epochs, images
        self._validation = self._rate = ""
        # In a narrow terminal the numbers of the current epoch are left to its line when it is done.
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
        self._task = self._bar.add_task(
            "train",
            total=epochs * images,
            completed=done * images,
            current=done + 1,
            epochs=epochs,
            numbers="",
            rate="",
        )
        self._before = (0.0, 0, 0)  # when the last stretch ended, of which epoch, after how many images

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()

    def steps_done(self, epoch: int, seen: int, loss: float, error_percent: float) -> None:
        """Move the bar."""
        now = time.perf_counter()
        then, before, already = self._before
        if epoch == before:  # between epochs lies more than training
            self._rate = f"{(seen - already) / max(now - then, 1e-9):>7,.0f} images/s"
        self._before = now, epoch, seen
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
        self._bar.console.print(epoch_line(row, self._epochs), highlight=False, soft_wrap=True)
