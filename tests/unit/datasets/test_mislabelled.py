"""The digits whose labels raters rejected, and the errors of a model on them."""

import numpy as np
import pytest

from mnist_exp.datasets.dataset import Dataset, Mislabelled
from mnist_exp.runs import evaluation

# test image: its label, the alternative that the raters saw, votes for either and for neither, as published
PUBLISHED = {
    947: (8, 9, (0, 5, 0)), 1621: (0, 6, (2, 3, 0)), 1901: (9, 4, (2, 3, 0)), 2130: (4, 9, (2, 2, 1)),
    2462: (2, 0, (0, 4, 1)), 2597: (5, 3, (0, 4, 1)), 2654: (6, 1, (0, 2, 3)), 3520: (6, 4, (2, 0, 3)),
    3558: (5, 0, (1, 4, 0)), 5937: (5, 3, (1, 3, 1)), 6651: (0, 6, (0, 5, 0)), 6783: (1, 6, (2, 3, 0)),
    8527: (4, 9, (2, 2, 1)), 9679: (6, 3, (2, 0, 3)), 9729: (5, 6, (2, 3, 0)),
}  # fmt: skip


def test_the_rejected_labels_are_those_of_the_digits(digits: Dataset) -> None:
    assert digits.mislabelled is not None
    assert list(digits.mislabelled.votes) == sorted(PUBLISHED)
    for index, (label, other, votes) in PUBLISHED.items():
        assert digits.test_labels[index] == label
        answers = {label: votes[0], other: votes[1], None: votes[2]}
        found = digits.mislabelled.votes[index]
        assert dict(found) == {answer: count for answer, count in answers.items() if count}
        assert list(found.values()) == sorted(found.values(), reverse=True)
        assert found.get(label, 0) < 3 <= sum(found.values()) == 5


@pytest.fixture
def mislabelled() -> Mislabelled:
    return Mislabelled(source="somebody 2021", votes={1: {2: 3, None: 2}, 2: {0: 5}})


def test_mistakes_on_mislabelled_images_are_counted_and_marked(mislabelled: Mislabelled) -> None:
    labels = np.array([0, 1, 2, 0])
    probabilities = np.eye(3, dtype=np.float32)[[1, 2, 2, 0]]  # wrong on images 0 and 1
    report = evaluation.error_report(probabilities, labels, ("a", "b", "c"), mislabelled)
    assert report["mislabelled"] == {"n": 2, "errors": 1, "source": "somebody 2021"}
    marks = {mistake["index"]: mistake["mislabelled"] for mistake in report["worst_mistakes"]}
    assert marks == {0: None, 1: [{"label": 2, "votes": 3}, {"label": None, "votes": 2}]}


def test_without_a_study_nothing_is_marked() -> None:
    report = evaluation.error_report(np.eye(2, dtype=np.float32), np.array([1, 0]), ("a", "b"), None)
    assert report["mislabelled"] is None
    assert [mistake["mislabelled"] for mistake in report["worst_mistakes"]] == [None, None]
