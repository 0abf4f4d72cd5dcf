"""Dense layers and convolutions as matrix products that use a whole GPU, for XLA in float32.

With deterministic operations, XLA does not time algorithms but takes the first one: a product with few results uses a few of
the GPU's processors, and a convolution of few channels is computed by Fourier transforms. Here such a product is the sum of
products of parts, and such a convolution is a product over patches. Both are deterministic.
"""

import math
from typing import Any

import tensorflow as tf

LEAST = 128  # terms of a sum, from which it is computed in parts
MOST_RESULTS = 400**2  # more already use the whole GPU
MOST_PARTS = 7
PATCH_BYTES = 2**26  # of memory for the patches of a batch


def product(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Return the product of matrices (n, k) and (k, m), float32; with few results, the sum over k is in equal parts."""
    rows, terms, columns = first.shape[0], first.shape[1], second.shape[1]
    few = rows is not None and terms >= LEAST and rows * columns <= MOST_RESULTS
    parts = max(number for number in range(1, MOST_PARTS + 1) if terms % number == 0) if few else 1
    if parts == 1:
        return tf.matmul(first, second)
    left = tf.transpose(tf.reshape(first, [rows, parts, terms // parts]), [1, 0, 2])
    return tf.reduce_sum(tf.matmul(left, tf.reshape(second, [parts, terms // parts, columns])), axis=0)


@tf.custom_gradient  # type: ignore[untyped-decorator]
def dense(inputs: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Any]:
    """Return inputs (n, k) times kernel (k, m), float32, with gradients that are such products too."""

    def gradients(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return product(upstream, tf.transpose(kernel)), product(tf.transpose(inputs), upstream)

    return product(inputs, kernel), gradients


@tf.custom_gradient  # type: ignore[untyped-decorator]
def convolution(images: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Any]:
    """Return a convolution with strides of 1 and no padding as a product over patches, float32 (n, height, width, filters).

    The gradient of the kernel is the sum of a product for each image.

    Args:
        images: float32 (n, height, width, channels), with a known n.
        kernel: float32 (rows, columns, channels, filters).
    """
    count, height, width, channels = images.shape
    rows, columns, _, filters = kernel.shape
    high, wide, length = height - rows + 1, width - columns + 1, rows * columns * channels
    shifts = [(down, right) for down in range(rows) for right in range(columns)]
    patches = tf.concat([images[:, down : down + high, right : right + wide] for down, right in shifts], axis=-1)
    patches = tf.reshape(patches, [count, high * wide, length])
    matrix = tf.reshape(kernel, [length, filters])

    def gradients(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        upstream = tf.reshape(upstream, [count, high * wide, filters])
        to_kernel = tf.reduce_sum(tf.matmul(patches, upstream, transpose_a=True), axis=0)
        flat = tf.matmul(tf.reshape(upstream, [-1, filters]), matrix, transpose_b=True)
        pieces = tf.split(tf.reshape(flat, [count, high, wide, length]), len(shifts), axis=-1)
        to_images = tf.add_n(
            [
                tf.pad(piece, [[0, 0], [down, rows - 1 - down], [right, columns - 1 - right], [0, 0]])
                for piece, (down, right) in zip(pieces, shifts, strict=True)
            ]
        )
        return to_images, tf.reshape(to_kernel, kernel.shape)

    flat = tf.matmul(tf.reshape(patches, [-1, length]), matrix)
    return tf.reshape(flat, [count, high, wide, filters]), gradients


def fits(images: tf.Tensor, kernel: tf.Tensor) -> bool:
    """Return whether the patches of a batch of known size fit in the memory for them."""
    if images.shape[0] is None:
        return False
    rows, columns, channels, _ = kernel.shape
    places = (images.shape[1] - rows + 1) * (images.shape[2] - columns + 1)
    return bool(4 * math.prod((images.shape[0], places, rows, columns, channels)) <= PATCH_BYTES)
