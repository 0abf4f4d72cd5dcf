"""Cheaper layers for the graph of training, each with the weights of the Keras layer that it replaces."""

import math
from typing import NamedTuple

import keras
import tensorflow as tf

from mnist_exp.training import products
from mnist_exp.training.augmentation import STREAMS
from mnist_exp.training.transforms import Valid

LEVELS = 2**16  # of the random numbers that dropout compares with its rate


class Rate(NamedTuple):
    """The rate of dropout: 16 random bits below a threshold drop an element; the others are scaled."""

    threshold: tf.Tensor  # uint16
    scale: tf.Tensor  # float32


class Pass:
    """What the layers of a network share in one forward pass."""

    def __init__(self, seed: int, rate: Rate) -> None:
        self.seed: int | tf.Tensor = seed  # in a graph that runs share, a tensor
        self.rate = rate
        self.number = tf.constant(0, tf.int64)  # no other pass of a training has the same
        self.valid: Valid | None = None  # the valid images of a padded batch

    def key(self, stream: int) -> tf.Tensor:
        """Return a key for random numbers that are new for each pass and each stream, int64 (2,)."""
        return tf.stack([tf.cast(self.seed, tf.int64), self.number * STREAMS + stream])


class Replacement(keras.layers.Layer):
    """A layer of the training graph, with the weights of the Keras layer that it replaces."""

    def __init__(self, layer: keras.Layer) -> None:
        super().__init__(dtype=layer.dtype_policy, name=f"fast_{layer.name}")
        self.layer = layer


class RandomReplacement(Replacement):
    """A replacement with random numbers of its own stream, and no state."""

    def __init__(self, layer: keras.Layer, current: Pass, stream: int) -> None:
        super().__init__(layer)
        self._pass = current
        self._stream = stream


class Dropout(RandomReplacement):
    """Keras's Dropout with 16 random bits for each element instead of 64.

    The rate is rounded to a multiple of 1/65,536, and kept elements are scaled by the rounded rate.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(inputs)
        count = tf.reduce_prod(shape)
        key = self._pass.key(self._stream)
        words = tf.random.stateless_uniform([(count + 3) // 4], key, None, None, tf.uint64, alg="philox")
        bits = tf.reshape(tf.bitcast(words, tf.uint16), [-1])[:count]
        kept = tf.cast(tf.reshape(bits, shape) >= self._pass.rate.threshold, inputs.dtype)
        return inputs * (kept * tf.cast(self._pass.rate.scale, inputs.dtype))


class Noise(RandomReplacement):
    """Keras's GaussianNoise."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        key = self._pass.key(self._stream)
        stddev = self.layer.stddev
        return inputs + tf.random.stateless_normal(tf.shape(inputs), key, 0, stddev, inputs.dtype, alg="philox")


class BatchNorm(Replacement):
    """Keras's BatchNormalization of a batch, in one operation, or of the valid images of a padded one."""

    def __init__(self, layer: keras.Layer, current: Pass) -> None:
        super().__init__(layer)
        self._pass = current

    def call(self, inputs: tf.Tensor, mask: None = None) -> tf.Tensor:  # noqa: ARG002  (Keras passes one)
        if self._pass.valid is not None:
            return self._of_valid(inputs, self._pass.valid)
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


class Pointwise(Replacement):
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


class Convolve(Replacement):
    """A convolution without bias and activation, which `PoolAndActivate` applies; for XLA, as `products` does it."""

    def __init__(self, layer: keras.layers.Conv2D, use_xla: bool) -> None:
        super().__init__(layer)
        plain = layer.strides == (1, 1) and layer.padding == "valid" and layer.dilation_rate == (1, 1) and layer.groups == 1
        self._as_product = use_xla and plain and layer.compute_dtype == "float32"

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        kernel = self.layer.kernel
        if self._as_product and products.fits(inputs, kernel):
            return products.convolution(inputs, tf.convert_to_tensor(kernel.value))
        return self.layer.convolution_op(inputs, kernel)


class Dense(Replacement):
    """A dense layer for XLA, as `products` does it."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        layer = self.layer
        if len(inputs.shape) != 2:
            return layer.call(inputs)
        features = products.dense(inputs, tf.convert_to_tensor(layer.kernel.value))
        return layer.activation(keras.ops.add(features, layer.bias) if layer.use_bias else features)


class Pool(Replacement):
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


class PoolAndActivate(Pool):
    """The pooling of a convolution, then the bias and the activation of the convolution."""

    def __init__(self, convolution: keras.layers.Conv2D, pool: keras.layers.MaxPooling2D, use_xla: bool) -> None:
        super().__init__(pool, use_xla)
        self.convolution = convolution

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        largest = super().call(inputs)
        if self.convolution.use_bias:
            largest = keras.ops.add(largest, self.convolution.bias)
        return self.convolution.activation(largest)
