"""Graphics made of characters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_exp.datasets.dataset import Dataset
from mnist_exp.terminal.characters import BRAILLE, draw_curve, draw_images, images_per_row


def test_a_character_shows_two_pixels(digits: Dataset) -> None:
    text = draw_images(digits.train_images[:3], ["5", "0", "4"], width=60)
    lines = text.plain.splitlines()
    assert lines[0].split() == ["5", "0"]
    assert len(lines) == 2 * (1 + 14)
    assert lines[1].count("▀") == 2 * 28
    colors = {span.style.color.triplet for span in text.spans}  # type: ignore[union-attr]
    assert (255, 255, 255) in colors
    assert len(colors) > 50


def test_images_keep_their_colours_and_long_titles_are_cut_off() -> None:
    red = np.zeros((1, 2, 4, 3), np.uint8)
    red[..., 0] = 200
    text = draw_images(red, ["\x1b[31m7: 2 | 1"], width=80)
    assert text.plain == "�[31 \n▀▀▀▀ \n"
    assert {span.style.color.triplet for span in text.spans} == {(200, 0, 0)}  # type: ignore[union-attr]


def test_large_images_are_reduced_and_an_odd_row_is_drawn() -> None:
    images = np.zeros((2, 65, 100, 3), np.uint8)  # 4 pixels become one: 17 rows of 25
    images[:, 64:] = 80
    text = draw_images(images, ["a", "b"], width=60)
    lines = text.plain.splitlines()
    assert len(lines) == 1 + 9
    assert [line.count("▀") for line in lines[1:]] == [2 * 25] * 9
    last = [span.style for span in text.spans][-1]
    assert (last.color.triplet, last.bgcolor) == ((80, 80, 80), None)  # type: ignore[union-attr]
    assert [images_per_row(width, 60) for width in (28, 32, 33, 100, 256, 8)] == [2, 1, 3, 2, 1, 6]


def dots(rows: list[str]) -> np.ndarray:
    """The drawn dots, bool (4 * height, 2 * width)."""
    codes = np.array([[ord(character) - BRAILLE if character != " " else 0 for character in row] for row in rows])
    bits = [[0, 3], [1, 4], [2, 5], [6, 7]]
    return np.block(
        [[np.array([[bool(code >> bit & 1) for bit in pair] for pair in bits]) for code in row] for row in codes]
    )


def test_a_falling_curve_falls_over_the_whole_width() -> None:
    rows = draw_curve(np.array([4.0, 3.0, 2.0, 1.0]), 4, (1.0, 4.0), 8, 4)
    assert [len(row) for row in rows] == [8] * 4
    assert np.array_equal(dots(rows), np.eye(16, dtype=bool))


def test_curves_of_one_length_have_their_values_at_the_same_places() -> None:
    whole, half = (dots(draw_curve(np.linspace(4, 1, n), 10, (1.0, 4.0), 9, 3)) for n in (10, 5))
    assert whole[:, -1].any()
    assert not half[:, 9:].any()
    assert np.flatnonzero(half.any(axis=0)).tolist() == list(range(8))


@pytest.mark.parametrize("values", [[1.0], [1.0, 1.0]])
def test_a_constant_curve_is_in_the_middle(values: list[float]) -> None:
    assert np.flatnonzero(dots(draw_curve(np.array(values), 2, (1.0, 1.0), 4, 3)).any(axis=1)).tolist() == [6]


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=80),
    st.integers(0, 40), st.integers(1, 30), st.integers(1, 6),
)  # fmt: skip
def test_a_curve_is_one_line_without_gaps(values: list[float], more: int, width: int, height: int) -> None:
    drawn = dots(draw_curve(np.array(values), len(values) + more, (min(values), max(values)), width, height))
    used = np.flatnonzero(drawn.any(axis=0))
    assert used.tolist() == list(range(used[-1] + 1))
    before = np.flatnonzero(drawn[:, 0])
    for column in used:
        levels = np.flatnonzero(drawn[:, column])
        assert levels.tolist() == list(range(levels[0], levels[-1] + 1))
        assert np.abs(levels[:, np.newaxis] - before).min() <= 1
        before = levels
