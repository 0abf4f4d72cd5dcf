"""Test images whose label is known to be wrong, from published studies."""

from collections.abc import Mapping

from mnist_exp.datasets.dataset import Mislabelled

# Five raters on Amazon's Mechanical Turk saw each image whose label a model doubted, and chose the label, the model's
# prediction, or neither. These are the images whose label fewer than three raters confirmed, the 15 of the paper; the votes
# are from mturk/mnist_mturk.json in the authors' repository, cleanlab/label-errors.
MNIST = Mislabelled(
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
# SHA-256 of the file of test images → the study of its labels
STUDIES: Mapping[str, Mislabelled] = {"0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7": MNIST}
