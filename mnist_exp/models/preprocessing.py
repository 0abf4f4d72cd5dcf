"""Pixel scaling as a layer of the model, so that a saved model takes raw pixels and cannot be fed wrongly scaled ones."""

import keras
import numpy as np

from mnist_exp.config.schema import PreprocessingConfig


def build(config: PreprocessingConfig, train_images: np.ndarray) -> keras.Layer:
    """The layer from raw pixels (uint8, any shape) to scaled ones (float).

    Args:
        config: which scaling.
        train_images: what `standardize` takes its mean and standard deviation from; never the validation or test images.
    """
    if config.name == "unit":
        return keras.layers.Rescaling(1 / 255, name="unit")
    mean, deviation = float(train_images.mean()), float(train_images.std())
    return keras.layers.Rescaling(1 / deviation, offset=-mean / deviation, name="standardize")
