"""Pixel scaling as a layer of the model, so that a saved model takes raw pixels."""

import keras
import numpy as np

from mnist_exp.config.schema import PreprocessingConfig
from mnist_exp.datasets.statistics import channel_statistics


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
