"""Data sets of any shape and number of classes, whose classes can be learned: each has a pattern of its own, with noise."""

import numpy as np

from mnist_exp.datasets.dataset import Dataset
from mnist_exp.machine.files import array_sha256

COLOR = (32, 24, 3)  # not square
HOSTILE = "</script><b>\N{RIGHT-TO-LEFT OVERRIDE}&\n| long " + "name " * 30


def dataset(
    shape: tuple[int, int, int], classes: int, train: int = 300, test: int = 120, names: tuple[str, ...] = ()
) -> Dataset:
    """Return a data set; labels are in turn, so that each class has as many images as the others, or one more."""
    generator = np.random.default_rng(classes)
    patterns = generator.integers(0, 256, (classes, *shape))

    def part(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count) % classes
        noise = generator.integers(-40, 41, (count, *shape))
        images = np.clip(patterns[labels] + noise, 0, 255).astype(np.uint8)
        return images, labels.astype(np.uint8 if classes <= 256 else np.uint16)

    (train_images, train_labels), (test_images, test_labels) = part(train), part(test)
    return Dataset(
        name="synthetic",
        sha256=array_sha256(train_images, train_labels, test_images, test_labels),
        file_sha256={},
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        class_names=names or tuple(f"class {number}" for number in range(classes)),
        mislabelled=None,
    )
