"""The charts of many runs: which marks they share, which axes they have, who is on the front, what is a grid."""

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_exp.config.problems import show as typed
from mnist_exp.report import configurations, costs, encodings, heat_maps, parallel_coordinates, setting_values, vega
from mnist_exp.report.configurations import Configuration
from mnist_exp.report.encodings import OTHERS, UNFINISHED
from tests.end_to_end.pages import contrast

ERROR = "validation error %"
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.lists(st.integers(), max_size=2)


def configuration(
    rank: int, mean: float = 2.0, parameters: int = 100, seconds: float = 1.0, chosen: Mapping[str, Any] | None = None
) -> Configuration:
    return Configuration(rank, f"{rank} · x", chosen or {"x": 1}, [mean], mean, None, parameters, seconds)


def chosen(*points: tuple[Any, ...], means: list[float] | None = None) -> list[Configuration]:
    """Configurations that differ in settings a, b, …."""
    return [
        configuration(rank, means[rank - 1] if means else float(rank), chosen=dict(zip("abcdefghij", point, strict=False)))
        for rank, point in enumerate(points, 1)
    ]


def test_the_best_have_a_mark_each_and_the_others_share_one() -> None:
    few, many = ([configuration(rank) for rank in range(1, count + 1)] for count in (8, 9))
    assert [mark.label for mark in configurations.legend(few, False)] == [one.label for one in few]
    marks = configurations.legend(many, True)
    assert [mark.label for mark in marks[8:]] == [OTHERS, UNFINISHED]
    assert len({(mark.color, mark.sign) for mark in marks}) == 10
    assert [row["of"] for row in configurations.configuration_rows(many, marks)][7:] == ["8 · x", OTHERS]


@pytest.mark.parametrize(
    ("least", "greatest", "values"),
    [(1.2, 9.0, [1.5, 2, 3, 5, 7]), (0.9, 90.0, [1, 2, 5, 10, 20, 50]), (1e-4, 1e-1, [1e-4, 1e-3, 1e-2, 1e-1])],
)
def test_a_logarithmic_axis_is_labelled_with_numbers_that_are_easily_read(
    least: float, greatest: float, values: list[float]
) -> None:
    assert encodings.measured("x", "x", least, greatest)["axis"]["values"] == values
    assert "values" not in encodings.measured("x", "x", 0.0, greatest)["axis"]


def test_costs_are_drawn_where_they_differ() -> None:
    same = [configuration(1), configuration(2, 3.0)]
    assert list(costs.charts(same, configurations.legend(same, False), ERROR)) == []
    other = [configuration(1), configuration(2, 3.0, parameters=1000)]
    (chart,) = costs.charts(other, configurations.legend(other, False), ERROR)
    assert chart.name == "parameters"
    assert all(layer["encoding"]["x"]["scale"]["type"] == "log" for layer in chart.spec["layer"])


def test_the_front_stands_out_and_is_joined() -> None:
    pairs = [(1, 90), (2, 50), (3, 70), (4, 10)]
    found = [configuration(rank, mean, parameters) for rank, (mean, parameters) in enumerate(pairs, 1)]
    marks = configurations.legend(found, False)
    rows = configurations.configuration_rows(found, marks)
    rows = [row | more for row, more in zip(rows, costs.fronts(found), strict=True)]
    assert [row["front_parameters"] for row in rows] == [True, True, False, True]
    assert [row["front_seconds"] for row in rows] == [True, False, False, False]
    (chart,) = costs.charts(found, marks, ERROR)
    line, points = chart.spec["layer"]
    assert line["transform"] == [{"filter": "datum.front_parameters"}]
    assert line["mark"]["interpolate"] == "step-after"
    assert points["encoding"]["size"]["condition"]["test"] == "datum.front_parameters"
    assert chart.description.endswith("on the Pareto front: 1 · x, 2 · x, 4 · x")
    assert vega.static_svg(chart, {chart.table: rows}).startswith("<svg")


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5))))
def test_no_other_is_better_than_one_on_the_front(points: list[tuple[float, float]]) -> None:
    def beaten(point: tuple[float, float]) -> bool:
        return any(other != point and other[0] <= point[0] and other[1] <= point[1] for other in points)

    assert costs.front(points) == [not beaten(point) for point in points]


def test_numbers_lie_where_they_measure() -> None:
    assert parallel_coordinates.axis(["x"], [64, 128, 256, 64]).places == pytest.approx([0, 1 / 3, 1, 0], abs=1e-4)
    rates = parallel_coordinates.axis(["x"], [1e-4, 1e-2, 1e-3])
    assert (rates.title, rates.places) == (["x", "logarithmic"], [0, 1, 0.5])
    assert rates.labels == [(0, "0.0001"), (0.5, "0.001"), (1, "0.01")]
    many = parallel_coordinates.axis(["x"], [number / 99 for number in range(100)])
    assert many.labels == [(0, "0"), (0.2, "0.2"), (0.4, "0.4"), (0.6, "0.6"), (0.8, "0.8"), (1, "1")]
    absent = parallel_coordinates.axis(["x"], [None, 1, 2])
    assert absent.places == [0, 0.15, 1]
    assert absent.labels == [(0, "null"), (0.15, "1"), (1, "2")]


def test_choices_lie_at_equal_distances_in_the_order_of_people() -> None:
    axis = parallel_coordinates.axis(["x"], [[256, 128], [64], [512], None, [64]])
    assert axis.labels == [(0, "[64]"), (0.3333, "[256,128]"), (0.6667, "[512]"), (1, "null")]
    assert axis.places == [0.3333, 0, 0.6667, 1, 0]
    assert parallel_coordinates.axis(["x"], ["x" * 99, "y"]).labels[0] == (0, "x" * 15 + "…")
    assert setting_values.ordered(["b", 10, 9.5, None, "a10", "a9", True, 10.0]) == [9.5, 10.0, "a9", "a10", "b", True, None]


@given(st.lists(VALUES, min_size=1, max_size=60))
def test_whatever_the_settings_are_an_axis_can_be_read(values: list[Any]) -> None:
    axis = parallel_coordinates.axis(["x"], values)
    assert len(axis.places) == len(values)
    places = [place for place, _ in axis.labels]
    assert all(0 <= place <= 1 for place in (*axis.places, *places))
    assert all(high - low >= parallel_coordinates.NEAREST for low, high in itertools.pairwise(places))
    assert len(axis.labels) >= min(len({typed(value) for value in values}), 2)


def test_parallel_coordinates_have_an_axis_for_each_setting_and_the_error() -> None:
    found = chosen(*((rank, "x", *range(8)) for rank in range(1, 11)))
    chart, rows = parallel_coordinates.chart(found, configurations.legend(found, False), ERROR)
    names = [f"p{place}" for place in range(9)]
    lines = next(layer for layer in chart.spec["layer"] if "detail" in layer["encoding"])
    assert lines["transform"] == [{"fold": names, "as": ["axis", "place"]}]
    assert set(names) <= set(rows[0])
    assert [row["label"] for row in rows] == [one.label for one in found[::-1]]  # the best on top
    assert rows[-1] | {"p0": 0.0, "p8": 0.0} == rows[-1]
    assert chart.note.endswith("Left out: i, j.")
    still = vega.static_svg(chart, {chart.table: rows})
    assert all(f">{title}<" in still for title in ("a", "h", "validation error %"))
    assert ">i<" not in still


def test_two_settings_of_which_every_pair_was_tried_are_a_grid() -> None:
    found = chosen((10, "x"), (9, "x"), (10, "y"), (9, "y"), (100, "x"), (100, "y"), means=[1, 2, 3, 4, 5, 6])
    ((chart, cells),) = heat_maps.charts(found, ERROR)
    assert chart.title == "b and a"
    x, y = (chart.spec["encoding"][side]["scale"]["domain"] for side in "xy")
    assert (x, y) == (["9", "10", "100"], ["x", "y"])
    means = {(cell["column"], cell["row"]): cell["mean"] for cell in cells}
    assert means == {("10", "x"): 1, ("9", "x"): 2, ("10", "y"): 3, ("9", "y"): 4, ("100", "x"): 5, ("100", "y"): 6}
    assert [cell["text"] for cell in cells if cell["best"]] == ["★ 1.00"]
    assert chart.description.endswith("the lowest is 1.00 at a 10 and b x")
    still = vega.static_svg(chart, {chart.table: cells})
    assert all(f">{cell['text']}<" in still and cell["fill"] in still for cell in cells)


def test_a_cell_is_the_mean_over_what_else_differs() -> None:
    points = [(a, b, c) for a in (1, 2) for b in (1, 2) for c in (1, 2)]
    found = chosen(*points, means=[1, 2, 10, 20, 3, 4, 30, 40])
    charts = {chart.title: cells for chart, cells in heat_maps.charts(found, ERROR)}
    assert list(charts) == ["a and b", "b and c", "a and c"]  # by how much their cells differ
    assert {(cell["row"], cell["column"]): (cell["mean"], cell["n"]) for cell in charts["a and b"]} == {
        ("1", "1"): (1.5, 2), ("1", "2"): (15, 2), ("2", "1"): (3.5, 2), ("2", "2"): (35, 2),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("points", "count"),
    [
        ([(1, 1), (1, 2), (2, 1)], 1),  # a job failed
        ([(1, 1), (2, 2)], 0),
        ([(1, 1, 1), (1, 2, 1), (2, 1, 2)], 0),  # the mean over c would tell of c
        ([(1, 1), (1, 2), (1, 3)], 0),
        ([(a, b) for a in range(13) for b in range(2)], 0),
        ([(a, b) for a in range(12) for b in range(2)], 1),
        ([(a, b, c, d) for a in (1, 2) for b in (1, 2) for c in (1, 2) for d in (1, 2)], 3),
        ([()], 0),
        ([], 0),
    ],
)
def test_only_what_is_a_grid_is_drawn_as_one(points: list[tuple[Any, ...]], count: int) -> None:
    assert len(heat_maps.grids(chosen(*points))) == count


@given(st.floats(0, 1))
def test_a_number_on_its_cell_can_be_read(share: float) -> None:
    fill, ink = (tuple(bytes.fromhex(color[1:])) for color in heat_maps.shade(share))
    assert contrast(fill, ink) >= 4.5


def test_equal_errors_are_all_the_best() -> None:
    ((_, cells),) = heat_maps.charts(chosen((1, 1), (1, 2), (2, 1), (2, 2), means=[0, 0, 0, 0]), ERROR)
    assert [cell["text"] for cell in cells] == ["★ 0.00"] * 4
