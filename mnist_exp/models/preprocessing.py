"""Pixel scaling as a layer of the model, so that a saved model takes raw pixels."""

import math

import keras
import numpy as np

from mnist_exp.config.schema import PreprocessingConfig

CHUNK = 2**22  # pixels that are counted at once: each takes eight bytes meanwhile


def build(config: PreprocessingConfig, images: np.ndarray, train: np.ndarray | None = None) -> keras.Layer:
    """Build the layer from raw pixels (uint8, any shape) to scaled pixels (float).

    Args:
        config: the scaling.
        images: uint8 (n, height, width, channels).
        train: indices of the training images, whose mean and standard deviation of each channel `standardize` uses; None
            for all images.
    """
    if config.name == "unit":
        return keras.layers.Rescaling(1 / 255, name="unit")
    scales, offsets = [], []
    for mean, deviation in channel_statistics(images, np.arange(len(images)) if train is None else train):
        scales.append(1 / (deviation or 1.0))  # a channel of one value becomes 0
        offsets.append(-mean / (deviation or 1.0))
    if len(scales) == 1:
        return keras.layers.Rescaling(scales[0], offset=offsets[0], name="standardize")
    return keras.layers.Rescaling(scales, offset=offsets, name="standardize")


def channel_statistics(images: np.ndarray, indices: np.ndarray) -> list[tuple[float, float]]:
    """Return the mean and the standard deviation of each channel of some uint8 images (n, height, width, channels).

    They are exact, from the number of pixels with each value. NumPy's own deviation takes nine bytes for each pixel.
    """
    values, statistics = range(256), []
    counts = np.zeros((images.shape[-1], 256), np.int64)
    step = max(1, CHUNK // math.prod(images.shape[1:3]))
    for start in range(0, len(indices), step):
        chunk = images[indices[start : start + step]]
        counts += [np.bincount(chunk[..., channel].ravel(), minlength=256) for channel in range(images.shape[-1])]
    for numbers in counts.tolist():  # integers of any size
        n = sum(numbers)
        total = sum(value * count for value, count in zip(values, numbers, strict=True))
        squares = sum(value**2 * count for value, count in zip(values, numbers, strict=True))
        statistics.append((total / n, math.sqrt(n * squares - total**2) / n))
    return statistics
