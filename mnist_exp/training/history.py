"""What is kept of an epoch; apart from the loop, so that it can be read and drawn without TensorFlow."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """One row of history.csv; the learning rate is the last step's, the seconds are those of training alone."""

    epoch: int
    learning_rate: float
    train_loss: float
    train_error_percent: float
    validation_loss: float | None
    validation_error_percent: float | None
    seconds: float
    images_per_second: float


def best_epoch(history: Sequence[Epoch]) -> int | None:
    """The epoch of the lowest validation error, the first of equals; None without validation images."""
    measured = [(row.validation_error_percent, row.epoch) for row in history if row.validation_error_percent is not None]
    return min(measured)[1] if measured else None


def out_of_patience(history: Sequence[Epoch], patience: int | None) -> bool:
    """Whether the last `patience` epochs have brought no lower validation error; never if `patience` is None."""
    best = best_epoch(history)
    return patience is not None and best is not None and history[-1].epoch - best >= patience
