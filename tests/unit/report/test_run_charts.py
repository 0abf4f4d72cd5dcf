"""The charts of a run: every number at its place, for any number of epochs, in colours for light and dark pages."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mnist_exp.report import run_charts
from mnist_exp.report.chart_numbers import thin_out
from mnist_exp.report.run_charts import Axis
from mnist_exp.runs import evaluation
from mnist_exp.runs.history import Epoch

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
    paths = [path for path in elements(svg, "path") if path.get("stroke") == color]
    return [np.array(re.findall(r"[ML]([^,]+),([^LM]+)", path.get("d", "")), float) for path in paths]


def filled(svg: str, color: str, tag: str, *attributes: str) -> np.ndarray:
    """The attributes of the marks of that colour, (n, attributes)."""
    groups = [group for group in elements(svg, "g") if group.get("fill") == color]
    return np.array(
        [[float(mark.get(name, "")) for name in attributes] for group in groups for mark in group.iter(SVG + tag)]
    )


def panels(svg: str) -> list[ET.Element]:
    return [group for group in ET.fromstring(svg).findall(f"{SVG}g") if group.find(f"{SVG}g/{SVG}line") is not None]


def tick_labels(panel: ET.Element) -> tuple[list[str], list[str]]:
    """At the axis that goes across, and at the one that goes up."""
    words = panel.findall(f"{SVG}text")
    up = [text.text or "" for text in words if text.get("text-anchor") == "end"]
    return [text.text or "" for text in words if text.get("text-anchor") == "middle"][:-2], up


def test_every_epoch_and_step_is_at_its_place() -> None:
    rates = np.linspace(0.1, 0, 20, dtype=np.float32)
    loss, error, rate = lines(run_charts.learning_curves(epochs(4), rates), run_charts.TRAIN)
    assert loss[:, 0] == pytest.approx([60, 120, 180, 240])
    assert 190 - loss[:, 1] == pytest.approx((190 - loss[0, 1]) / np.arange(1, 5), abs=0.011)
    assert error[:, 0] == pytest.approx(loss[:, 0])
    assert 190 - error[:, 1] == pytest.approx((190 - error[0, 1]) / np.arange(1, 5), abs=0.011)
    assert rate[:, 0] == pytest.approx(np.linspace(0, 240, 21), abs=0.011)
    assert 190 - rate[:, 1] == pytest.approx((190 - rate[0, 1]) * np.append(rates, 0) / 0.1, abs=0.011)
    assert [curve[:, 1].min() for curve in (loss, error, rate)] == [0, 0, 0]  # 0.5, 10 and 0.1 are round numbers


def test_validation_is_drawn_if_there_is_one() -> None:
    with_it, without = (run_charts.learning_curves(epochs(3, validation), CONSTANT) for validation in (True, False))
    assert len(lines(with_it, run_charts.VALIDATION)) == 2
    assert {"training (during the epoch)", "validation (after the epoch)"} <= set(texts(with_it))
    assert run_charts.VALIDATION not in without
    assert "training (during the epoch)" in texts(without)
    assert not any("validation" in text for text in texts(without))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 60])
def test_epochs_are_counted_in_whole_numbers(count: int) -> None:
    svg = run_charts.learning_curves(epochs(count), CONSTANT)
    assert len(panels(svg)) == 3
    for panel in panels(svg):
        ticks = [int(label) for label in tick_labels(panel)[0]]
        assert ticks == list(range(0, count + 1, ticks[1]))
        assert 2 <= len(ticks) <= 5
    assert [text for text in texts(svg) if text in {"loss", "error %", "learning rate"}] == [
        "loss",
        "error %",
        "learning rate",
    ]
    assert texts(svg).count("epoch") == 3


def test_the_quantities_begin_at_0_and_have_round_ticks() -> None:
    loss, error, rate = (tick_labels(panel)[1] for panel in panels(run_charts.learning_curves(epochs(4), CONSTANT)))
    assert loss == ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]
    assert error == ["0", "2", "4", "6", "8", "10"]
    assert rate == ["0", "0.0002", "0.0004", "0.0006", "0.0008", "0.001"]


@given(st.floats(0, allow_infinity=False))
@example(0.0)
@example(1e-7)
@example(2.5e9)
def test_any_axis_has_a_few_ticks_labelled_with_their_value(greatest: float) -> None:
    scale = Axis.fit("loss", greatest)
    parts, labels = zip(*scale.ticks(), strict=True)
    assert 3 <= len(labels) == len(set(labels)) <= 6
    assert max(map(len, labels)) <= 8
    assert [float(label) for label in labels] == pytest.approx([part * scale.end for part in parts])
    assert (parts[0], labels[0].strip("0.")) == (0, "")
    assert max(parts) <= 1 + 1e-9
    if 1e-300 < greatest < 1e300:
        assert greatest * (1 - 1e-6) <= scale.end <= 1.5 * greatest


def test_few_epochs_have_dots_that_differ_in_shape_and_many_have_none() -> None:
    for count, dots in ((1, 1), (50, 50), (51, 0)):
        svg = run_charts.learning_curves(epochs(count), CONSTANT)
        assert len(filled(svg, run_charts.TRAIN, "circle", "r")) == 2 * dots + 1  # in two panels, and in the legend
        assert len(filled(svg, run_charts.VALIDATION, "rect", "width")) == 2 * dots + 1
        assert len(filled(svg, run_charts.TRAIN, "rect", "x")) == len(filled(svg, run_charts.VALIDATION, "circle", "r")) == 0
    svg = run_charts.learning_curves(epochs(5), CONSTANT)
    _, *dots_of_both = filled(svg, run_charts.TRAIN, "circle", "cx", "cy")
    assert np.array(dots_of_both) == pytest.approx(np.concatenate(lines(svg, run_charts.TRAIN)[:2]))


def test_nan_is_left_out() -> None:
    history = epochs(4)
    history[2] = Epoch(3, 1e-3, float("nan"), 5.0, None, None, 1.5, 100.0)
    svg = run_charts.learning_curves(history, CONSTANT)
    assert "nan" not in svg.lower()
    assert [line[:, 0].tolist() for line in lines(svg, run_charts.TRAIN)[:2]] == [[60, 120, 240], [60, 120, 180, 240]]
    assert [line[:, 0].tolist() for line in lines(svg, run_charts.VALIDATION)] == [[60, 120, 240]] * 2


def test_one_epoch_of_one_step_is_visible() -> None:
    svg = run_charts.learning_curves(epochs(1), np.array([1e-3], np.float32))
    assert (filled(svg, run_charts.TRAIN, "circle", "cx")[1:] == 240).all()
    *_, rate = lines(svg, run_charts.TRAIN)
    assert rate[:, 0] == pytest.approx([0, 240])


def test_a_long_training_is_a_small_file_that_keeps_its_peaks() -> None:
    history = epochs(2000)
    history[776] = Epoch(777, 1e-3, 5.0, 90.0, 0.4, 8.0, 1.5, 100.0)
    svg = run_charts.learning_curves(history, np.linspace(0, 1e-3, 400_000, dtype=np.float32))
    assert len(svg) < 30_000
    assert all(
        len(line) <= run_charts.MAX_POINTS for line in lines(svg, run_charts.TRAIN) + lines(svg, run_charts.VALIDATION)
    )
    loss, error, rate = lines(svg, run_charts.TRAIN)
    assert loss[loss[:, 1].argmin(), 0] == pytest.approx(777 / 2000 * 240, abs=0.006)
    assert error[error[:, 1].argmin(), 0] == pytest.approx(777 / 2000 * 240, abs=0.006)
    assert rate[[0, -1], 0] == pytest.approx([0, 240])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=1000))
def test_thinning_keeps_the_ends_and_the_extremes(values: list[float]) -> None:
    array = np.array(values)
    kept = thin_out(array, run_charts.MAX_POINTS)
    assert len(kept) <= run_charts.MAX_POINTS
    assert len(kept) == len(values) or len(values) > run_charts.MAX_POINTS
    assert (kept[0], kept[-1]) == (0, len(values) - 1)
    assert (np.diff(kept) > 0).all()
    assert (array[kept].min(), array[kept].max()) == (array.min(), array.max())


def test_the_time_of_every_epoch_is_at_its_place() -> None:
    history = [Epoch(epoch, 1e-3, 0.5, 5.0, None, None, 2.0 / epoch, 1e4 * epoch) for epoch in range(1, 5)]
    svg = run_charts.timing(history)
    seconds, speed = lines(svg, run_charts.TRAIN)
    for line in (seconds, speed):
        assert line[:, 0] == pytest.approx(220 / 4 * np.arange(1, 5), abs=0.011)
    assert 130 - seconds[:, 1] == pytest.approx(130 / np.arange(1, 5), abs=0.011)
    assert 130 - speed[:, 1] == pytest.approx(130 * np.arange(1, 5) / 4, abs=0.011)
    assert {"seconds", "images/s"} <= set(texts(svg))


def test_a_bin_is_at_its_confidence_and_accuracy_and_its_radius_grows_with_its_images() -> None:
    probabilities = np.array([[0.9, 0.1]] * 8 + [[0.4, 0.6]] * 2, np.float32)
    labels = np.array([0] * 6 + [1] * 2 + [1, 0])
    svg = run_charts.reliability(evaluation.calibration(probabilities, labels))
    circles = filled(svg, run_charts.TRAIN, "circle", "cx", "cy", "r")
    assert circles[:, :2] == pytest.approx(240 * np.array([[0.6, 1 - 0.5], [0.9, 1 - 0.75]]), abs=0.006)
    assert circles[:, 2] == pytest.approx(2 + 2.5 * np.log10([2, 8]), abs=0.006)
    (plane,) = panels(svg)
    assert tick_labels(plane) == (["0", "0.2", "0.4", "0.6", "0.8", "1"],) * 2
    (diagonal,) = (path for path in elements(svg, "path") if path.get("stroke-dasharray"))
    assert diagonal.get("d") == "M0,240L240,0"


def test_colours_are_those_of_the_page_or_of_the_data() -> None:
    for svg in (
        run_charts.learning_curves(epochs(3), CONSTANT),
        run_charts.timing(epochs(3)),
        run_charts.reliability(evaluation.calibration(np.eye(3, dtype=np.float32), np.arange(3))),
    ):
        elements_ = list(ET.fromstring(svg).iter())
        used = {element.get(which) for element in elements_ for which in ("fill", "stroke")} - {None}
        assert used <= {"none", "currentColor", run_charts.TRAIN, run_charts.VALIDATION}
        assert {element.get("fill") for element in elements_ if element.tag == f"{SVG}text"} == {"currentColor"}
        assert {element.tag.removeprefix(SVG) for element in elements_} <= {
            "svg",
            "g",
            "path",
            "line",
            "text",
            "circle",
            "rect",
        }
        _, _, *size = map(float, (ET.fromstring(svg).get("viewBox") or "").split())
        assert size == [float(ET.fromstring(svg).get(name) or "") for name in ("width", "height")]


def test_the_charts_of_a_run_do_not_import_vl_convert() -> None:
    code = """
import sys
import numpy as np
from mnist_exp.report import run_charts, run_page
from mnist_exp.runs.history import Epoch
run_charts.learning_curves([Epoch(1, 1e-3, 0.5, 10, None, None, 1.5, 100.0)], np.ones(1, np.float32))
run_charts.reliability({"bins": [{"n": 1, "confidence": 0.5, "accuracy": 1.0}]})
print("vl_convert" in sys.modules)
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"
