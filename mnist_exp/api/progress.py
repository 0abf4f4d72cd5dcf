"""The progress of a training in another process, from the files of its run: its epochs, and what it prints besides."""

import contextlib
import importlib
import json
import re
import time
from pathlib import Path
from typing import Any

from mnist_exp.config.schema import Experiment
from mnist_exp.machine import files
from mnist_exp.runs import history
from mnist_exp.runs.history import Epoch
from mnist_exp.runs.run import Run
from mnist_exp.sweep.progress import duration
from mnist_exp.terminal import messages, streams
from mnist_exp.training.progress import Display, Plain, display, epoch_line

# What a training prints besides its epochs, as its process writes it to the log.
PRINTED = re.compile(
    r"^\S+ WARNING mnist_exp\.terminal\.messages: (?P<warning>.*)$"
    r"|^\S+ INFO mnist_exp\.(?:training\.epochs|experiment): (?P<note>(?:resumed|weights of) .*)$"
)
REFRESH_SECONDS = 1.0  # of the line of a running epoch


class Cell(Display):
    """The output of a notebook's cell: a line for each epoch and, while it runs, how far the next one is."""

    def __init__(self, epochs: int, done: int) -> None:
        self._epochs = epochs
        self._done = done
        self._lines: list[str] = []
        self._start = self._shown = self._last = time.monotonic()
        self._first: float | None = None  # the end of the first epoch that was seen
        self._handle: Any = None
        self._steps = (0, "")  # an epoch, and how far it is

    def steps_done(self, epoch: int, seen: int, loss: float, error_percent: float) -> None:
        """Take note for the line of the running epoch."""
        self._steps = epoch, f"{seen:,} images, loss {loss:.4f}, accuracy {100 - error_percent:.2f} %, "

    def epoch_done(self, row: Epoch) -> None:
        """Add a line."""
        self._last = time.monotonic()
        self._first = self._last if self._first is None else self._first
        self._done = row.epoch
        self._lines.append(epoch_line(row, self._epochs))
        self._show("")

    def tick(self) -> None:
        """Show the time of the running epoch; called several times a second."""
        if (now := time.monotonic()) - self._shown < REFRESH_SECONDS or self._done >= self._epochs:
            return
        epoch, steps = self._steps
        status = f"epoch {self._done + 1}/{self._epochs}: "
        status += (steps if epoch == self._done + 1 else "") + duration(now - self._last)
        if self._first is not None and (seen := len(self._lines) - 1):
            left = (self._epochs - self._done) * (self._last - self._first) / seen - (now - self._last)
            status += f"; about {duration(max(left, 0))} left"
        self._show(status)

    def __exit__(self, *_: object) -> None:
        """Leave only the lines of the epochs."""
        if self._handle is not None:
            self._show("")

    def _show(self, status: str) -> None:
        self._shown = time.monotonic()
        content = {"text/plain": "\n".join([*self._lines, *filter(None, [status])])}
        if self._handle is None:
            self._handle = importlib.import_module("IPython.display").display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)


class Follower(contextlib.AbstractContextManager["Follower"]):
    """Shows the epochs and the warnings of a training in another process, and its progress within an epoch."""

    def __init__(self, run: Run, experiment: Experiment, steps: Path) -> None:
        """Set what is followed; `steps` is the file of the other process's display."""
        self._files, self._steps = run, steps
        self._setting = experiment.progress
        self._is_quiet = experiment.progress == "quiet"
        self._epochs = len(history.read(run.history))
        self._all_epochs = epochs = experiment.training.epochs
        self._display: Display = Cell(epochs, self._epochs) if streams.is_notebook() else Plain(epochs)
        self._shown = ""  # the content of `steps`
        self._changed = 0
        self._position = run.log.stat().st_size if files.exists(run.log) else 0

    def follow(self) -> bool:
        """Show what is new; return False, so that the training continues."""
        with contextlib.suppress(OSError):  # not yet written
            self._print_log()
            if not self._is_quiet and (changed := self._files.history.stat().st_mtime_ns) != self._changed:
                self._changed = changed
                rows = history.read(self._files.history)
                for row in rows[self._epochs :]:
                    self._display.epoch_done(row)
                self._epochs = max(self._epochs, len(rows))
        if not self._is_quiet:
            with contextlib.suppress(OSError, ValueError):  # not yet written, or being written
                self._show_steps(self._steps.read_text())
            if isinstance(self._display, Cell):
                self._display.tick()
        return False

    def _show_steps(self, text: str) -> None:
        if text == self._shown:
            return
        images, epoch, *numbers = json.loads(text)
        if not (self._shown or isinstance(self._display, Cell)):  # a live bar needs the number of images
            self._display = display(self._setting, self._all_epochs, images, self._epochs).__enter__()
        self._shown = text
        if epoch > self._epochs:
            self._display.steps_done(epoch, *numbers)

    def __exit__(self, *error: object) -> None:
        """Show what is new at the end of the training."""
        self.follow()
        self._display.__exit__(*error)

    def _print_log(self) -> None:
        with self._files.log.open("rb") as log:
            log.seek(self._position)
            complete = log.read().rpartition(b"\n")[0]
        if not complete:
            return
        self._position += len(complete) + 1
        for line in complete.decode(errors="replace").splitlines():
            if (found := PRINTED.match(line)) is None:
                continue
            warning, note = found["warning"], found["note"]
            if warning and not warning.startswith("tracker="):  # this process has printed those of the upload
                messages.note(f"warning: {warning}")
            if note and not self._is_quiet:
                messages.note(note)
