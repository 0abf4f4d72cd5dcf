"""history.csv: a row for each epoch. Does not import TensorFlow."""

import contextlib
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mnist_exp.machine.plain_data import LISTS, read_bytes

MAX_EPOCHS = 100_000  # as in the schema of the settings
# Columns that are empty without validation images, or that earlier versions did not write.
OPTIONAL = ("validation_loss", "validation_error_percent", "compile_seconds")


@dataclass(frozen=True)
class Epoch:
    """One row of history.csv; the learning rate is the last step's, `seconds` are those of training alone."""

    epoch: int
    learning_rate: float
    train_loss: float
    train_error_percent: float
    validation_loss: float | None
    validation_error_percent: float | None
    seconds: float
    images_per_second: float
    compile_seconds: float | None = None  # spent on building and compiling graphs in this epoch, not part of `seconds`


COLUMNS = [field.name for field in fields(Epoch)]


def best_epoch(history: Sequence[Epoch]) -> int | None:
    """Return the epoch with the lowest validation error, the first of equals; None without validation images."""
    measured = [(row.validation_error_percent, row.epoch) for row in history if row.validation_error_percent is not None]
    return min(measured)[1] if measured else None


def patience_exhausted(history: Sequence[Epoch], patience: int | None) -> bool:
    """Return whether the validation error has not improved for `patience` epochs; never if `patience` is None."""
    best = best_epoch(history)
    return patience is not None and best is not None and history[-1].epoch - best >= patience


def read(path: Path) -> list[Epoch]:
    """Read the rows of an untrusted history.csv up to the first invalid one; none without a file."""
    rows: list[Epoch] = []
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, csv.Error):
        lines = io.StringIO(read_bytes(path, LISTS.size).decode(), newline="")
        for epoch, cells in zip(range(1, MAX_EPOCHS + 1), csv.DictReader(lines), strict=False):
            numbers = {name: float(cells[name]) for name in COLUMNS if name not in OPTIONAL or cells.get(name)}
            # A table has no room for larger numbers; the comparison is false for NaN, too.
            if numbers["epoch"] != epoch or not all(abs(number) < 1e15 for number in numbers.values()):
                break
            row: dict[str, Any] = dict.fromkeys(OPTIONAL) | numbers | {"epoch": epoch}
            rows.append(Epoch(**row))
    return rows
