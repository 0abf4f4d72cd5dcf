"""The page of a comparison in a real browser: of a thousand runs, and of a grid, by pointer, by keyboard and in print."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from mnist_exp.report import comparison_page
from mnist_exp.report.comparison_view import ComparisonView
from tests import boards
from tests.end_to_end.pages import CHROMIUM, answering, assert_accessible, column, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")

MAX_BYTES = 8_000_000
SETTINGS = {"model.name": ["mlp", "cnn_simple"], "optimizer.learning_rate": [1e-4, 1e-3, 1e-2, 1e-1]}
OVERLAPPING = """
figure => {
  const boxes = [...figure.querySelectorAll('.mark-text text')].map(text => text.getBoundingClientRect())
  const overlap = (one, other) => one.left < other.right && other.left < one.right
    && one.top + 2 < other.bottom && other.top + 2 < one.bottom // a box is taller than its letters
  return boxes.flatMap((one, place) => boxes.slice(place + 1).filter(other => overlap(one, other))).length
}
"""
NAMELESS = """
() => [...document.querySelectorAll('main *')]
  .filter(element => element.scrollWidth > element.clientWidth + 1)
  .filter(element => ['auto', 'scroll'].includes(getComputedStyle(element).overflowX))
  .filter(element => element.tabIndex !== 0 || !element.matches('[aria-label], [aria-labelledby]'))
  .map(element => element.className)
"""
CUT_OFF = """
() => [...document.querySelectorAll('.scroll, figure, figure svg, table')]
  .filter(element => element.getBoundingClientRect().right > document.body.clientWidth + 1)
  .map(element => element.outerHTML.slice(0, 80))
"""


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of eight configurations over two seeds; it is next to the directory of the runs."""
    place = tmp_path_factory.mktemp("grid")
    comparison_page.write(place / "page.html", "runs", boards.grid(place / "runs", SETTINGS, seeds=2))
    return place / "page.html"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a thousand configurations."""
    place = tmp_path_factory.mktemp("large")
    comparison_page.write(place / "page.html", "runs", boards.many(place / "runs", configurations=1000, seeds=1))
    return place / "page.html"


def test_a_thousand_runs_are_sorted_and_filtered(browser: Browser, large: Path) -> None:
    assert large.stat().st_size <= MAX_BYTES
    page, complaints = answering(browser, large)
    assert page.locator(".interactive svg").count() == page.locator("figure").count() == 8
    assert page.locator("td.seeds a").count() == 1000
    errors = [float(cell.split()[0]) for cell in column(page, "validation error")]
    assert errors == sorted(errors)
    assert len(errors) == 1000

    rates = page.locator("table[data-filter] th button", has_text="optimizer.learning_rate")
    rates.click()
    shown = [float(cell) for cell in column(page, "optimizer.learning_rate")]
    assert shown == sorted(shown)
    rates.click()
    assert [float(cell) for cell in column(page, "optimizer.learning_rate")] == shown[::-1]
    page.locator("table[data-filter] th button", has_text="model.dropout").click()
    dropout = column(page, "model.dropout")
    assert set(dropout[-len(errors) // 5 :]) == {"null"}  # what has no value comes last

    names = column(page, "model.name")
    page.get_by_label("Filter").fill("cnn_large cosine")
    expect(page.get_by_role("status")).to_contain_text(f"of {len(errors)} shown")
    assert set(column(page, "model.name")) == {"cnn_large"}
    assert set(column(page, "schedule.name")) == {"cosine"}
    assert 0 < len(column(page, "model.name")) < names.count("cnn_large")
    page.get_by_label("Filter").fill("")
    assert column(page, "model.name") == names
    assert page.evaluate(OVERLAPPING, page.locator("figure.parallel").element_handle()) == 0
    assert complaints == []


def test_a_cell_of_a_grid_has_a_tooltip_and_the_lowest_is_marked(browser: Browser, grid: Path) -> None:
    page, complaints = answering(browser, grid)
    cells = page.locator("figure.grid0 .role-mark.mark-text text").all_text_contents()
    assert cells == ["★ 1.00", *(f"{number}.00" for number in range(2, 9))]
    page.locator("figure.grid0 .role-mark.mark-text text").nth(5).hover()
    tooltip = page.locator("#vg-tooltip-element.visible")
    expect(tooltip).to_contain_text("cnn_simple")
    expect(tooltip).to_contain_text("0.001")
    links = page.locator("td.seeds a").evaluate_all(
        "links => links.map(link => decodeURI(link.href.slice('file://'.length)))"
    )
    assert len(links) == 16
    assert all(Path(link).is_file() for link in links)
    assert complaints == []


def test_each_leaderboard_has_its_own_filter_question_and_legend(browser: Browser, tmp_path: Path) -> None:
    grids = {name: boards.grid(tmp_path / name, {"model.name": ["mlp", "cnn"]}, seeds=2) for name in ("mnist", "kmnist")}
    views = [ComparisonView(replace(grid.board, images={"dataset.name": name})) for name, grid in grids.items()]
    (tmp_path / "page.html").write_text(comparison_page.render(tmp_path / "page.html", "runs", views))
    page, complaints = answering(browser, tmp_path / "page.html", 390)
    assert_accessible(page)
    page.get_by_label("Filter").nth(1).fill("cnn")
    page.get_by_label("Would other seeds give").nth(1).check()
    page.locator(".legend").nth(1).locator("button").first.click()
    page.wait_for_timeout(200)
    assert [table.locator("tbody tr:visible").count() for table in page.locator("table[data-filter]").all()] == [2, 1]
    assert page.locator('th[data-question="0"]').evaluate_all(
        "cells => cells.map(cell => cell.hidden || !cell.offsetParent)"
    ) == [
        False,
        True,
    ]
    faded = page.locator("figure.intervals").evaluate_all(
        "figures => figures.map(figure => figure.querySelectorAll('.mark-symbol path[opacity=\"0.12\"]').length)"
    )
    assert faded == [0, 1]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert complaints == []


@pytest.mark.parametrize("width", [1200, 390])
def test_the_labels_of_parallel_axes_do_not_overlap(browser: Browser, grid: Path, width: int) -> None:
    page, complaints = answering(browser, grid, width)
    figure = page.locator("figure.parallel")
    assert set(figure.locator(".mark-text text").all_text_contents()) >= {"mlp", "cnn_simple", "0.0001", "0.1", "model.name"}
    assert page.evaluate(OVERLAPPING, figure.element_handle()) == 0
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert complaints == []


def test_a_line_of_the_parallel_coordinates_has_a_tooltip(browser: Browser, grid: Path) -> None:
    page, complaints = answering(browser, grid)
    line = page.locator("figure.parallel .touch_marks path").last  # the best
    line.scroll_into_view_if_needed()
    x, y = line.evaluate(
        """path => {
          const end = path.getPointAtLength(path.getTotalLength() - 2).matrixTransform(path.getScreenCTM())
          return [end.x, end.y]
        }"""
    )
    page.mouse.move(x, y)
    tooltip = page.locator("#vg-tooltip-element.visible")
    expect(tooltip).to_contain_text("1 · mlp learning_rate=0.0001")
    expect(tooltip).to_contain_text("model.name=mlp, optimizer.learning_rate=0.0001")
    page.locator(".legend button").last.click()
    strokes = page.locator("figure.parallel .mark-line.role-mark:not(.touch_marks) path")
    expect(strokes.last).to_have_attribute("opacity", "0.12")
    assert complaints == []


@pytest.mark.parametrize("width", [1200, 390])
def test_every_scrollable_element_is_focusable_and_has_a_name(browser: Browser, grid: Path, width: int) -> None:
    page, _ = answering(browser, grid, width)
    nameless = page.evaluate(NAMELESS)
    assert nameless == []
    charts = page.locator("[role=img][aria-label] > [aria-hidden=true] svg")  # whole, not mark by mark
    assert charts.count() == page.locator("svg").count() == 5
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
    assert len(set(ids)) == len(ids)
    headings = page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(heading => Number(heading.tagName[1]))")
    assert all(below <= above + 1 for above, below in itertools.pairwise(headings))
    assert page.locator("thead th[scope=col]").count() == page.locator("thead th").count()
    focused = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        focused.add(page.evaluate("document.activeElement.closest('figure, .filter, .legend, thead, .scroll')?.className"))
    assert {"filter", "legend", "scroll", "parallel broad", "intervals broad"} <= focused


@pytest.mark.parametrize("has_script", [True, False])
def test_the_question_is_switched(browser: Browser, grid: Path, has_script: bool) -> None:
    page, complaints = opened(browser, grid, 390, java_script_enabled=has_script)
    for question, test in (
        ("on these images", "paired t-test"),
        ("other test images", "variance over seeds (paired) and images"),
    ):
        page.get_by_role("radio", name=question).check()
        columns = page.locator("table[data-filter] :is(th, td).answer:visible")
        assert set(columns.evaluate_all("cells => cells.map(cell => cell.dataset.question)")) == {
            str(int(question == "on these images"))
        }
        assert columns.count() == 9
        expect(page.locator("#reading")).to_contain_text(question)
        assert test in page.locator("#reading").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth") or not has_script
    assert complaints == []


def test_only_the_shown_verdicts_are_filtered(browser: Browser, grid: Path) -> None:
    page, _ = opened(browser, grid, 1200)
    verdicts = page.locator("td.answer:visible")
    on_new_images = verdicts.nth(1).inner_text()
    page.get_by_label("Filter").fill(on_new_images)
    assert verdicts.all_inner_texts() == [on_new_images]
    page.get_by_role("radio", name="on these images").check()
    assert verdicts.count() == 0
    page.get_by_role("radio", name="other test images").check()
    assert verdicts.count() == 1


def sheet(page: Page) -> list[str]:
    """What is wider than the sheet, in print."""
    page.emulate_media(media="print")
    return page.evaluate(CUT_OFF)  # type: ignore[no-any-return]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(browser: Browser, grid: Path, scheme: Literal["light", "dark"]) -> None:
    page, complaints = answering(browser, grid)
    page.emulate_media(color_scheme=scheme)
    assert_accessible(page)
    assert complaints == []


def test_nothing_is_cut_off_in_print(browser: Browser, grid: Path) -> None:
    page, complaints = answering(browser, grid)
    page.set_viewport_size({"width": 718, "height": 1000})  # of A4; the charts stay as they were drawn
    assert sheet(page) == []
    hidden = "element => getComputedStyle(element).overflowX"
    assert page.locator(".scroll, .chart").first.evaluate(hidden) == "visible"
    assert complaints == []


def test_it_is_complete_without_a_script(browser: Browser, grid: Path) -> None:
    page, complaints = opened(browser, grid, 1200, java_script_enabled=False)
    assert page.locator("figure svg").count() == page.locator("figure").count() == 5
    assert "★ 1.00" in str(page.locator("figure.grid0 svg").text_content())
    assert complaints == []
