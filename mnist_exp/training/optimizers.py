"""Optimizers by name; the learning rate of each step comes from the schedule."""

import keras

from mnist_exp.config.schema import AdamConfig, AdamWConfig, SgdConfig

CLASSES = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW, "sgd": keras.optimizers.SGD}


def build(config: AdamConfig | AdamWConfig | SgdConfig) -> keras.Optimizer:
    """The Keras optimizer with these settings, which bear Keras's names."""
    return CLASSES[config.name](**config.model_dump(exclude={"name"}))
