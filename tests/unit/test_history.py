"""Choosing among epochs by their validation error."""

import pytest

from mnist_exp.training.history import Epoch, best_epoch, out_of_patience


def history(*errors: float | None) -> list[Epoch]:
    return [Epoch(number, 0.1, 0.1, 1.0, error, error, 1.0, 1.0) for number, error in enumerate(errors, start=1)]


@pytest.mark.parametrize(
    ("errors", "expected"), [([3.0, 2.0, 2.5], 2), ([2.0, 2.0], 1), ([1.0], 1), ([None, None], None), ([], None)]
)
def test_the_best_epoch_is_the_first_of_the_lowest(errors: list[float | None], expected: int | None) -> None:
    assert best_epoch(history(*errors)) == expected


@pytest.mark.parametrize(
    ("errors", "patience", "expected"),
    [
        ([3.0, 2.0, 2.5], 1, True),
        ([3.0, 2.0, 2.5], 2, False),
        ([3.0, 2.0, 2.5, 2.0], 2, True),
        ([3.0, 2.0, 2.5, 1.9], 2, False),
        ([3.0, 2.0, 2.5], None, False),
        ([None, None], 1, False),
    ],
)
def test_patience_ends_without_a_lower_error(errors: list[float | None], patience: int | None, expected: bool) -> None:
    assert out_of_patience(history(*errors), patience) == expected
