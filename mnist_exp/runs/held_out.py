"""Which training images of a data set a run trains on, and which it holds out as validation images."""

from mnist_exp.config.checks import validation_images
from mnist_exp.config.dataset import AnyDataset
from mnist_exp.datasets.dataset import Dataset, Split, split


def split_images(data: Dataset, settings: AnyDataset) -> Split:
    """Split the training images as the settings say.

    Raises:
        InputError: the groups of the images cannot be divided.
    """
    groups = data.train_groups if settings.split == "groups" else None
    return split(data.train_labels, settings.limit, validation_images(settings), settings.split_seed, groups)
