"""The exponential moving average of a model's weights, including the statistics of batch norm."""

import contextlib
from collections.abc import Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf


class Average:
    """The average of each weight over the steps (Polyak & Juditsky 1992); without a decay, the weight itself."""

    def __init__(self, model: keras.Model, decay: float | None) -> None:
        self._model = model
        self._decay = decay
        averaged = model.weights if decay is not None else []
        self.variables = [keras.Variable(weight, trainable=False, name=f"average_of_{weight.name}") for weight in averaged]

    def update(self, steps: tf.Tensor) -> None:
        """Move towards the weights after `steps` steps, faster at first, as TensorFlow's ExponentialMovingAverage does."""
        if not self.variables:
            return
        done = tf.cast(steps, tf.float32)
        decay = tf.minimum(self._decay, (1 + done) / (10 + done))
        for average, weight in zip(self.variables, self._model.weights, strict=True):
            average.assign(average + (1 - decay) * (weight - average))

    def weights(self) -> list[tf.Tensor]:
        """Return the weights of the model as it is evaluated."""
        return values(self.variables or self._model.weights)

    def apply(self) -> None:
        """Replace the model's weights by the average."""
        if self.variables:
            assign(self._model.weights, values(self.variables))

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the average in this block, and its own weights again afterwards."""
        own = values(self._model.weights if self.variables else [])
        self.apply()
        try:
            yield
        finally:
            if own:
                assign(self._model.weights, own)


def values(variables: Iterable[keras.Variable]) -> list[tf.Tensor]:
    """Return the current values of variables, on their device.

    They do not change with the variables, and are not copied here: TensorFlow gives a variable new memory when it changes
    while a tensor has the old one. So this does not wait for the device.
    """
    return [variable.value.read_value() for variable in variables]


def assign(variables: Iterable[keras.Variable], new: Iterable[tf.Tensor | np.ndarray]) -> None:
    """Give each variable a new value."""
    for variable, value in zip(variables, new, strict=True):
        variable.assign(value)
