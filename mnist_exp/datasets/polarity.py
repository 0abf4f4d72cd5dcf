"""Whether grey images are light on dark or dark on light, by the brightness of their borders."""

import numpy as np

DARK, LIGHT = 64, 191  # grey values: below and above, a border is dark or light
MOST = 0.95  # of the images of a set


def border_brightness(images: np.ndarray) -> np.ndarray:
    """Return the mean grey value of the outermost pixels of each image, uint8 (n, height, width, 1), as float64 (n,)."""
    edges = images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]
    return np.asarray(np.concatenate([edge.reshape(len(images), -1) for edge in edges], axis=1).mean(axis=1))


def ground(images: np.ndarray) -> str | None:
    """Return "dark" or "light" if nearly all images have such borders; None for others and for images in colour.

    Borders of photographs have all values, so these have no ground.
    """
    if images.shape[-1] != 1:
        return None
    brightness = border_brightness(images)
    if np.mean(brightness < DARK) >= MOST:
        return "dark"
    return "light" if np.mean(brightness > LIGHT) >= MOST else None


def warning(images: np.ndarray, training: np.ndarray) -> str | None:
    """Return a warning if images and the training images of a network have opposite grounds.

    Args:
        images: uint8 (n, height, width, channels).
        training: the same, of any number and size.
    """
    grounds = ground(images), ground(training)
    if None in grounds or grounds[0] == grounds[1]:
        return None
    here, there = (f"{border_brightness(one).mean():.0f}" for one in (images, training))
    text = f"these images have {grounds[0]} borders (mean grey value {here} of 255), those that the network was trained on"
    return f"{text} {grounds[1]} ones ({there}): if they are inverted, it gets most of them wrong"
