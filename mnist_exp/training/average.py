"""The exponential moving average of a model's weights, including the statistics of batch norm."""

import contextlib
from collections.abc import Iterator

import keras
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

    def apply(self) -> None:
        """Replace the model's weights by the average."""
        if self.variables:
            self._model.set_weights([average.numpy() for average in self.variables])

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the average in this block, and its own weights again afterwards."""
        weights = self._model.get_weights() if self.variables else []
        self.apply()
        try:
            yield
        finally:
            if weights:
                self._model.set_weights(weights)
