"""From images to a model's probabilities, in batches that are computed in parallel."""

import math
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mnist_exp.training.graphs import Graph, shared

PREDICTION_BATCH = 1000  # images times passes in one call, of this many pixels or fewer
PIXELS = 28 * 28


def images_at_once(image_shape: tuple[int, ...]) -> int:
    """Return how many images (height, width, channels) are predicted in one call: fewer if they are larger."""
    return max(1, PREDICTION_BATCH * PIXELS // max(PIXELS, math.prod(image_shape[:2])))


class Predictor:
    """The probabilities of a model, always by its current weights."""

    def __init__(self, model: keras.Model, towers: int, passes: int = 1, key: str | None = None) -> None:
        """Build nothing yet.

        Args:
            model: from uint8 images (n, height, width, channels) to float32 probabilities (n, classes).
            towers: parts of each batch that are computed in parallel.
            passes: of each image through networks; more passes make batches smaller, so that memory stays the same.
            key: of the graph, for models that share one; None for a graph of its own.
        """
        self._model = model
        self._towers = towers
        self._batch = max(images_at_once(model.input.shape[1:]) // passes, towers)
        self._key = key, "prediction", towers, passes
        self._shared = key is not None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return class probabilities, float32 (n, classes), of uint8 images (n, height, width, channels), n ≥ 1."""
        batches = (self._padded(images[start : start + self._batch]) for start in range(0, len(images), self._batch))
        return np.concatenate([self._graph(self._model.variables, batch) for batch in batches])[: len(images)]

    def _padded(self, images: np.ndarray) -> tf.Tensor:
        """Return a batch with an image for each tower at least."""
        missing = max(self._towers - len(images), 0)
        return tf.constant(np.concatenate([images, np.repeat(images[:1], missing, axis=0)]) if missing else images)

    @cached_property
    def _graph(self) -> Graph:
        variables = self._model.variables
        return shared(self._key, self._trace, variables) if self._shared else Graph(self._trace(), variables)

    def _trace(self) -> Any:
        signature = [tf.TensorSpec(self._model.input.shape, tf.uint8)]
        return tf.function(self._predict_batch, input_signature=signature, autograph=False).get_concrete_function()

    def _predict_batch(self, images: tf.Tensor) -> tf.Tensor:
        count = tf.shape(images)[0]
        parts = [images[count * k // self._towers : count * (k + 1) // self._towers] for k in range(self._towers)]
        return tf.concat([self._model(part, training=False) for part in parts], axis=0)
