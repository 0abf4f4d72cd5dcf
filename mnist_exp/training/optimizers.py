"""Optimizers by name; the learning rate of each step comes from the schedule."""

import keras

from mnist_exp.config.schema import AnyOptimizer

CLASSES = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "sgd": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
    "lion": keras.optimizers.Lion,
}


def build(config: AnyOptimizer, precision: str, gradient_clip_norm: float | None) -> keras.Optimizer:
    """The Keras optimizer with these settings, which bear Keras's names.

    Args:
        config: which one, and its settings.
        precision: float16 gets a scaled loss, or small gradients would vanish.
        gradient_clip_norm: the largest global norm of a gradient (Pascanu et al. 2012, arXiv:1211.5063); None for any.
    """
    optimizer = CLASSES[config.name](**config.model_dump(exclude={"name"}), global_clipnorm=gradient_clip_norm)
    return keras.optimizers.LossScaleOptimizer(optimizer) if precision == "float16" else optimizer
