"""The report in a real browser: its numbers are on the page, nothing fails, nothing leaves it, and it fits a phone."""

import itertools
import json
import re
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser

from tests.end_to_end.pages import CHROMIUM, COLORS, assert_readable, contrast, opened, rgba

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")


@pytest.mark.parametrize("width", [1200, 390])
def test_the_page(browser: Browser, trained: Path, width: int) -> None:
    page, complaints = opened(browser, trained / "report.html", width)
    summary = json.loads((trained / "summary.json").read_text())
    errors = json.loads((trained / "errors.json").read_text())
    text = page.inner_text("body")
    assert page.inner_text("#test-error") == f"{summary['test']['error_percent']:.2f} %"
    for number in (
        f"{summary['test']['ci95'][0]:.2f} – {summary['test']['ci95'][1]:.2f} %",
        f"{summary['test']['errors']:,} of 10,000 images wrong",
        f"{summary['validation']['error_percent']:.2f} %",
        f"{summary['model']['parameters']:,}",
        f"{errors['calibration']['ece']:.4f}",
        f"{errors['negative_log_likelihood']:.4f}",
        summary["config_hash"],
        summary["dataset"]["sha256"],
    ):
        assert number in text
    for row in errors["per_class"]:
        assert re.search(rf"{row['class']}\s+{row['n']:,}\s+{row['errors']}\s+{row['error_percent']:.2f}", text)
    loaded = page.evaluate("[...document.images].map(image => image.complete && image.naturalWidth > 0)")
    assert loaded == [True] * len(errors["worst_mistakes"])
    cells = page.locator(".confusion td:not(:first-child), .confusion tbody td:first-of-type").all_inner_texts()
    assert [int(cell.replace(",", "")) for cell in cells] == list(itertools.chain(*errors["confusion_matrix"]))
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.locator("details > summary").click()
    worst = errors["worst_mistakes"][0]
    assert re.search(rf"{worst['index']}\s+{worst['label']}\s+{worst['predicted']}\s", page.inner_text("details"))
    assert complaints == []


def test_the_page_in_print(browser: Browser, trained: Path) -> None:
    page, complaints = opened(browser, trained / "report.html", 800)
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_on_a_card_can_be_read(browser: Browser, trained: Path, scheme: Literal["light", "dark"]) -> None:
    page, _ = opened(browser, trained / "report.html", 800)
    page.emulate_media(color_scheme=scheme)
    selectors = {"svg text": 20, ".confusion td, .confusion th": 120, "caption": 1, ".mistakes figcaption": 50}
    card = assert_readable(page, scheme, selectors)
    marks = page.evaluate("[...document.querySelectorAll('svg path[stroke]')].map(path => path.getAttribute('stroke'))")
    for stroke in {stroke for stroke in marks if stroke.startswith("#")}:
        assert contrast((*bytes.fromhex(stroke[1:]),), card) >= 3


def test_the_most_frequent_mistake_has_the_strongest_colour(browser: Browser, trained: Path) -> None:
    page, _ = opened(browser, trained / "report.html", 800)
    matrix = json.loads((trained / "errors.json").read_text())["confusion_matrix"]
    shades = [rgba(background)[3] for _, background, _ in page.evaluate(COLORS, ".confusion tbody td")]
    mistakes = [0 if row == column else matrix[row][column] for row in range(10) for column in range(10)]
    assert shades == pytest.approx([0.75 * count / max(mistakes) for count in mistakes], abs=0.01)
