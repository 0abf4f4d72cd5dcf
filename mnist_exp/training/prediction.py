"""From images to a model's probabilities, in batches that are computed in parallel."""

from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mnist_exp.training.graphs import Graph, shared

PREDICTION_BATCH = 1000  # images times passes in one call


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
        self._batch = max(PREDICTION_BATCH // passes, towers)  # some layers reject a tower without images
        self._key = key, "prediction", towers, passes
        self._shared = key is not None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return class probabilities, float32 (n, classes), of uint8 images (n, height, width, channels), n ≥ 1."""
        rest = len(images) % self._batch
        missing = self._towers - rest if 0 < rest < self._towers else 0
        padded = np.concatenate([images, np.repeat(images[:1], missing, axis=0)])
        starts = range(0, len(padded), self._batch)
        batches = (tf.constant(padded[start : start + self._batch]) for start in starts)
        return np.concatenate([self._graph(self._model.variables, batch) for batch in batches])[: len(images)]

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
