"""The digits, as included in the package; for origin and licence see mnist/NOTICE.md."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from mnist_exp.datasets import idx
from mnist_exp.datasets.dataset import Dataset, Mislabelled

FOLDER = Path(__file__).parent / "mnist"
# name of the uncompressed file → its shape and SHA-256, as published
FILES = {
    "train-images-idx3-ubyte": ((60_000, 28, 28), "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "train-labels-idx1-ubyte": ((60_000,), "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "t10k-images-idx3-ubyte": ((10_000, 28, 28), "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "t10k-labels-idx1-ubyte": ((10_000,), "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}
# Five raters on Amazon's Mechanical Turk saw each image whose label a model doubted, and chose the label, the model's
# prediction, or neither. These are the images whose label fewer than three raters confirmed, the 15 of the paper; the votes
# are from mturk/mnist_mturk.json in the authors' repository, cleanlab/label-errors.
MISLABELLED = Mislabelled(
    source="Northcutt, Athalye and Mueller 2021, “Pervasive Label Errors in Test Sets Destabilize Machine Learning "
    "Benchmarks”, arXiv:2103.14749",
    votes={
        947: {9: 5},
        1621: {6: 3, 0: 2},
        1901: {4: 3, 9: 2},
        2130: {4: 2, 9: 2, None: 1},
        2462: {0: 4, None: 1},
        2597: {3: 4, None: 1},
        2654: {None: 3, 1: 2},
        3520: {None: 3, 6: 2},
        3558: {0: 4, 5: 1},
        5937: {3: 3, 5: 1, None: 1},
        6651: {6: 5},
        6783: {6: 3, 1: 2},
        8527: {4: 2, 9: 2, None: 1},
        9679: {None: 3, 6: 2},
        9729: {6: 3, 5: 2},
    },
)


def load(folder: Path = FOLDER) -> Dataset:
    """Read and verify the four files.

    Raises:
        IntegrityError: a file is missing or damaged.
    """

    def read(name: str) -> np.ndarray:
        shape, sha256 = FILES[name]
        return idx.read(folder / f"{name}.gz", sha256, shape)

    with ThreadPoolExecutor() as threads:  # zlib and hashlib release the interpreter's lock
        train_images, train_labels, test_images, test_labels = threads.map(read, FILES)
    return Dataset(
        name="mnist",
        sha256=hashlib.sha256("".join(sha256 for _, sha256 in FILES.values()).encode()).hexdigest(),
        file_sha256={name: sha256 for name, (_, sha256) in FILES.items()},
        train_images=train_images[..., np.newaxis],
        train_labels=train_labels,
        test_images=test_images[..., np.newaxis],
        test_labels=test_labels,
        class_names=tuple("0123456789"),
        mislabelled=MISLABELLED,
    )
