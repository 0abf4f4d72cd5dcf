"""The forward pass of training: the same function as the model, computed in fewer and cheaper operations.

The model that is evaluated and saved is plain Keras; this is a second graph over the same weights.
"""

import itertools
from typing import Any

import keras
import tensorflow as tf

from mnist_exp.models.build import logits_model
from mnist_exp.training import layers
from mnist_exp.training.layers import LEVELS, Pass, Rate
from mnist_exp.training.transforms import Valid

# Never decreasing, so the largest of four activations is the activation of the largest input: pooling first leaves a quarter
# of the elements for bias and activation. Function and gradient are the same, except the gradient between equal elements.
MONOTONIC = ("relu", "elu", "leaky_relu", "selu", "sigmoid", "tanh", "linear")


class Forward:
    """From images to logits, with dropout and noise."""

    def __init__(self, model: keras.Model, seed: int, use_xla: bool) -> None:
        """Share the weights of a model; seed and number of a call determine the random numbers of dropout and noise."""
        self.current = Pass(seed, dropout_rate(model))
        self._use_xla = use_xla
        self._streams = itertools.count(1)
        logits = logits_model(model)
        self._pooled = _pooled_convolutions(logits)
        self._network = keras.models.clone_model(logits, clone_function=self._replace)

    def __call__(self, images: tf.Tensor, number: tf.Tensor, valid: Valid | None = None) -> tf.Tensor:
        """Return the logits, float32 or the compute dtype, of uint8 images (n, height, width, channels).

        The number is an int64 scalar that no other call of a training shares. Images of a padded batch that are not valid do
        not change the results of the others.
        """
        self.current.number, self.current.valid = number, valid
        return self._network(images, training=True)

    def _replace(self, layer: keras.Layer) -> keras.Layer:
        """Return the cheaper layer for a layer of the model, or the layer itself."""
        if type(layer) is keras.layers.Dropout:
            return layers.Dropout(layer, self.current, next(self._streams))
        if type(layer) is keras.layers.GaussianNoise:
            return layers.Noise(layer, self.current, next(self._streams))
        if type(layer) is keras.layers.BatchNormalization and layer.trainable:
            return layers.BatchNorm(layer, self.current)
        if _is_faulty_pointwise(layer):
            return layers.Pointwise(layer)
        if layer in self._pooled.values():
            return layers.Convolve(layer, self._use_xla)
        if layer in self._pooled:
            return layers.PoolAndActivate(self._pooled[layer], layer, self._use_xla)
        if type(layer) is keras.layers.MaxPooling2D:
            return layers.Pool(layer, self._use_xla)
        if type(layer) is keras.layers.Dense and self._use_xla and layer.compute_dtype == "float32":
            return layers.Dense(layer)
        return layer


def dropout_rate(model: keras.Model) -> Rate:
    """Return the rate that all dropout layers of a model have, 0 without one, rounded to a multiple of 1/65,536."""
    rates = {layer.rate for layer in model.layers if type(layer) is keras.layers.Dropout}
    dropped = min(round(max(rates, default=0) * LEVELS), LEVELS - 1)
    return Rate(tf.constant(dropped, tf.uint16), tf.constant(LEVELS / (LEVELS - dropped), tf.float32))


def _is_faulty_pointwise(layer: keras.Layer) -> bool:
    """Return whether a layer is a strided 1×1 convolution or the projection of a residual, which alone has no bias."""
    if type(layer) is not keras.layers.Conv2D or layer.kernel_size != (1, 1):
        return False
    return layer.strides != (1, 1) or not layer.use_bias


def _pooled_convolutions(network: keras.Model) -> dict[Any, Any]:
    """Map each max-pooling to its convolution, if only the pooling reads it and its activation never decreases."""
    readers: dict[int, list[keras.Layer]] = {}
    for layer in network.layers:
        for tensor in keras.tree.flatten(layer.input):
            readers.setdefault(id(tensor), []).append(layer)
    pooled = {}
    for layer in network.layers:
        if type(layer) is keras.layers.Conv2D and layer.activation.__name__ in MONOTONIC:
            following = readers.get(id(layer.output), [])
            if [type(reader) for reader in following] == [keras.layers.MaxPooling2D] and not _is_faulty_pointwise(layer):
                pooled[following[0]] = layer
    return pooled
