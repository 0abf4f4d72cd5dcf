"""Random changes of the training images, in the graph: from uint8 images to uint8 images, different at every step.

The random numbers of a step depend only on the seed and the number of the step. So a resumed training uses the same ones as
an uninterrupted training, for any number of towers.
"""

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from scipy.special import betaincinv

from mnist_exp.config.schema import AnyAugmentation, NoAugmentationConfig, RandomAugmentationConfig
from mnist_exp.training import transforms
from mnist_exp.training.transforms import Valid

STREAMS = 1024  # of random numbers in a step; those of the network's layers count from 1
LEVELS = 4096  # of the shares in which images are mixed
FLIP, AFFINE, ELASTIC, CUT, CUT_CENTERS, MIX = range(STREAMS - 6, STREAMS)


class Draws(NamedTuple):
    """The random values for a batch of n images; None for a transform that is not configured."""

    flips: tf.Tensor | None  # bool (n,)
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
            flips=self._uniform([count], step, FLIP) < 0.5 if config.flip == "horizontal" else None,
            matrices=self._matrices(step, count, valid) if affine else None,
            noise=self._noise(step, count) if config.elastic_alpha else None,
            corners=self._corners(step, count, valid) if config.cutout_probability else None,
            shares=self._shares(step, count) if config.mixup else None,
        )

    def transform(self, images: tf.Tensor, draws: Draws) -> tf.Tensor:
        """Apply all transforms except mixing to uint8 images (n, height, width, channels)."""
        config, size = self._config, (self._height, self._width)
        if draws.flips is not None:
            images = transforms.flip(images, draws.flips)
        if draws.matrices is not None or draws.noise is not None:
            positions = tf.constant(transforms.pixels(size))
            if draws.matrices is not None:
                positions = transforms.affine_positions(draws.matrices, size)
            if draws.noise is not None:
                positions += transforms.displacements(draws.noise, config.elastic_alpha, config.elastic_sigma)
            images = transforms.sample(images, positions)
        if draws.corners is not None:
            images = transforms.cut_out(images, draws.corners, config.cutout_size)
        return images

    def _matrices(self, step: tf.Tensor, count: int, valid: Valid | None) -> tf.Tensor:
        """Return the inverse of: scale each axis, shear along rows, rotate about the center, shift."""
        config = self._config
        degrees = math.pi / 180
        most = [config.rotation * degrees, config.shear * degrees, config.scale, config.scale, config.shift, config.shift]
        from_minus_one_to_one = 2 * self._uniform([6, count], step, AFFINE, valid) - 1
        angle, shear, high, wide, down, right = tf.unstack(from_minus_one_to_one * tf.constant(most)[:, tf.newaxis])
        return transforms.inverse_affine(angle, shear, 1 + high, 1 + wide, down, right)

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
