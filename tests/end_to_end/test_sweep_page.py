"""The report of a sweep in a real browser: it sorts, filters, has interactive charts, and is complete without a script."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

import pytest

from mnist_exp.comparison.ranking import compare_each
from mnist_exp.comparison.rows import read_rows
from mnist_exp.sweep import plan, report
from mnist_exp.sweep.plan import Sweep
from tests.conftest import TINY
from tests.end_to_end.conftest import Once
from tests.end_to_end.pages import (
    CHROMIUM,
    answering,
    assert_accessible,
    column,
    opened,
)
from tests.end_to_end.sweeps import sweep_of
from tests.forks import Forks
from tests.unit.run_directories import change_settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")

CHOICES = ("optimizer.learning_rate=tag(log, interval(1e-4,1e-1))", "model.units=choice([8],[16])")


@pytest.fixture(scope="module")
def search(once: Once, forks: Forks) -> Path:
    """The directory of a small search, by two objectives."""

    def train(place: Path) -> None:
        more = ("hydra.sweeper.n_trials=6", "hydra.sweeper.objectives=[validation.error_percent,train_seconds]")
        done = forks.run("-m", "hydra/sweeper=optuna", *TINY, *CHOICES, *more, cwd=place)
        assert done.returncode == 0, done.stderr
        assert (sweep_of(place) / "report.html").resolve().as_uri() in done.stdout

    return sweep_of(once("search", train))


def ready(browser: Browser, sweep: Path, width: int = 1200) -> tuple[Page, list[str]]:
    """Its report with interactive charts."""
    return answering(browser, sweep / "report.html", width)


@pytest.mark.parametrize("width", [1200, 390])
def test_everything_is_there_and_nothing_leaves_the_page(browser: Browser, search: Path, width: int) -> None:
    page, complaints = ready(browser, search, width)
    lines = json.loads((search / "leaderboard.json").read_text())["configurations"]
    assert column(page, "validation error") == [f"{line['validation']['mean']:.2f}" for line in lines]
    assert column(page, "parameters") == [f"{line['parameters']:,.0f}" for line in lines]
    assert set(column(page, "name")) == {"mlp"}
    assert page.locator(".interactive svg").count() == page.locator("figure").count() >= 9
    links = page.locator("table[data-filter] a")
    assert [(search / unquote(str(link.get_attribute("href")))).exists() for link in links.all()] == [True] * len(lines)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    links.first.click()
    assert "test error" in page.inner_text("body")
    assert complaints == []


def test_the_leaderboard_sorts_by_keyboard_and_filters(browser: Browser, search: Path) -> None:
    page, complaints = ready(browser, search)
    best_first = column(page, "validation error")
    header = page.locator("table[data-filter] th", has_text="optimizer.learning_rate")
    header.locator("button").focus()
    page.keyboard.press("Enter")
    rates = [float(cell) for cell in column(page, "optimizer.learning_rate")]
    assert rates == sorted(rates)
    assert header.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")
    assert [float(cell) for cell in column(page, "optimizer.learning_rate")] == rates[::-1]
    assert header.get_attribute("aria-sort") == "descending"
    page.locator("table[data-filter] th button", has_text="rank").click()
    assert column(page, "validation error") == best_first

    units = column(page, "model.units")
    page.get_by_label("Filter").fill("[8] MLP")
    assert column(page, "model.units") == ["[8]"] * units.count("[8]")
    expect(page.get_by_role("status")).to_have_text(f"{units.count('[8]')} of {len(units)} shown")
    page.get_by_label("Filter").fill("")
    assert column(page, "model.units") == units
    assert complaints == []


def test_charts_have_tooltips_and_fade_what_is_not_selected(browser: Browser, search: Path) -> None:
    page, complaints = ready(browser, search)
    button = page.locator(".legend button").first
    label = button.inner_text().partition(" ")[2].strip()
    page.locator("figure.intervals").locator(".mark-symbol path").first.hover()
    tooltip = page.locator("#vg-tooltip-element.visible")
    expect(tooltip).to_contain_text(label)
    expect(tooltip).to_contain_text("optimizer.learning_rate=")

    end = page.locator("figure.learning_curves .touch_marks path").first.evaluate(
        """path => {
          const end = path.getPointAtLength(path.getTotalLength() - 2).matrixTransform(path.getScreenCTM())
          return [end.x + scrollX, end.y + scrollY]
        }"""
    )
    page.evaluate("([_, y]) => scrollTo(0, y - 300)", end)
    page.mouse.move(end[0], 300)
    expect(tooltip).to_contain_text("last error %")
    expect(tooltip).to_contain_text("seed 7")

    def opacities() -> set[str | None]:
        marks = page.locator("figure.seconds").locator(".mark-symbol path").all()
        return {mark.get_attribute("opacity") for mark in marks}

    assert opacities() == {"0.9"}
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    page.wait_for_timeout(200)
    assert opacities() == {"0.9", "0.12"}
    page.keyboard.press("Escape")
    page.wait_for_timeout(200)
    assert opacities() == {"0.9"}
    assert complaints == []


def test_the_content_of_files_is_escaped(browser: Browser, search: Path, tmp_path: Path) -> None:
    hostile = "<img src=x onerror=console.log(1)></script><script>console.log(2)</script>"
    sweep = Sweep(Path(shutil.copytree(search, tmp_path / "sweep")))
    for path in sweep.directory.glob("*/summary.json"):
        change_settings(path.parent, **{"optimizer.name": f"{hostile}{path.parent.name}"})
    rows = read_rows([sweep.directory])
    report.write(sweep, plan.read(sweep), rows, compare_each(rows), len(rows))
    page, complaints = ready(browser, sweep.directory)
    page.locator("figure.intervals").locator(".mark-symbol path").first.hover()
    expect(page.locator("#vg-tooltip-element.visible")).to_contain_text(hostile)
    assert page.locator("img, svg image, svg a").count() == 0
    assert hostile in page.inner_text("table[data-filter]")
    assert complaints == []


def test_it_is_complete_without_a_script(browser: Browser, search: Path) -> None:
    page, complaints = opened(browser, search / "report.html", 1200, java_script_enabled=False)
    assert page.locator("figure svg").count() == page.locator("figure").count() >= 9
    assert not page.get_by_label("Filter").is_visible()
    assert page.locator("table[data-filter] button").count() == 0
    assert complaints == []


def test_it_prints(browser: Browser, search: Path) -> None:
    page, complaints = ready(browser, search, 1000)
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.get_by_label("Filter").is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert complaints == []


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (390, "dark")])
def test_it_is_accessible(browser: Browser, search: Path, width: int, scheme: Literal["light", "dark"]) -> None:
    page, _ = ready(browser, search, width)
    page.emulate_media(color_scheme=scheme)
    page.locator("details > summary", has_text="trials").click()
    assert_accessible(page)
