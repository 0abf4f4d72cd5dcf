"""From images to a model's probabilities, in batches that are computed in parallel."""

import math
from functools import cached_property, reduce
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mnist_exp.config.schema import shift_count
from mnist_exp.models.averaging import offsets
from mnist_exp.training.graphs import Graph, shared

PREDICTION_BATCH = 1000  # images times passes in one call, of this many pixels or fewer
PIXELS = 28 * 28


def images_at_once(image_shape: tuple[int, ...]) -> int:
    """Return how many images (height, width, channels) are predicted in one call: fewer if they are larger."""
    return max(1, PREDICTION_BATCH * PIXELS // max(PIXELS, math.prod(image_shape[:2])))


class Predictor:
    """The probabilities of a model, always by its current weights."""

    def __init__(
        self, model: keras.Model, towers: int, passes: int = 1, key: str | None = None, use_xla: bool = False
    ) -> None:
        """Build nothing yet.

        Args:
            model: from uint8 images (n, height, width, channels) to float32 probabilities (n, classes).
            towers: parts of each batch that are computed in parallel.
            passes: of each image through networks; more passes make batches smaller, so that memory stays the same.
            key: of the graph, for models that share one; None for a graph of its own.
            use_xla: compile the graph with XLA, for full batches; a smaller batch is padded.
        """
        self._model = model
        self._towers = towers
        self._batch = max(images_at_once(model.input.shape[1:]) // passes, towers)
        self._key = key, "prediction", towers, passes
        self._shared = key is not None
        self._use_xla = use_xla

    def __call__(self, images: np.ndarray, max_shift: int = 0) -> np.ndarray:
        """Return class probabilities, float32 (n, classes), of uint8 images (n, height, width, channels), n ≥ 1.

        With a `max_shift`, they are the mean over shifts, as `averaging.over_shifts` computes it, in a call for each shift:
        XLA would take as long to compile the network of all shifts as to compile the training.
        """
        batches = (self._padded(images[start : start + self._batch]) for start in range(0, len(images), self._batch))
        return np.concatenate([self._mean(batch, max_shift) for batch in batches])[: len(images)]

    def compile(self) -> bool:
        """Get the graph, compiled if XLA is used; return False if that was done before."""
        if "_graph" in vars(self):
            return False
        graph = self._graph
        if self._use_xla:
            graph(self._model.variables, tf.zeros([self._batch, *self._model.input.shape[1:]], tf.uint8))
        return True

    @cached_property
    def _graph(self) -> Graph:
        variables = self._model.variables
        return shared(self._key, self._trace, variables) if self._shared else Graph(self._trace(), variables)

    def _mean(self, batch: tf.Tensor, max_shift: int) -> tf.Tensor:
        if not max_shift:
            return self._graph(self._model.variables, batch)
        height, width = batch.shape[1:3]
        border = [max_shift, max_shift]
        padded = tf.pad(batch, [[0, 0], border, border, [0, 0]])
        shifted = (padded[:, top : top + height, left : left + width] for top, left in offsets(max_shift))
        total = reduce(tf.add, (self._graph(self._model.variables, images) for images in shifted))
        return total / shift_count(max_shift)

    def _padded(self, images: np.ndarray) -> tf.Tensor:
        """Return a full batch for XLA, otherwise a batch with an image for each tower at least."""
        missing = max((self._batch if self._use_xla else self._towers) - len(images), 0)
        return tf.constant(np.concatenate([images, np.repeat(images[:1], missing, axis=0)]) if missing else images)

    def _trace(self) -> Any:
        shape = [self._batch if self._use_xla else None, *self._model.input.shape[1:]]
        function = tf.function(
            self._predict_batch,
            input_signature=[tf.TensorSpec(shape, tf.uint8)],
            autograph=False,
            jit_compile=self._use_xla or None,
        )
        return function.get_concrete_function()

    def _predict_batch(self, images: tf.Tensor) -> tf.Tensor:
        count = tf.shape(images)[0]
        parts = [images[count * k // self._towers : count * (k + 1) // self._towers] for k in range(self._towers)]
        return tf.concat([self._model(part, training=False) for part in parts], axis=0)
