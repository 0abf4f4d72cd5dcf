"""Groups of images, such as those of one writer: they are never divided between training and validation images."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_exp import datasets
from mnist_exp.datasets.dataset import split
from mnist_exp.errors import ConfigError, InputError
from tests.conftest import compose
from tests.unit.datasets.test_finding import with_contents
from tests.unit.datasets.tiny import ARRAYS, CONTENTS, described, encode, source, write_files


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 40), st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_no_group_is_on_both_sides(count: int, validation: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    groups = generator.integers(0, count, 400).astype(np.int32)
    labels = np.zeros(400, np.uint8)
    if len(np.unique(groups)) == 1:
        return
    found = split(labels, None, validation, seed, groups)
    assert not set(groups[found.train]) & set(groups[found.validation])
    assert sorted([*found.train, *found.validation]) == list(range(400))
    assert found.sha256 == split(labels, None, validation, seed, groups).sha256
    # One group more or less would not come nearer, except that each side has one.
    sizes = np.bincount(groups)
    far = abs(len(found.validation) - validation)
    assert far <= sizes.max() or len(set(groups[found.validation])) in {1, len(np.unique(groups)) - 1}


def test_a_subset_and_no_validation_images() -> None:
    groups, labels = np.repeat(np.arange(40, dtype=np.int32), 10), np.tile(np.arange(4, dtype=np.uint8), 100)
    found = split(labels, 200, 40, 1, groups)
    assert len(found.train) + len(found.validation) == 200
    assert not set(groups[found.train]) & set(groups[found.validation])
    assert len(split(labels, None, 0, 1, groups).validation) == 0


def test_groups_that_cannot_be_divided_are_reported() -> None:
    labels = np.repeat(np.arange(3, dtype=np.uint8), 10)
    with pytest.raises(InputError, match="all of one group") as raised:
        split(labels, None, 5, 0, np.zeros(30, np.int32))
    assert "dataset.groups=null for test images" in raised.value.remedy
    with pytest.raises(InputError, match="no training image of class"):
        split(labels, None, 10, 0, labels.astype(np.int32))  # a class is a group


def test_the_group_is_a_column_of_the_labels(tmp_path: Path) -> None:
    train, test = (np.stack([labels, labels * 0, np.arange(len(labels)) // 4], 1) for labels in (ARRAYS[1], ARRAYS[3]))
    contents = (CONTENTS[0], encode(train.astype(np.int32)), CONTENTS[2], encode(test.astype(np.int32)))
    grouped = with_contents(described(label_column=0, group_column=2), contents)
    names = ("train-images", "train-labels", "test-images", "test-labels")
    write_files(tmp_path, dict(zip(names, contents, strict=True)))
    data = datasets.load(source(grouped, tmp_path))
    assert data.train_groups is not None
    assert data.test_groups is not None
    assert data.train_groups.dtype == np.int32
    assert data.train_groups.tolist() == (np.arange(36) // 4).tolist()
    assert data.test_groups.tolist() == [0, 0, 0, 0, 1, 1]
    assert datasets.facts(source(grouped)).has_groups
    without = with_contents(described(label_column=0), contents)
    assert datasets.load(source(without, tmp_path)).test_groups is None
    assert datasets.facts(source(grouped)).fingerprint != datasets.facts(source(without)).fingerprint


def test_the_split_is_a_setting() -> None:
    last = compose("dataset.split=last").dataset
    assert (last.split, last.split_seed) == ("last", None)
    assert compose("dataset.split_seed=null").dataset == last  # as in earlier versions
    assert compose("dataset=qmnist", "dataset.split=groups").dataset.split == "groups"
    with pytest.raises(ConfigError, match="mnist does not say which images belong together"):
        compose("dataset.split=groups")
    with pytest.raises(ConfigError, match="the groups are drawn"):
        compose("dataset=qmnist", "dataset.split=groups", "dataset.split_seed=null")
