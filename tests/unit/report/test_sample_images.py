"""The selection of the test images on a page: the most confident of every cell, a limited number in total."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mnist_exp.report import sample_images

SHARPNESS = st.floats(0, 8)


def predictions(n: int, classes: int, sharpness: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels of a model that is more often right and confident with a higher sharpness."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, n)
    logits = generator.normal(0, 1, (n, classes))
    logits[np.arange(n), labels] += sharpness
    exponentials = np.exp(logits)
    return (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32), labels


@given(st.integers(1, 3000), st.integers(2, 12), SHARPNESS, st.integers(0, 2**32))
def test_the_most_confident_of_every_cell_are_selected(n: int, classes: int, sharpness: float, seed: int) -> None:
    probabilities, labels = predictions(n, classes, sharpness, seed)
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    found = sample_images.select(probabilities, labels, [])
    cells = list(zip(labels[found].tolist(), predicted[found].tolist(), strict=True))
    assert cells == sorted(cells)
    assert len(set(found.tolist())) == len(found) <= sample_images.MAX_IMAGES
    full = []
    for label in range(classes):
        for guess in range(classes):
            inside = np.flatnonzero((labels == label) & (predicted == guess))
            shown = found[(labels[found] == label) & (predicted[found] == guess)]
            surest = inside[np.argsort(-confidence[inside], kind="stable")]
            assert shown.tolist() == surest[: len(shown)].tolist()
            most = min(len(inside), sample_images.MAX_RIGHT if label == guess else sample_images.MAX_WRONG)
            assert len(shown) <= most
            full.append((len(shown), most))
    if len(found) < sample_images.MAX_IMAGES:
        assert all(shown == most for shown, most in full)
    least = min((shown for shown, most in full if shown < most), default=None)
    assert least is None or max(shown for shown, _ in full) <= least + 1  # no third image before every cell has a second


@given(arrays(np.int64, st.integers(0, 50), elements=st.integers(0, 1999)), SHARPNESS)
def test_required_images_are_selected(wanted: np.ndarray, sharpness: float) -> None:
    probabilities, labels = predictions(2000, 10, sharpness, 0)
    found = sample_images.select(probabilities, labels, wanted.tolist())
    assert set(found.tolist()) == set(sample_images.select(probabilities, labels, []).tolist()) | set(wanted.tolist())
