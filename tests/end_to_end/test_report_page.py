"""The report in a real browser: its numbers are on the page, nothing fails, nothing leaves it, and it fits a phone."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")
# Without the sandbox it runs as root in a container; the other flags keep it from looking for its maker's servers.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


def opened(browser: Browser, report: Path, width: int) -> tuple[Page, list[str]]:
    """The page at that width, and everything that went wrong or left it."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
    page.goto(report.as_uri())
    return page, complaints


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
    assert loaded == [True] * 4
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


def test_the_page_in_the_dark(browser: Browser, trained: Path) -> None:
    page, _ = opened(browser, trained / "report.html", 800)
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
