"""Optimizers by name; the learning rate of each step comes from the schedule."""

import keras

from mnist_exp.config.schema import AdamConfig, AdamWConfig, SgdConfig

CLASSES = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW, "sgd": keras.optimizers.SGD}


def build(config: AdamConfig | AdamWConfig | SgdConfig, precision: str) -> keras.Optimizer:
    """The Keras optimizer with these settings, which bear Keras's names; float16 gets a scaled loss."""
    optimizer = CLASSES[config.name](**config.model_dump(exclude={"name"}))
    return keras.optimizers.LossScaleOptimizer(optimizer) if precision == "float16" else optimizer
