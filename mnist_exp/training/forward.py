"""The forward pass of training: the function that the model is, computed in fewer and cheaper operations.

The model that is evaluated and saved stays plain Keras; this is a second graph over the same weights.
"""

from typing import Any

import keras
import tensorflow as tf

from mnist_exp.models.build import logits_model
from mnist_exp.training.augmentation import STREAMS

# Never decreasing, so the largest of four activations is the activation of the largest: pooling first leaves a quarter of
# the elements to shift and activate, and the function is the same, and so is its gradient except between equals.
MONOTONIC = ("relu", "elu", "leaky_relu", "selu", "sigmoid", "tanh", "linear")
LEVELS = 2**16  # of the random numbers that dropout compares with its rate


class Forward:
    """From images to logits, with dropout."""

    def __init__(self, model: keras.Model, seed: int, use_xla: bool) -> None:
        """Share the weights of a model.

        Args:
            model: from `models.build.build_model`.
            seed: of the dropout masks, which depend on it and on the number given to each call.
            use_xla: whether XLA compiles the steps.
        """
        self._seed = seed
        self._use_xla = use_xla
        self._number = tf.constant(0, tf.int64)
        self._streams = 0
        logits = logits_model(model)
        self._pooled = _pooled_convolutions(logits)
        self._network = keras.models.clone_model(logits, clone_function=self._faster)

    def __call__(self, images: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        """Logits of images; no two calls of a training may share their `number`, an int64 scalar."""
        self._number = number
        return self._network(images, training=True)

    def _faster(self, layer: keras.Layer) -> keras.Layer:
        if type(layer) is keras.layers.Dropout and layer.noise_shape is None:
            self._streams += 1
            return _Dropout(layer, self, self._streams)
        if type(layer) is keras.layers.GaussianNoise:
            self._streams += 1
            return _Noise(layer, self, self._streams)
        if type(layer) is keras.layers.BatchNormalization:
            return _BatchNorm(layer)
        if _strided_pointwise(layer):
            return _StridedPointwise(layer)
        if layer in self._pooled.values():
            return _Convolve(layer)
        if layer in self._pooled:
            return _PoolAndActivate(self._pooled[layer], layer, self._use_xla)
        return layer

    def key(self, stream: int) -> tf.Tensor:
        """Of a generator of random numbers that are fresh for each call of the network and each stream."""
        return tf.stack([tf.constant(self._seed, tf.int64), self._number * STREAMS + stream])

    def random_bits(self, count: tf.Tensor, stream: int) -> tf.Tensor:
        """uint16 (count,), uniform."""
        words = tf.random.stateless_uniform([(count + 3) // 4], self.key(stream), None, None, tf.uint64, alg="philox")
        return tf.reshape(tf.bitcast(words, tf.uint16), [-1])[:count]


class _Dropout(keras.layers.Layer):
    """Keras's Dropout with 16 random bits for an element in place of 64, and without a state.

    The rate is rounded to 1/65,536, and what is kept is scaled by what was really dropped.
    """

    def __init__(self, dropout: keras.layers.Dropout, source: Forward, stream: int) -> None:
        super().__init__(dtype=dropout.dtype_policy, name=f"fast_{dropout.name}")
        self._dropped = min(round(dropout.rate * LEVELS), LEVELS - 1)
        self._source = source
        self._stream = stream

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(inputs)
        bits = self._source.random_bits(tf.reduce_prod(shape), self._stream)
        kept = tf.cast(tf.reshape(bits, shape) >= self._dropped, inputs.dtype)
        return inputs * (kept * tf.cast(LEVELS / (LEVELS - self._dropped), inputs.dtype))


class _Noise(keras.layers.Layer):
    """Keras's GaussianNoise without a state."""

    def __init__(self, noise: keras.layers.GaussianNoise, source: Forward, stream: int) -> None:
        super().__init__(dtype=noise.dtype_policy, name=f"fast_{noise.name}")
        self._stddev = noise.stddev
        self._source = source
        self._stream = stream

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        key = self._source.key(self._stream)
        return inputs + tf.random.stateless_normal(tf.shape(inputs), key, 0, self._stddev, inputs.dtype, alg="philox")


class _BatchNorm(keras.layers.Layer):
    """Keras's BatchNormalization of a batch, in one operation."""

    def __init__(self, batch_norm: keras.layers.BatchNormalization) -> None:
        super().__init__(dtype=batch_norm.dtype_policy, name=f"fast_{batch_norm.name}")
        self.batch_norm = batch_norm

    def call(self, inputs: tf.Tensor, mask: None = None) -> tf.Tensor:  # noqa: ARG002  (Keras gives it one)
        layer, shape = self.batch_norm, tf.shape(inputs)
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
        # The operation divides the squares by one less than their number; Keras keeps their plain mean.
        number = tf.cast(tf.reduce_prod(tf.shape(images)[:3]), tf.float32)
        for moving, present in ((layer.moving_mean, mean), (layer.moving_variance, variance * (number - 1) / number)):
            moving.assign(moving * layer.momentum + present * (1 - layer.momentum))
        return tf.reshape(normal, shape)


class _StridedPointwise(keras.layers.Layer):
    """A convolution of 1×1 with strides, without them, of the pixels that it looks at.

    For less than 16 channels, the gradient of its kernel writes past its memory in oneDNN, which TensorFlow 2.21 uses on a
    CPU, and the process ends by SIGSEGV or SIGABRT: https://github.com/uxlfoundation/oneDNN/issues/6035.
    """

    def __init__(self, convolution: keras.layers.Conv2D) -> None:
        super().__init__(dtype=convolution.dtype_policy, name=f"fast_{convolution.name}")
        self.convolution = convolution

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        layer = self.convolution
        down, right = layer.strides
        features = keras.ops.conv(inputs[:, ::down, ::right], layer.kernel)
        return layer.activation(keras.ops.add(features, layer.bias) if layer.use_bias else features)


class _Convolve(keras.layers.Layer):
    """A convolution's products alone; `_PoolAndActivate` does the rest."""

    def __init__(self, convolution: keras.layers.Conv2D) -> None:
        super().__init__(dtype=convolution.dtype_policy, name=f"fast_{convolution.name}")
        self.convolution = convolution

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return self.convolution.convolution_op(inputs, self.convolution.kernel)


class _PoolAndActivate(keras.layers.Layer):
    """The pooling of a convolution, then its bias and activation.

    Compiled, windows that do not overlap become an axis and its maximum: on a GPU, XLA has no deterministic gradient of a
    pooling. On a CPU that would be twice as slow.
    """

    def __init__(self, convolution: keras.layers.Conv2D, pool: keras.layers.MaxPooling2D, use_xla: bool) -> None:
        super().__init__(dtype=pool.dtype_policy, name=f"fast_{pool.name}")
        self.convolution = convolution
        self.pool = pool
        self._as_axes = use_xla and pool.padding == "valid" and tuple(pool.strides) == tuple(pool.pool_size)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        largest = self._axes_maximum(inputs) if self._as_axes else self.pool.call(inputs)
        if self.convolution.use_bias:
            largest = keras.ops.add(largest, self.convolution.bias)
        return self.convolution.activation(largest)

    def _axes_maximum(self, inputs: tf.Tensor) -> tf.Tensor:
        high, wide = self.pool.pool_size
        rows, columns, channels = inputs.shape[1] // high, inputs.shape[2] // wide, inputs.shape[3]
        windows = inputs[:, : rows * high, : columns * wide]
        return tf.reduce_max(tf.reshape(windows, (-1, rows, high, columns, wide, channels)), axis=(2, 4))


def _strided_pointwise(layer: keras.Layer) -> bool:
    """Whether a layer is a convolution of 1×1 that passes over pixels."""
    return type(layer) is keras.layers.Conv2D and layer.kernel_size == (1, 1) and layer.strides != (1, 1)


def _pooled_convolutions(network: keras.Model) -> dict[Any, Any]:
    """By max-pooling, the convolution that it alone reads, where pooling may come before the activation."""
    readers: dict[int, list[keras.Layer]] = {}
    for layer in network.layers:
        for tensor in keras.tree.flatten(layer.input):
            readers.setdefault(id(tensor), []).append(layer)
    found = {}
    for layer in network.layers:
        if type(layer) is keras.layers.Conv2D and layer.activation.__name__ in MONOTONIC and not _strided_pointwise(layer):
            after = readers.get(id(layer.output), [])
            if len(after) == 1 and type(after[0]) is keras.layers.MaxPooling2D:
                found[after[0]] = layer
    return found
