"""What is kept of an epoch; apart from the loop, so that it can be read and drawn without TensorFlow."""

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
