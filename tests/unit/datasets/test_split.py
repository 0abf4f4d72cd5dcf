"""Subsets and splits are stratified, disjoint and reproducible."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_exp.config.checks import validation_images
from mnist_exp.datasets.dataset import split
from tests.conftest import compose

Case = tuple[np.ndarray, int | None, int, int | None]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    labels = np.array(draw(st.lists(st.integers(0, 4), min_size=1, max_size=200)), np.uint8)
    limit = draw(st.none() | st.integers(1, len(labels)))
    return labels, limit, draw(st.integers(0, limit or len(labels))), draw(st.none() | st.integers(0, 2**32 - 1))


@given(cases())
def test_a_split_is_disjoint_complete_stratified_and_repeatable(
    case: tuple[np.ndarray, int | None, int, int | None],
) -> None:
    labels, limit, validation, seed = case
    parts = split(labels, limit, validation, seed)
    total = limit or len(labels)
    assert len(parts.validation) == validation
    assert len(parts.train) == total - validation
    used = np.concatenate([parts.train, parts.validation])
    assert len(np.unique(used)) == total
    for one in np.unique(labels):
        share = total * np.mean(labels == one)
        assert abs(np.count_nonzero(labels[used] == one) - share) < 1
    again = split(labels, limit, validation, seed)
    assert np.array_equal(parts.train, again.train)
    assert np.array_equal(parts.validation, again.validation)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_another_seed_gives_another_split(seed: int) -> None:
    labels = np.repeat(np.arange(10, dtype=np.uint8), 100)
    assert not np.array_equal(split(labels, None, 100, seed).validation, split(labels, None, 100, seed + 1).validation)


@given(st.lists(st.integers(0, 4), min_size=20, max_size=200), st.integers(0, 20), st.booleans())
def test_without_a_seed_the_last_images_of_each_class_are_held_out(given: list[int], validation: int, limited: bool) -> None:
    labels = np.array(given, np.uint8)
    parts = split(labels, 20 if limited else None, validation, None)
    for one in np.unique(labels):
        places = np.flatnonzero(labels == one)
        train, held_out = (part[labels[part] == one] for part in (parts.train, parts.validation))
        assert np.array_equal(np.concatenate([train, held_out]), places[: len(train) + len(held_out)])


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], 5000),
        (["dataset.limit=6000"], 500),
        (["dataset.limit=600"], 50),
        (["dataset.limit=100", "training.batch_size=50"], 10),  # one of each class; the share is 8
        (["dataset.limit=1000", "dataset.validation=100"], 100),
        (["dataset.limit=1000", "dataset.validation=100", "dataset.validation_of=used"], 100),
        (["dataset.limit=2000", "dataset.validation=3000", "dataset.validation_of=all"], 100),  # as in earlier versions
        (["dataset.limit=1000", "dataset.validation=0"], 0),
        (["dataset.validation=100"], 100),
        (["dataset.validation=0"], 0),
    ],
)
def test_the_number_of_validation_images(overrides: list[str], expected: int) -> None:
    assert validation_images(compose(*overrides).dataset) == expected
