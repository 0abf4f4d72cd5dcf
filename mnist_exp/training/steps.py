"""The graph of training: chunks of steps, over images that are stored on the device as uint8."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mnist_exp.config.schema import TrainingConfig
from mnist_exp.training.average import Average
from mnist_exp.training.gradients import Gradients, Inputs
from mnist_exp.training.graphs import Graph, shared
from mnist_exp.training.schedules import steps_per_epoch


class Steps:
    """Steps of an optimizer, each over one batch, any number in one call.

    On a GPU, one compilation serves a whole training: for any number of steps, and for the last, smaller batch of an epoch.
    """

    def __init__(self, gradients: Gradients, training: TrainingConfig, key: str) -> None:
        """Build nothing yet.

        Args:
            gradients: of a batch, with the model and its optimizer.
            training: the settings.
            key: of the graph; the same for runs that differ only in `Inputs`, learning rates and numbers of steps.
        """
        self.model, self.optimizer = gradients.model, gradients.optimizer
        self.average = Average(self.model, training.ema_decay)
        self.image_count = gradients.image_count
        self.towers, self.use_xla = gradients.towers, gradients.use_xla
        self._variables = self.model.trainable_variables
        self._graphs: dict[int, Graph] = {}  # by batch size, each from `compile`
        # XLA compiles for shapes: all calls have those of an epoch, whose last batch is padded if it is smaller.
        self._batch_size = min(training.batch_size, self.image_count)
        self._rows = steps_per_epoch(self.image_count, self._batch_size)
        self._gradients = gradients
        self._key = key, self.towers, self.image_count if self.use_xla else None
        self.optimizer.build(self._variables)

    @property
    def variables(self) -> list[keras.Variable]:
        """All variables that a step may change."""
        return [*self.model.variables, *self.optimizer.variables, *self.average.variables]

    def compile(self, size: int) -> bool:
        """Get the graph for batches of a size, and run it without a step; return False if that was done before."""
        size = self._batch_size if self.use_xla else size
        if size in self._graphs:
            return False
        rows = self._rows if self.use_xla else None
        self._graphs[size] = shared((self._key, rows, size), lambda: self._trace(rows, size), self.variables)
        self(np.empty((0, size), np.int32), np.empty(0, np.float32), 0)
        return True

    def _trace(self, rows: int | None, size: int) -> Any:
        """Build the graph for batches of a size, in calls of that many rows, or of any number."""
        own = self._gradients.inputs
        images = own.images.shape if self.use_xla else [None, *own.images.shape[1:]]
        inputs = tf.nest.map_structure(lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), own)
        types = [
            inputs._replace(images=tf.TensorSpec(images, tf.uint8), labels=tf.TensorSpec(images[:1], tf.int32)),
            tf.TensorSpec([rows, size], tf.int32),
            tf.TensorSpec([rows], tf.float32),
            tf.TensorSpec([], tf.int64),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([], tf.int32),
        ]
        return tf.function(self._chunk, input_signature=types, jit_compile=self.use_xla).get_concrete_function()

    def __call__(self, batches: np.ndarray, learning_rates: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Do one step for each batch, by a graph from `compile`.

        Args:
            batches: indices of images, int32 (steps, batch_size); the last batch of an epoch in a call of its own.
            learning_rates: float32 (steps,).
            first: the number of the first step, counted from the start of the training.

        Returns:
            The sum of the losses, float32 (steps,), and the number of errors, int32 (steps,), of each batch.
        """
        steps, count = batches.shape
        if self.use_xla:
            missing = self._rows - steps
            batches = np.pad(batches, ((0, missing), (0, self._batch_size - count)))
            learning_rates = np.pad(learning_rates, (0, missing))
        losses, errors = self._graphs[batches.shape[1]](
            self.variables,
            self._gradients.inputs,
            tf.constant(batches),
            tf.constant(learning_rates),
            tf.constant(first, tf.int64),
            tf.constant(steps, tf.int32),
            tf.constant(count, tf.int32),
        )
        return losses.numpy()[:steps], errors.numpy()[:steps]

    def _chunk(
        self,
        inputs: Inputs,
        batches: tf.Tensor,
        learning_rates: tf.Tensor,
        first: tf.Tensor,
        steps: tf.Tensor,
        count: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Do the given number of steps, each with the first `count` images of a row."""
        with self._gradients.using(inputs):
            return self._loop(batches, learning_rates, first, steps, count)

    def _loop(
        self, batches: tf.Tensor, learning_rates: tf.Tensor, first: tf.Tensor, steps: tf.Tensor, count: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        rows = tf.shape(batches)[0]
        losses, errors = tf.TensorArray(tf.float32, rows), tf.TensorArray(tf.int32, rows)
        # AutoGraph converts this loop only: converting Keras's calls would take as long as building their graph. `while`
        # instead of `for`: XLA compiles the end of a range again for each value.
        gradients_of = tf.autograph.experimental.do_not_convert(self._gradients)
        step = tf.constant(0)
        while step < steps:
            loss, wrong, gradients = gradients_of(batches[step], first + tf.cast(step, tf.int64), count)
            self.optimizer.learning_rate.assign(learning_rates[step])
            self.optimizer.apply(gradients, self._variables)
            self.average.update(self.optimizer.iterations)
            losses, errors = losses.write(step, loss), errors.write(step, wrong)
            step += 1
        return losses.stack(), errors.stack()
