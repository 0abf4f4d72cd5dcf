"""The learning rate of every step, as an array: to train with, to draw, and to resume from at any step."""

import numpy as np

from mnist_exp.config.schema import ConstantConfig, CosineConfig, ExponentialConfig


def learning_rates(
    config: ConstantConfig | CosineConfig | ExponentialConfig, peak: float, steps_per_epoch: int, epochs: int
) -> np.ndarray:
    """The learning rate of each step of a training.

    The warm-up rises linearly and reaches `peak` at its last step (Goyal et al. 2017, arXiv:1706.02677, §2.2); the decay
    begins behind it. The cosine is Loshchilov & Hutter 2016 (arXiv:1608.03983, eq. 5) without restarts.

    Returns:
        float32, shape (steps_per_epoch * epochs,).
    """
    steps = steps_per_epoch * epochs
    warmup = min(round(config.warmup_epochs * steps_per_epoch), steps)
    rising = np.arange(1, warmup + 1) / max(warmup, 1)
    done = np.arange(steps - warmup)  # steps since the warm-up
    match config:
        case ConstantConfig():
            factor = np.ones(len(done))
        case CosineConfig():
            cosine = (1 + np.cos(np.pi * done / max(len(done), 1))) / 2
            factor = config.final_fraction + (1 - config.final_fraction) * cosine
        case ExponentialConfig():
            factor = config.decay_rate ** (done / steps_per_epoch)
    return (peak * np.concatenate([rising, factor])).astype(np.float32)
