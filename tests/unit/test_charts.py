"""The charts as SVG: every number where it belongs, at any length of training, in colours for the light and the dark."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_exp import evaluation
from mnist_exp.report import charts
from mnist_exp.training.history import Epoch

SVG = "{http://www.w3.org/2000/svg}"
CONSTANT = np.full(20, 1e-3, np.float32)


def epochs(count: int, validation: bool = True) -> list[Epoch]:
    """A history in which the losses and errors fall as 1 / epoch."""
    held_out = (0.4, 8.0) if validation else (None, None)
    return [Epoch(epoch, 1e-3, 0.5 / epoch, 10 / epoch, *held_out, 1.5, 100.0) for epoch in range(1, count + 1)]


def elements(svg: str, tag: str) -> list[ET.Element]:
    return list(ET.fromstring(svg).iter(f"{SVG}{tag}"))


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in elements(svg, "text")]


def lines(svg: str, color: str) -> list[np.ndarray]:
    """The points of every line of that colour, (n, 2), in pixels from the left and the top of its panel."""
    groups = [group for group in elements(svg, "g") if "mark-line role-mark" in group.get("class", "")]
    paths = [path for group in groups for path in group.iter(f"{SVG}path") if path.get("stroke") == color]
    return [np.array(re.findall(r"[ML]([\d.e-]+),([\d.e-]+)", path.get("d", "")), float) for path in paths]


def test_every_epoch_and_step_is_where_it_belongs() -> None:
    rates = np.linspace(0.1, 0, 20, dtype=np.float32)
    loss, error, rate = lines(charts.learning_curves(epochs(4), rates), charts.TRAIN)
    assert loss[:, 0] == pytest.approx([60, 120, 180, 240])
    assert 190 - loss[:, 1] == pytest.approx((190 - loss[0, 1]) / np.arange(1, 5), abs=1e-3)
    assert error[:, 0] == pytest.approx(loss[:, 0])
    assert 190 - error[:, 1] == pytest.approx((190 - error[0, 1]) / np.arange(1, 5), abs=1e-3)
    assert rate[:, 0] == pytest.approx(np.linspace(0, 240, 21), abs=1e-3)
    assert 190 - rate[:, 1] == pytest.approx((190 - rate[0, 1]) * np.append(rates, 0) / 0.1, abs=1e-3)


def test_validation_is_drawn_if_there_is_one() -> None:
    with_it, without = (charts.learning_curves(epochs(3, validation), CONSTANT) for validation in (True, False))
    assert len(lines(with_it, charts.VALIDATION)) == 2
    assert {"training (during the epoch)", "validation (after it)"} <= set(texts(with_it))
    assert charts.VALIDATION not in without
    assert "training (during the epoch)" in texts(without)
    assert not any("validation" in text for text in texts(without))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 60])
def test_epochs_are_counted_in_whole_numbers(count: int) -> None:
    svg = charts.learning_curves(epochs(count), CONSTANT)
    root = ET.fromstring(svg)
    (first, *_) = (group for group in root.iter(f"{SVG}g") if "concat_0_group" in group.get("class", ""))
    groups = [group for group in first.iter(f"{SVG}g") if "role-axis-label" in group.get("class", "")]
    ticks = [int(element.text or "") for element in groups[0].iter(f"{SVG}text")]
    assert ticks == sorted(set(ticks))
    assert ticks[0] == 0
    assert 2 <= len(ticks) <= 5
    assert texts(svg).count("epoch") == 3


def test_one_epoch_of_one_step_can_be_seen() -> None:
    svg = charts.learning_curves(epochs(1), np.array([1e-3], np.float32))
    dots = [path for path in elements(svg, "path") if path.get("fill") == charts.TRAIN and path.get("transform")]
    assert sum((path.get("transform") or "").startswith("translate(240,") for path in dots) == 2
    *_, rate = lines(svg, charts.TRAIN)
    assert rate[:, 0] == pytest.approx([0, 240])


def test_a_long_training_is_a_small_file_that_keeps_its_peaks() -> None:
    history = epochs(2000)
    history[776] = Epoch(777, 1e-3, 5.0, 90.0, 0.4, 8.0, 1.5, 100.0)
    svg = charts.learning_curves(history, np.linspace(0, 1e-3, 400_000, dtype=np.float32))
    assert len(svg) < 60_000
    loss, error, rate = lines(svg, charts.TRAIN)
    assert loss[loss[:, 1].argmin(), 0] == pytest.approx(777 / 2000 * 240)
    assert error[error[:, 1].argmin(), 0] == pytest.approx(777 / 2000 * 240)
    assert rate[[0, -1], 0] == pytest.approx([0, 240])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=1000))
def test_thinning_keeps_the_ends_and_the_extremes(values: list[float]) -> None:
    array = np.array(values)
    kept = charts.thinned(array)
    assert len(kept) <= charts.MOST_POINTS
    assert len(kept) == len(values) or len(values) > charts.MOST_POINTS
    assert (kept[0], kept[-1]) == (0, len(values) - 1)
    assert (np.diff(kept) > 0).all()
    assert (array[kept].min(), array[kept].max()) == (array.min(), array.max())


def test_a_bin_lies_at_its_confidence_and_accuracy_and_grows_with_its_images() -> None:
    probabilities = np.array([[0.9, 0.1]] * 8 + [[0.4, 0.6]] * 2, np.float32)
    labels = np.array([0] * 6 + [1] * 2 + [1, 0])
    svg = charts.reliability(evaluation.calibration(probabilities, labels))
    circles = [path for path in elements(svg, "path") if path.get("fill") == charts.TRAIN]
    places = np.array([re.findall(r"[\d.]+", path.get("transform") or "") for path in circles], float)
    assert places == pytest.approx(320 * np.array([[0.6, 1 - 0.5], [0.9, 1 - 0.75]]), abs=1e-3)
    radii = np.array([float(re.findall(r"[\d.]+", path.get("d") or "")[0]) for path in circles])
    assert (2 * radii) ** 2 == pytest.approx([40 + 600 * 0.2, 40 + 600 * 0.8], rel=0.01)


def test_colours_are_the_pages_or_stand_out_on_both() -> None:
    for svg in (
        charts.learning_curves(epochs(3), CONSTANT),
        charts.reliability(evaluation.calibration(np.eye(3, dtype=np.float32), np.arange(3))),
    ):
        elements_ = list(ET.fromstring(svg).iter())
        used = {element.get(which) for element in elements_ for which in ("fill", "stroke")} - {None}
        assert used <= {"none", "currentColor", charts.TRAIN, charts.VALIDATION}
        assert {element.get("fill") for element in elements_ if element.tag == f"{SVG}text"} == {"currentColor"}
        assert {element.tag.removeprefix(SVG) for element in elements_} <= {"svg", "g", "path", "line", "text"}
