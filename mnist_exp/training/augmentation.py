"""Random changes of the training images, in the graph: from uint8 images to uint8 images, different at every step.

The random numbers of a step depend only on the seed and the number of the step. So a resumed training uses the same ones as
an uninterrupted training, for any number of towers. Coordinates are (row, column), in pixels.
"""

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from scipy.ndimage import gaussian_filter1d
from scipy.special import betaincinv

from mnist_exp.config.schema import AnyAugmentation, NoAugmentationConfig, RandomAugmentationConfig

STREAMS = 1024  # of random numbers in a step; those of the network's layers count from 1
LEVELS = 4096  # of the shares in which images are mixed
AFFINE, ELASTIC, CUT, CUT_CENTERS, MIX = range(STREAMS - 5, STREAMS)


class Valid:
    """The first rows of a padded batch: their number, int32, and a mask, bool (size,)."""

    def __init__(self, count: tf.Tensor, size: int) -> None:
        self.count = count
        self.mask = tf.range(size) < count


class Draws(NamedTuple):
    """The random values for a batch of n images; None for a transform that is not configured."""

    matrices: tf.Tensor | None  # float32 (n, 2, 3): from a position in the new image to that in the old
    noise: tf.Tensor | None  # int8 (n, 2, height, width)
    corners: tf.Tensor | None  # int32 (n, 2): of the square that is cut out; it may be outside the image
    shares: tf.Tensor | None  # float32 (n,): of an image in its mixture, at least 0.5

    def part(self, rows: slice) -> "Draws":
        """Return the values for some of the images."""
        return Draws(*(None if values is None else values[rows] for values in self))


class Augmentation:
    """The transforms of a configuration."""

    def __init__(self, config: RandomAugmentationConfig, image_shape: tuple[int, ...], seed: int) -> None:
        """Store the configuration, for images of shape (height, width, channels)."""
        self._config = config
        self._height, self._width = image_shape[:2]
        self.seed: int | tf.Tensor = seed  # in a graph that runs share, a tensor

    def draw(self, step: tf.Tensor, count: int, valid: Valid | None = None) -> Draws:
        """Draw the random values for a batch of `count` images at a step, an int64 scalar.

        The values of the valid images of a padded batch are those of a batch without the others.
        """
        config = self._config
        affine = config.rotation or config.shear or config.scale or config.shift
        return Draws(
            matrices=self._matrices(step, count, valid) if affine else None,
            noise=self._noise(step, count) if config.elastic_alpha else None,
            corners=self._corners(step, count, valid) if config.cutout_probability else None,
            shares=self._shares(step, count) if config.mixup else None,
        )

    def transform(self, images: tf.Tensor, draws: Draws) -> tf.Tensor:
        """Apply all transforms except mixing to uint8 images (n, height, width, channels)."""
        config, size = self._config, (self._height, self._width)
        if draws.matrices is not None or draws.noise is not None:
            positions = tf.constant(_pixels(size)) if draws.matrices is None else affine_positions(draws.matrices, size)
            if draws.noise is not None:
                positions += displacements(draws.noise, config.elastic_alpha, config.elastic_sigma)
            images = sample(images, positions)
        if draws.corners is not None:
            images = cut_out(images, draws.corners, config.cutout_size)
        return images

    def _matrices(self, step: tf.Tensor, count: int, valid: Valid | None) -> tf.Tensor:
        """Return the inverse of: scale each axis, shear along rows, rotate about the center, shift."""
        config = self._config
        degrees = math.pi / 180
        most = [config.rotation * degrees, config.shear * degrees, config.scale, config.scale, config.shift, config.shift]
        from_minus_one_to_one = 2 * self._uniform([6, count], step, AFFINE, valid) - 1
        angle, shear, high, wide, down, right = tf.unstack(from_minus_one_to_one * tf.constant(most)[:, tf.newaxis])
        return inverse_affine(angle, shear, 1 + high, 1 + wide, down, right)

    def _noise(self, step: tf.Tensor, count: int) -> tf.Tensor:
        """Return one byte of noise for each displacement: more bits would make no visible difference once smoothed."""
        shape = count, 2, self._height, self._width
        words = -(-math.prod(shape) // 8)
        bits = tf.random.stateless_uniform([words], self._key(step, ELASTIC), None, None, tf.uint64, alg="philox")
        return tf.reshape(tf.reshape(tf.bitcast(bits, tf.int8), [-1])[: math.prod(shape)], shape)

    def _corners(self, step: tf.Tensor, count: int, valid: Valid | None) -> tf.Tensor:
        """Return corners of squares with uniform centers; the square of an image that loses nothing is far outside."""
        config = self._config
        places = self._uniform([2, count], step, CUT_CENTERS, valid)
        centers = tf.cast(places * tf.constant([[self._height], [self._width]], tf.float32), tf.int32)
        chosen = self._uniform([count], step, CUT)
        outside = -config.cutout_size
        return tf.transpose(tf.where(chosen < config.cutout_probability, centers - config.cutout_size // 2, outside))

    def _shares(self, step: tf.Tensor, count: int) -> tf.Tensor:
        """Return the larger of λ and 1 − λ of Beta(alpha, alpha), so that an image's own label has the larger share."""
        quantiles = (1 + (np.arange(LEVELS) + 0.5) / LEVELS) / 2
        table = betaincinv(self._config.mixup, self._config.mixup, quantiles).astype(np.float32)
        levels = tf.random.stateless_uniform([count], self._key(step, MIX), 0, LEVELS, tf.int32, alg="philox")
        return tf.gather(table, levels)

    def _uniform(self, shape: list[int], step: tf.Tensor, stream: int, valid: Valid | None = None) -> tf.Tensor:
        """Return float32 in [0, 1), computed here from bits: from the same bits, XLA computes other numbers."""
        bits = tf.random.stateless_uniform(shape, self._key(step, stream), None, None, tf.uint32, alg="philox")
        if valid is not None and len(shape) == 2:  # rows as long as the number of valid images
            positions = tf.range(shape[0])[:, tf.newaxis] * valid.count + tf.range(shape[1])
            bits = tf.gather(tf.reshape(bits, [-1]), positions)
        return tf.cast(bits & (2**23 - 1), tf.float32) * 2**-23

    def _key(self, step: tf.Tensor, stream: int) -> tf.Tensor:
        return tf.stack([tf.cast(self.seed, tf.int64), step * STREAMS + stream])


def build(config: AnyAugmentation, image_shape: tuple[int, ...], seed: int) -> Augmentation | None:
    """Return the augmentation of a configuration; None for `augmentation=none`."""
    return None if isinstance(config, NoAugmentationConfig) else Augmentation(config, image_shape, seed)


def inverse_affine(
    angle: tf.Tensor, shear: tf.Tensor, high: tf.Tensor, wide: tf.Tensor, down: tf.Tensor, right: tf.Tensor
) -> tf.Tensor:
    """Return matrices from a position in the new image to that in the old, both from the center, float32 (n, 2, 3).

    All arguments are float32 (n,): the angles of the rotation from rows to columns and of the shear of columns, in radians;
    the factors of heights and widths; the shifts in pixels.
    """
    cosine, sine, lean = tf.cos(angle), tf.sin(angle), tf.tan(shear)
    # new = R · S · D · old + t, with R = [[c, -s], [s, c]], S = [[1, 0], [lean, 1]], D = diag(high, wide)
    first = [cosine / high, sine / high]
    second = [(-sine - lean * cosine) / wide, (cosine - lean * sine) / wide]
    rows = [tf.stack([*row, -(row[0] * down + row[1] * right)], axis=-1) for row in (first, second)]
    return tf.stack(rows, axis=1)


def _pixels(size: tuple[int, int]) -> np.ndarray:
    """Return the position of each pixel, float32 (2, height * width)."""
    return np.indices(size).reshape(2, -1).astype(np.float32)


def affine_positions(matrices: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Return the position in the old image of each pixel of the new ones, float32 (n, 2, height * width)."""
    center = (np.array(size, np.float32)[:, np.newaxis] - 1) / 2
    from_center = _pixels(size) - center
    homogeneous = np.concatenate([from_center, np.ones((1, from_center.shape[1]), np.float32)])
    positions = tf.matmul(tf.reshape(matrices, [-1, 3]), tf.constant(homogeneous))
    return tf.reshape(positions, [-1, 2, from_center.shape[1]]) + center


def displacements(noise: tf.Tensor, alpha: float, sigma: float) -> tf.Tensor:
    """Return smooth random displacements: Simard et al. 2003, "Best Practices for Convolutional Neural Networks".

    Args:
        noise: int8 (n, 2, height, width), uniform; it represents numbers from -1 to 1.
        alpha: factor of these numbers, in pixels.
        sigma: standard deviation of the Gaussian that smooths them, in pixels; mirrored at the edges.

    Returns:
        float32 (n, 2, height * width).
    """
    count, _, height, width = noise.shape
    # The convolution of a short line is a product with a matrix, which a CPU computes several times faster.
    down, along = (gaussian_filter1d(np.eye(side, dtype=np.float32), sigma, axis=0) for side in (height, width))
    fields = tf.cast(noise, tf.float32) + 0.5
    smooth = tf.matmul(tf.reshape(fields, [-1, width]), tf.constant(along * (alpha / 128)), transpose_b=True)
    columns = tf.matmul(tf.constant(down), tf.reshape(smooth, [-1, height, width]))
    return tf.reshape(columns, [count, 2, height * width])


def sample(images: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    """Return uint8 images (n, height, width, 1) sampled at other positions, float32 (n, 2, height * width).

    The values are linear between pixels, rounded to the nearest, and black outside.
    """
    count, height, width = images.shape[:3]
    wide = width + 3  # with a black border, to which positions outside are clipped
    padded = tf.reshape(tf.cast(tf.pad(images[..., 0], [[0, 0], [1, 2], [1, 2]]), tf.int32), [-1])
    # The four pixels around a position are fetched as the bytes of one integer: fetching takes most of the time.
    pairs = padded[:-wide] + padded[wide:] * 2**8  # a pixel and the one below
    words = pairs[:-1] + pairs[1:] * 2**16  # and those to the right
    farthest = np.array([[height + 1], [width + 1]], np.float32)
    inside = tf.clip_by_value(positions + 1, 0, farthest)
    corners = tf.floor(inside)
    down, right = tf.unstack(inside - corners, axis=1)
    starts = np.arange(count, dtype=np.int32)[:, np.newaxis] * (height + 3) * wide
    fetched = tf.gather(words, tf.cast(corners[:, 0] * wide + corners[:, 1], tf.int32) + starts)
    above, below, right_above, right_below = (
        tf.cast(tf.bitwise.bitwise_and(tf.bitwise.right_shift(fetched, bits), 255), tf.float32) for bits in (0, 8, 16, 24)
    )
    left = above + (below - above) * down
    right_of_it = right_above + (right_below - right_above) * down
    return tf.reshape(tf.cast(left + (right_of_it - left) * right + 0.5, tf.uint8), images.shape)


def cut_out(images: tf.Tensor, corners: tf.Tensor, size: int) -> tf.Tensor:
    """Return images with a black square: DeVries & Taylor 2017, arXiv:1708.04552.

    Args:
        images: uint8 (n, height, width, channels).
        corners: the upper left pixel of each square, int32 (n, 2); the part of a square outside the image has no effect.
        size: a side of the squares, in pixels.
    """
    rows, columns = (
        (np.arange(side) >= corners[:, axis, tf.newaxis]) & (np.arange(side) < corners[:, axis, tf.newaxis] + size)
        for axis, side in enumerate(images.shape[1:3])
    )
    square = rows[:, :, tf.newaxis] & columns[:, tf.newaxis, :]
    return tf.where(square[..., tf.newaxis], tf.constant(0, tf.uint8), images)


def mix(images: tf.Tensor, shares: tf.Tensor, valid: Valid | None = None) -> tf.Tensor:
    """Return each image mixed with the next of the batch: Zhang et al. 2017, arXiv:1710.09412.

    Images are uint8 (n, height, width, channels); the shares of the image itself are float32 (n,).
    """
    own = tf.cast(images, tf.float32)
    others = next_in_batch(own, valid)
    return tf.cast(others + (own - others) * shares[:, tf.newaxis, tf.newaxis, tf.newaxis] + 0.5, tf.uint8)


def next_in_batch(batch: tf.Tensor, valid: Valid | None = None) -> tf.Tensor:
    """Return for each element of a batch the next one, for the last valid one the first."""
    following = tf.roll(batch, -1, 0)
    if valid is None:
        return following
    last = tf.reshape(tf.range(batch.shape[0]) == valid.count - 1, [-1] + [1] * (len(batch.shape) - 1))
    return tf.where(last, batch[:1], following)
