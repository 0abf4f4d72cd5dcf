"""The charts of many runs: their styles, axes, Pareto front and grids."""

import itertools
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_exp.config.conversions import format_value
from mnist_exp.report import comparison_charts, encodings, heat_maps, parallel_coordinates, setting_values, vega
from mnist_exp.report.comparison_view import Configuration
from mnist_exp.report.encodings import OTHERS
from tests.contrast import contrast

ERROR = "validation error %"
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.lists(st.integers(), max_size=2)


def configuration(
    rank: int, mean: float = 2.0, parameters: int = 100, seconds: float = 1.0, settings: Mapping[str, Any] | None = None
) -> Configuration:
    style = encodings.style_of(rank - 1, f"{rank} · x")
    return Configuration(rank, "x", f"{rank} · x", settings or {"x": 1}, [mean], mean, None, parameters, seconds, style)


def configurations(*points: tuple[Any, ...], means: list[float] | None = None) -> list[Configuration]:
    """Configurations that differ in settings a, b, …."""
    return [
        configuration(rank, means[rank - 1] if means else float(rank), settings=dict(zip("abcdefghij", point, strict=False)))
        for rank, point in enumerate(points, 1)
    ]


def cost_charts(ranked: list[Configuration]) -> list[vega.Chart]:
    return list(comparison_charts.cost_charts(ranked, ERROR))


def test_the_best_have_a_style_each_and_the_others_share_one() -> None:
    ranked = [configuration(rank) for rank in range(1, 11)]
    assert [one.style.label for one in ranked] == [*(one.label for one in ranked[:8]), OTHERS.label, OTHERS.label]
    assert len({(one.style.color, one.style.shape, one.style.symbol) for one in ranked}) == 9
    groups = [row["group"] for row in comparison_charts.configuration_rows(ranked)]
    assert groups[7:] == ["8 · x", OTHERS.label, OTHERS.label]


@pytest.mark.parametrize(
    ("least", "greatest", "values"),
    [(1.2, 9.0, [1.5, 2, 3, 5, 7]), (0.9, 90.0, [1, 2, 5, 10, 20, 50]), (1e-4, 1e-1, [1e-4, 1e-3, 1e-2, 1e-1])],
)
def test_a_logarithmic_axis_has_round_numbers(least: float, greatest: float, values: list[float]) -> None:
    assert encodings.number_axis("x", "x", [greatest, least])["axis"]["values"] == values
    assert "values" not in encodings.number_axis("x", "x", [0.0, greatest])["axis"]


def test_costs_are_drawn_if_they_differ() -> None:
    assert cost_charts([configuration(1), configuration(2, 3.0)]) == []
    (chart,) = cost_charts([configuration(1), configuration(2, 3.0, parameters=1000)])
    assert chart.name == "parameters"
    assert all(layer["encoding"]["x"]["scale"]["type"] == "log" for layer in chart.spec["layer"])


def test_the_pareto_front_is_larger_and_joined() -> None:
    pairs = [(1, 90), (2, 50), (3, 70), (4, 10)]
    (chart,) = cost_charts([configuration(rank, mean, parameters) for rank, (mean, parameters) in enumerate(pairs, 1)])
    assert [row["front_parameters"] for row in chart.rows] == [True, True, False, True]
    assert [row["front_seconds"] for row in chart.rows] == [True, False, False, False]
    line, points = chart.spec["layer"]
    assert line["transform"] == [{"filter": "datum.front_parameters"}]
    assert line["mark"]["interpolate"] == "step-after"
    assert points["encoding"]["size"]["condition"]["test"] == "datum.front_parameters"
    assert chart.description.endswith("on the Pareto front: 1 · x, 2 · x, 4 · x")
    assert vega.static_svg(chart).startswith("<svg")


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5))))
def test_no_other_is_better_than_one_on_the_front(points: list[tuple[float, float]]) -> None:
    def is_dominated(point: tuple[float, float]) -> bool:
        return any(other != point and other[0] <= point[0] and other[1] <= point[1] for other in points)

    assert comparison_charts.pareto_mask(points) == [not is_dominated(point) for point in points]


def test_numbers_have_positions_by_their_size() -> None:
    assert parallel_coordinates.axis(["x"], [64, 128, 256, 64]).positions == pytest.approx([0, 1 / 3, 1, 0], abs=1e-4)
    rates = parallel_coordinates.axis(["x"], [1e-4, 1e-2, 1e-3])
    assert (rates.title, rates.positions) == (["x", "logarithmic"], [0, 1, 0.5])
    assert rates.labels == [(0, "0.0001"), (0.5, "0.001"), (1, "0.01")]
    many = parallel_coordinates.axis(["x"], [number / 99 for number in range(100)])
    assert many.labels == [(0, "0"), (0.2, "0.2"), (0.4, "0.4"), (0.6, "0.6"), (0.8, "0.8"), (1, "1")]
    absent = parallel_coordinates.axis(["x"], [None, 1, 2])
    assert absent.positions == [0, 0.15, 1]
    assert absent.labels == [(0, "not set"), (0.15, "1"), (1, "2")]


def test_choices_have_equal_distances_in_natural_order() -> None:
    axis = parallel_coordinates.axis(["x"], [[256, 128], [64], [512], None, [64]])
    assert axis.labels == [(0, "[64]"), (0.3333, "[256,128]"), (0.6667, "[512]"), (1, "not set")]
    assert axis.positions == [0.3333, 0, 0.6667, 1, 0]
    assert parallel_coordinates.axis(["x"], ["x" * 99, "y"]).labels[0] == (0, "x" * 15 + "…")
    values = ["b", 10, 9.5, None, "a10", "a9", True, 10.0]
    assert setting_values.ordered(values) == [9.5, 10.0, "a9", "a10", "b", True, None]


@given(st.lists(VALUES, min_size=1, max_size=60))
def test_the_labels_of_any_values_do_not_overlap(values: list[Any]) -> None:
    axis = parallel_coordinates.axis(["x"], values)
    assert len(axis.positions) == len(values)
    positions = [position for position, _ in axis.labels]
    assert all(0 <= position <= 1 for position in (*axis.positions, *positions))
    assert all(high - low >= parallel_coordinates.LABEL_DISTANCE for low, high in itertools.pairwise(positions))
    assert len(axis.labels) >= min(len({format_value(value) for value in values}), 2)


def test_parallel_coordinates_have_an_axis_for_each_setting_and_the_error() -> None:
    ranked = configurations(*((rank, "x", *range(8)) for rank in range(1, 11)))
    chart = parallel_coordinates.draw(ranked, ERROR)
    names = [f"p{place}" for place in range(9)]
    lines = next(layer for layer in chart.spec["layer"] if "detail" in layer["encoding"])
    assert lines["transform"] == [{"fold": names, "as": ["axis", "position"]}]
    assert set(names) <= set(chart.rows[0])
    assert [row["label"] for row in chart.rows] == [one.label for one in ranked[::-1]]  # the best above the others
    assert chart.rows[-1] | {"p0": 0.0, "p8": 0.0} == chart.rows[-1]
    assert chart.note.endswith("Left out: i, j.")
    svg = vega.static_svg(chart)
    assert all(f">{title}<" in svg for title in ("a", "h", "validation error %"))
    assert ">i<" not in svg


def test_two_settings_with_all_pairs_are_a_grid() -> None:
    ranked = configurations((10, "x"), (9, "x"), (10, "y"), (9, "y"), (100, "x"), (100, "y"), means=[1, 2, 3, 4, 5, 6])
    (chart,) = heat_maps.charts(ranked, ERROR)
    assert chart.title == "b and a"
    x, y = (chart.spec["encoding"][side]["scale"]["domain"] for side in "xy")
    assert (x, y) == (["9", "10", "100"], ["x", "y"])
    means = {(cell["column"], cell["row"]): cell["mean"] for cell in chart.rows}
    assert means == {("10", "x"): 1, ("9", "x"): 2, ("10", "y"): 3, ("9", "y"): 4, ("100", "x"): 5, ("100", "y"): 6}
    assert [cell["text"] for cell in chart.rows if cell["best"]] == ["★ 1.00"]
    assert chart.description.endswith("the lowest is 1.00 at a 10 and b x")
    assert all(f">{cell['text']}<" in vega.static_svg(chart) for cell in chart.rows)


def test_no_axis_says_null() -> None:
    ranked = configurations((None, "x"), (1, "x"), (None, "y"), (1, "y"))
    charts = [parallel_coordinates.draw(ranked, ERROR), *heat_maps.charts(ranked, ERROR)]
    assert len(charts) == 2
    for chart in charts:
        svg = vega.static_svg(chart)
        assert ">not set<" in svg
        assert "null<" not in svg


def test_a_cell_is_the_mean_over_the_other_settings() -> None:
    points = [(a, b, c) for a in (1, 2) for b in (1, 2) for c in (1, 2)]
    ranked = configurations(*points, means=[1, 2, 10, 20, 3, 4, 30, 40])
    charts = {chart.title: chart.rows for chart in heat_maps.charts(ranked, ERROR)}
    assert list(charts) == ["a and b", "b and c", "a and c"]  # by the differences of their cells
    assert {(cell["row"], cell["column"]): (cell["mean"], cell["n"]) for cell in charts["a and b"]} == {
        ("1", "1"): (1.5, 2), ("1", "2"): (15, 2), ("2", "1"): (3.5, 2), ("2", "2"): (35, 2),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("points", "count"),
    [
        ([(1, 1), (1, 2), (2, 1)], 1),  # a job failed
        ([(1, 1), (2, 2)], 0),
        ([(1, 1, 1), (1, 2, 1), (2, 1, 2)], 0),  # the mean over c would show the effect of c
        ([(1, 1), (1, 2), (1, 3)], 0),
        ([(a, b) for a in range(13) for b in range(2)], 0),
        ([(a, b) for a in range(12) for b in range(2)], 1),
        ([(a, b, c, d) for a in (1, 2) for b in (1, 2) for c in (1, 2) for d in (1, 2)], 3),
        ([()], 0),
        ([], 0),
    ],
)
def test_only_complete_grids_are_drawn(points: list[tuple[Any, ...]], count: int) -> None:
    assert len(heat_maps.grids(configurations(*points))) == count


@pytest.mark.parametrize("highest", [2.0, 100.0])  # on a linear and on a logarithmic scale
def test_the_number_of_a_cell_is_readable(highest: float) -> None:
    points = [(a, b) for a in range(12) for b in range(12)]
    means = [1 + (highest - 1) * place / 143 for place in range(144)]
    (chart,) = heat_maps.charts(configurations(*points, means=means), ERROR)
    root = ET.fromstring(vega.static_svg(chart))
    groups = [group for group in root.iter() if "role-mark" in group.get("class", "")]
    fills = [cell.get("fill", "") for cell in groups[0]]
    texts = [text for text in groups[-1].iter() if text.tag.endswith("text")]
    assert len(fills) == len(texts) == 144
    assert len(set(fills)) > 40
    assert (fills[0], fills[-1]) == ("rgb(252, 230, 71)", "rgb(0, 32, 81)")  # the lowest is the brightest
    for fill, text in zip(fills, texts, strict=True):
        color = tuple(map(float, fill.removeprefix("rgb(").removesuffix(")").split(",")))
        assert contrast(color, tuple(bytes.fromhex(text.get("fill", "")[1:]))) >= 4.5


def test_equal_errors_are_all_the_lowest() -> None:
    (chart,) = heat_maps.charts(configurations((1, 1), (1, 2), (2, 1), (2, 2), means=[0, 0, 0, 0]), ERROR)
    assert [cell["text"] for cell in chart.rows] == ["★ 0.00"] * 4
    assert vega.static_svg(chart).count("★ 0.00") >= 4
