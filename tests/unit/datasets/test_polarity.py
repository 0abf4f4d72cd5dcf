"""Whether images are inverted with respect to those that a network was trained on."""

import numpy as np

from mnist_exp import datasets
from mnist_exp.datasets import polarity


def test_inverted_digits_are_reported_with_figures() -> None:
    digits = datasets.load("mnist").train_images[:500]
    assert polarity.ground(digits) == "dark"
    text = polarity.warning(255 - digits[:20], digits)
    assert text is not None
    assert "these images have light borders (mean grey value 255 of 255)" in text
    assert "dark ones (0)" in text
    assert polarity.warning(digits, 255 - digits) is not None
    assert polarity.warning(digits[:20], digits) is None


def test_photographs_and_colour_images_have_no_ground() -> None:
    images = np.random.default_rng(0).integers(0, 256, (200, 1, 1, 1)).repeat(8, 1).repeat(8, 2).astype(np.uint8)
    assert polarity.ground(images) is None  # uniform pictures of all brightnesses
    assert polarity.ground(np.zeros((5, 8, 8, 3), np.uint8)) is None
    mixed = np.concatenate([np.zeros((9, 8, 8, 1), np.uint8), np.full((1, 8, 8, 1), 255, np.uint8)])
    assert polarity.warning(mixed, 255 - np.zeros_like(mixed)) is None
