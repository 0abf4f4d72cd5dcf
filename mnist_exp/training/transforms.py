"""Changes of images in the graph, from uint8 to uint8, by given random values. Coordinates are (row, column), in pixels."""

import numpy as np
import tensorflow as tf
from scipy.ndimage import gaussian_filter1d


class Valid:
    """The first rows of a padded batch: their number, int32, and a mask, bool (size,)."""

    def __init__(self, count: tf.Tensor, size: int) -> None:
        self.count = count
        self.mask = tf.range(size) < count


def flip(images: tf.Tensor, flips: tf.Tensor) -> tf.Tensor:
    """Return images (n, height, width, channels), some of them mirrored left to right: bool (n,)."""
    return tf.where(flips[:, tf.newaxis, tf.newaxis, tf.newaxis], images[:, :, ::-1], images)


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


def pixels(size: tuple[int, int]) -> np.ndarray:
    """Return the position of each pixel, float32 (2, height * width)."""
    return np.indices(size).reshape(2, -1).astype(np.float32)


def affine_positions(matrices: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Return the position in the old image of each pixel of the new ones, float32 (n, 2, height * width)."""
    center = (np.array(size, np.float32)[:, np.newaxis] - 1) / 2
    from_center = pixels(size) - center
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
    """Return uint8 images (n, height, width, channels) sampled at other positions, float32 (n, 2, height * width).

    The values are linear between pixels, rounded to the nearest, and black outside.
    """
    count, height, width, channels = images.shape
    wide = width + 3  # with a black border, to which positions outside are clipped
    farthest = np.array([[height + 1], [width + 1]], np.float32)
    inside = tf.clip_by_value(positions + 1, 0, farthest)
    corners = tf.floor(inside)
    down, right = tf.unstack(inside - corners, axis=1)
    starts = np.arange(count, dtype=np.int32)[:, np.newaxis] * (height + 3) * wide
    places = tf.cast(corners[:, 0] * wide + corners[:, 1], tf.int32) + starts
    sampled = [_between(images[..., channel], places, down, right, wide) for channel in range(channels)]
    return tf.reshape(tf.stack(sampled, axis=-1) if channels > 1 else sampled[0], images.shape)


def _between(images: tf.Tensor, places: tf.Tensor, down: tf.Tensor, right: tf.Tensor, wide: int) -> tf.Tensor:
    """Return the values between the pixels of one channel, uint8 (n, height * width).

    Args:
        images: uint8 (n, height, width).
        places: the index of the upper left one of four pixels in all images with their borders, int32 (n, height * width).
        down, right: how far a position is from that pixel, from 0 to 1, float32 (n, height * width).
        wide: width of an image with its border.
    """
    padded = tf.reshape(tf.cast(tf.pad(images, [[0, 0], [1, 2], [1, 2]]), tf.int32), [-1])
    # The four pixels around a position are fetched as the bytes of one integer: fetching takes most of the time.
    pairs = padded[:-wide] + padded[wide:] * 2**8  # a pixel and the one below
    words = pairs[:-1] + pairs[1:] * 2**16  # and those to the right
    fetched = tf.gather(words, places)
    above, below, right_above, right_below = (
        tf.cast(tf.bitwise.bitwise_and(tf.bitwise.right_shift(fetched, bits), 255), tf.float32) for bits in (0, 8, 16, 24)
    )
    left = above + (below - above) * down
    right_of_it = right_above + (right_below - right_above) * down
    return tf.cast(left + (right_of_it - left) * right + 0.5, tf.uint8)


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
