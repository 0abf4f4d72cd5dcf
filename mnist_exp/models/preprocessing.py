"""Pixel scaling as a layer of the model, so that a saved model takes raw pixels."""

import keras
import numpy as np

from mnist_exp.config.schema import PreprocessingConfig


def build(config: PreprocessingConfig, train_images: np.ndarray) -> keras.Layer:
    """Build the layer from raw pixels (uint8, any shape) to scaled pixels (float).

    Args:
        config: the scaling.
        train_images: `standardize` uses their mean and standard deviation; without validation and test images.
    """
    if config.name == "unit":
        return keras.layers.Rescaling(1 / 255, name="unit")
    mean, deviation = float(train_images.mean()), float(train_images.std())
    return keras.layers.Rescaling(1 / deviation, offset=-mean / deviation, name="standardize")
