"""The forward pass of training: the same function as the model, computed in fewer and cheaper operations.

The model that is evaluated and saved is plain Keras; this is a second graph over the same weights.
"""

import itertools
import math
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from mnist_exp.models.build import logits_model
from mnist_exp.training import products
from mnist_exp.training.augmentation import STREAMS, Valid

# Never decreasing, so the largest of four activations is the activation of the largest input: pooling first leaves a quarter
# of the elements for bias and activation. Function and gradient are the same, except the gradient between equal elements.
MONOTONIC = ("relu", "elu", "leaky_relu", "selu", "sigmoid", "tanh", "linear")
LEVELS = 2**16  # of the random numbers that dropout compares with its rate


class Rate(NamedTuple):
    """The rate of dropout: 16 random bits below a threshold drop an element; the others are scaled."""

    threshold: tf.Tensor  # uint16
    scale: tf.Tensor  # float32


class Forward:
    """From images to logits, with dropout and noise."""

    def __init__(self, model: keras.Model, seed: int, use_xla: bool) -> None:
        """Share the weights of a model; seed and number of a call determine the random numbers of dropout and noise."""
        self.seed: int | tf.Tensor = seed  # in a graph that runs share, a tensor
        self.rate = dropout_rate(model)
        self._use_xla = use_xla
        self._number = tf.constant(0, tf.int64)
        self.valid: Valid | None = None
        self._streams = itertools.count(1)
        logits = logits_model(model)
        self._pooled = _pooled_convolutions(logits)
        self._network = keras.models.clone_model(logits, clone_function=self._replace)

    def __call__(self, images: tf.Tensor, number: tf.Tensor, valid: Valid | None = None) -> tf.Tensor:
        """Return the logits, float32 or the compute dtype, of uint8 images (n, height, width, channels).

        The number is an int64 scalar that no other call of a training shares. Images of a padded batch that are not valid do
        not change the results of the others.
        """
        self._number = number
        self.valid = valid
        return self._network(images, training=True)

    def _replace(self, layer: keras.Layer) -> keras.Layer:
        """Return the cheaper layer for a layer of the model, or the layer itself."""
        if type(layer) is keras.layers.Dropout:
            return _Dropout(layer, self, next(self._streams))
        if type(layer) is keras.layers.GaussianNoise:
            return _Noise(layer, self, next(self._streams))
        if type(layer) is keras.layers.BatchNormalization:
            return _BatchNorm(layer, self)
        if _is_faulty_pointwise(layer):
            return _Pointwise(layer)
        if layer in self._pooled.values():
            return _Convolve(layer, self._use_xla)
        if layer in self._pooled:
            return _PoolAndActivate(self._pooled[layer], layer, self._use_xla)
        if type(layer) is keras.layers.MaxPooling2D:
            return _Pool(layer, self._use_xla)
        if type(layer) is keras.layers.Dense and self._use_xla and layer.compute_dtype == "float32":
            return _Dense(layer)
        return layer

    def key(self, stream: int) -> tf.Tensor:
        """Return a key for random numbers that are new for each call of the network and each stream, int64 (2,)."""
        return tf.stack([tf.cast(self.seed, tf.int64), self._number * STREAMS + stream])


class _Replacement(keras.layers.Layer):
    """A layer of the training graph, with the weights of the Keras layer that it replaces."""

    def __init__(self, layer: keras.Layer) -> None:
        super().__init__(dtype=layer.dtype_policy, name=f"fast_{layer.name}")
        self.layer = layer


class _RandomReplacement(_Replacement):
    """A replacement with random numbers of its own stream, and no state."""

    def __init__(self, layer: keras.Layer, forward: Forward, stream: int) -> None:
        super().__init__(layer)
        self._forward = forward
        self._stream = stream


class _Dropout(_RandomReplacement):
    """Keras's Dropout with 16 random bits for each element instead of 64.

    The rate is rounded to a multiple of 1/65,536, and kept elements are scaled by the rounded rate.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(inputs)
        count = tf.reduce_prod(shape)
        key = self._forward.key(self._stream)
        words = tf.random.stateless_uniform([(count + 3) // 4], key, None, None, tf.uint64, alg="philox")
        bits = tf.reshape(tf.bitcast(words, tf.uint16), [-1])[:count]
        kept = tf.cast(tf.reshape(bits, shape) >= self._forward.rate.threshold, inputs.dtype)
        return inputs * (kept * tf.cast(self._forward.rate.scale, inputs.dtype))


class _Noise(_RandomReplacement):
    """Keras's GaussianNoise."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        key = self._forward.key(self._stream)
        stddev = self.layer.stddev
        return inputs + tf.random.stateless_normal(tf.shape(inputs), key, 0, stddev, inputs.dtype, alg="philox")


class _BatchNorm(_Replacement):
    """Keras's BatchNormalization of a batch, in one operation, or of the valid images of a padded one."""

    def __init__(self, layer: keras.Layer, forward: Forward) -> None:
        super().__init__(layer)
        self._forward = forward

    def call(self, inputs: tf.Tensor, mask: None = None) -> tf.Tensor:  # noqa: ARG002  (Keras passes one)
        if self._forward.valid is not None:
            return self._of_valid(inputs, self._forward.valid)
        layer, shape = self.layer, tf.shape(inputs)
        images = inputs if len(inputs.shape) == 4 else inputs[:, tf.newaxis, tf.newaxis, :]
        normal, mean, variance = tf.raw_ops.FusedBatchNormV3(
            x=images,
            scale=layer.gamma.value,
            offset=layer.beta.value,
            mean=[],
            variance=[],
            epsilon=layer.epsilon,
            is_training=True,
        )[:3]
        # The operation returns the unbiased variance; Keras's moving variance averages the biased one.
        number = tf.cast(tf.reduce_prod(tf.shape(images)[:3]), tf.float32)
        self._update(mean, variance * (number - 1) / number)
        return tf.reshape(normal, shape)

    def _of_valid(self, inputs: tf.Tensor, valid: Valid) -> tf.Tensor:
        layer, values, axes = self.layer, tf.cast(inputs, tf.float32), list(range(len(inputs.shape) - 1))
        mask = tf.reshape(tf.cast(valid.mask, tf.float32), [-1] + [1] * len(axes))
        number = tf.cast(valid.count * math.prod(inputs.shape[1:-1]), tf.float32)
        mean = tf.reduce_sum(values * mask, axes) / number
        centered = values - mean
        variance = tf.reduce_sum(tf.square(centered) * mask, axes) / number
        self._update(mean, variance)
        return tf.cast(centered * (tf.math.rsqrt(variance + layer.epsilon) * layer.gamma) + layer.beta, inputs.dtype)

    def _update(self, mean: tf.Tensor, variance: tf.Tensor) -> None:
        layer = self.layer
        for moving, current in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
            moving.assign(moving * layer.momentum + current * (1 - layer.momentum))


class _Pointwise(_Replacement):
    """A 1×1 convolution without strides, over the pixels that it reads, in images of another shape.

    oneDNN, which TensorFlow 2.21 uses on a CPU, has two faults in the gradient of its kernel:

    - With strides and less than 16 channels it writes past its memory, and the process exits by SIGSEGV or SIGABRT:
      https://github.com/uxlfoundation/oneDNN/issues/6035.
    - The projection and the last convolution of a residual receive the same gradient. The graph pass `mkl_layout_pass`
      fuses the gradient of the bias with that of either kernel, and which one differs from build to build. In bfloat16 the
      two round differently. With a reshape, which copies nothing, the projection has another tensor: one fusion is possible.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        layer = self.layer
        down, right = layer.strides
        pixels = inputs[:, ::down, ::right]
        rows, columns, channels = pixels.shape[1:]
        other = (-1, rows * columns, 1) if columns > 1 else (1, -1, rows)  # not as before: TensorFlow would drop the reshape
        features = keras.ops.conv(tf.reshape(pixels, (*other, channels)), layer.kernel)
        features = tf.reshape(features, (-1, rows, columns, features.shape[-1]))
        return layer.activation(keras.ops.add(features, layer.bias) if layer.use_bias else features)


class _Convolve(_Replacement):
    """A convolution without bias and activation, which `_PoolAndActivate` applies; for XLA, as `products` does it."""

    def __init__(self, layer: keras.layers.Conv2D, use_xla: bool) -> None:
        super().__init__(layer)
        plain = layer.strides == (1, 1) and layer.padding == "valid" and layer.dilation_rate == (1, 1) and layer.groups == 1
        self._as_product = use_xla and plain and layer.compute_dtype == "float32"

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        kernel = self.layer.kernel
        if self._as_product and products.fits(inputs, kernel):
            return products.convolution(inputs, tf.convert_to_tensor(kernel.value))
        return self.layer.convolution_op(inputs, kernel)


class _Dense(_Replacement):
    """A dense layer for XLA, as `products` does it."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        layer = self.layer
        if len(inputs.shape) != 2:
            return layer.call(inputs)
        features = products.dense(inputs, tf.convert_to_tensor(layer.kernel.value))
        return layer.activation(keras.ops.add(features, layer.bias) if layer.use_bias else features)


class _Pool(_Replacement):
    """A max-pooling.

    For XLA, windows that do not overlap become an axis, and the pooling its maximum: on a GPU, XLA has no deterministic
    gradient of a pooling. On a CPU that would be twice as slow.
    """

    def __init__(self, pool: keras.layers.MaxPooling2D, use_xla: bool) -> None:
        super().__init__(pool)
        self._as_axes = use_xla and pool.padding == "valid" and tuple(pool.strides) == tuple(pool.pool_size)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        if not self._as_axes:
            return self.layer.call(inputs)
        high, wide = self.layer.pool_size
        rows, columns, channels = inputs.shape[1] // high, inputs.shape[2] // wide, inputs.shape[3]
        windows = inputs[:, : rows * high, : columns * wide]
        return tf.reduce_max(tf.reshape(windows, (-1, rows, high, columns, wide, channels)), axis=(2, 4))


class _PoolAndActivate(_Pool):
    """The pooling of a convolution, then the bias and the activation of the convolution."""

    def __init__(self, convolution: keras.layers.Conv2D, pool: keras.layers.MaxPooling2D, use_xla: bool) -> None:
        super().__init__(pool, use_xla)
        self.convolution = convolution

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        largest = super().call(inputs)
        if self.convolution.use_bias:
            largest = keras.ops.add(largest, self.convolution.bias)
        return self.convolution.activation(largest)


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
