"""The learning rate of every step, as an array."""

import numpy as np

from mnist_exp.config.schema import AnySchedule, ConstantConfig, CosineConfig, ExponentialConfig, OneCycleConfig


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Return the number of batches of an epoch; the last one contains the remaining images."""
    return -(-images // batch_size)


def learning_rates(config: AnySchedule, peak: float, steps_per_epoch: int, epochs: int) -> np.ndarray:
    """Return the learning rate of each step of a training.

    The warm-up rises linearly to `peak` at its last step (Goyal et al. 2017, arXiv:1706.02677, §2.2); the decay starts after
    it. The cosine is Loshchilov & Hutter 2016 (arXiv:1608.03983, eq. 5) without restarts. One cycle (Smith & Topin 2017,
    arXiv:1708.07120) rises and falls along half cosines, as PyTorch's OneCycleLR does.

    Returns:
        float32, shape (steps_per_epoch * epochs,).
    """
    steps = steps_per_epoch * epochs
    warmup = min(round(config.warmup_epochs * steps_per_epoch), steps)
    rising = np.arange(1, warmup + 1) / max(warmup, 1)
    done = np.arange(steps - warmup)  # steps since the warm-up
    match config:
        case ConstantConfig():
            falling = np.ones(len(done))
        case CosineConfig():
            falling = _half_cosine(1.0, config.final_fraction, done / max(len(done), 1))
        case ExponentialConfig():
            falling = config.decay_rate ** (done / steps_per_epoch)
        case OneCycleConfig():
            rising = _half_cosine(config.start_fraction, 1.0, np.arange(warmup) / max(warmup - 1, 1))
            falling = _half_cosine(1.0, config.final_fraction, (done + 1) / max(len(done), 1))
    return (peak * np.concatenate([rising, falling])).astype(np.float32)


def _half_cosine(start: float, end: float, share: np.ndarray) -> np.ndarray:
    """Return values from `start` at share 0 to `end` at share 1, flat at both ends."""
    return end + (start - end) * (1 + np.cos(np.pi * share)) / 2
