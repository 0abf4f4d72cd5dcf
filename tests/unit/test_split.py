"""Subsets and splits: stratified, disjoint, the same every time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_exp.config.checks import validation_images
from mnist_exp.datasets.dataset import split
from tests.conftest import compose


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, int | None, int, int]:
    labels = np.array(draw(st.lists(st.integers(0, 4), min_size=1, max_size=200)), np.uint8)
    limit = draw(st.none() | st.integers(1, len(labels)))
    return labels, limit, draw(st.integers(0, limit or len(labels))), draw(st.integers(0, 2**32 - 1))


@given(cases())
def test_a_split_is_disjoint_complete_stratified_and_repeatable(case: tuple[np.ndarray, int | None, int, int]) -> None:
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
def test_other_seeds_split_otherwise(seed: int) -> None:
    labels = np.repeat(np.arange(10, dtype=np.uint8), 100)
    assert not np.array_equal(split(labels, None, 100, seed).validation, split(labels, None, 100, seed + 1).validation)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [([], 5000), (["dataset.limit=6000"], 500), (["dataset.limit=600"], 50), (["dataset.validation=0"], 0)],
)
def test_a_limited_set_holds_out_the_same_share(overrides: list[str], expected: int) -> None:
    assert validation_images(compose(*overrides).dataset) == expected
