"""The report in a real browser: its numbers are there, it answers, nothing fails, nothing leaves it, it fits a phone."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from mnist_exp.datasets.dataset import Dataset
from tests.end_to_end.pages import CHROMIUM, assert_accessible, opened, rgba

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")

# What is drawn of the background image of an element, at the size it has in the file: one number for each pixel.
PIXELS = """
async element => {
  const style = getComputedStyle(element)
  const sheet = new Image()
  sheet.src = style.backgroundImage.slice(5, -2)
  await sheet.decode()
  const [left, top] = style.backgroundPosition.split(' ').map(parseFloat)
  const scale = parseFloat(style.backgroundSize) / sheet.naturalWidth
  const canvas = new OffscreenCanvas(28, 28)
  const pen = canvas.getContext('2d')
  pen.drawImage(sheet, left / scale, top / scale)
  return [...pen.getImageData(0, 0, 28, 28).data].filter((_, place) => place % 4 === 0)
}
"""


@pytest.fixture(scope="module")
def errors(trained: Path) -> dict[str, Any]:
    return json.loads((trained / "errors.json").read_text())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def predictions(trained: Path) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels of the test images."""
    with np.load(trained / "predictions.npz") as arrays:
        return arrays["probabilities"], arrays["labels"]


@pytest.mark.parametrize("width", [1200, 320])  # the second as WCAG 2.2 asks (1.4.10)
def test_the_page(browser: Browser, trained: Path, errors: dict[str, Any], width: int) -> None:
    page, complaints = opened(browser, trained / "report.html", width)
    summary = json.loads((trained / "summary.json").read_text())
    text = page.inner_text("body")
    assert page.inner_text("#test-error") == f"{summary['test']['error_percent']:.2f} %"
    for number in (
        f"{summary['test']['ci95'][0]:.2f} – {summary['test']['ci95'][1]:.2f} %",
        f"{summary['test']['errors']:,} of 10,000 images wrong",
        f"{summary['validation']['error_percent']:.2f} %",
        f"{summary['model']['parameters']:,}",
        f"{errors['calibration']['ece']:.4f}",
        f"{errors['negative_log_likelihood']:.4f}",
        f"{summary['wall_seconds']:.1f} s",
        f"{summary['train_seconds']:.1f} s",
        f"{summary['compile_seconds']:.1f} s",
        f"{summary['wall_seconds'] - summary['train_seconds'] - summary['compile_seconds']:.1f} s",
        summary["config_hash"],
        summary["dataset"]["sha256"],
    ):
        assert number in text
    for row in errors["per_class"]:
        assert re.search(rf"{row['class']}\s+{row['n']:,}\s+{row['errors']}\s+{row['error_percent']:.2f}", text)
    assert page.locator("#worst li").count() == len(errors["worst_mistakes"])
    cells = page.locator(".confusion tbody td").all_inner_texts()
    assert [int(cell.replace(",", "")) for cell in cells] == list(itertools.chain(*errors["confusion_matrix"]))
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.locator("details > summary", has_text="As a table").click()
    worst = errors["worst_mistakes"][0]
    assert re.search(rf"{worst['index']}\s+{worst['label']}\s+{worst['predicted']}\s", page.inner_text("details >> nth=0"))
    assert complaints == []


def indices(digits: Locator) -> list[int]:
    """Of the test images that a list shows."""
    labels = [digit.get_attribute("aria-label") or "" for digit in digits.locator(".sample").all()]
    return [int(label.removeprefix("test image ")) for label in labels]


def cell(page: Page, label: int, predicted: int) -> Locator:
    return page.locator(".confusion tbody tr").nth(label).locator("td").nth(predicted)


def assert_cell_images(page: Page, label: int, predicted: int, predictions: tuple[np.ndarray, np.ndarray]) -> None:
    """The panel shows the most confident test images of a cell, with their confidence and their number."""
    probabilities, labels = predictions
    confidence = probabilities.max(axis=1)
    inside = np.flatnonzero((labels == label) & (probabilities.argmax(axis=1) == predicted))
    words = f"{label} recognised" if label == predicted else f"{label} taken for {predicted}"
    expect(page.get_by_role("status")).to_contain_text(
        re.compile(rf"^{words}: {len(inside):,} images?(, the \d+ most confident of them)?$")
    )
    shown = indices(page.locator("#cell-images ul"))
    assert 0 < len(shown) <= min(24, len(inside))
    assert shown == inside[np.argsort(-confidence[inside], kind="stable")][: len(shown)].tolist()
    shown_percent = [float(words.split(" %")[0]) for words in page.locator("#cell-images figcaption").all_inner_texts()]
    assert shown_percent == pytest.approx((100 * confidence[shown]).tolist(), abs=0.051)


def test_a_cell_that_is_pointed_at_shows_its_digits(
    browser: Browser, trained: Path, errors: dict[str, Any], predictions: tuple[np.ndarray, np.ndarray], digits: Dataset
) -> None:
    page, complaints = opened(browser, trained / "report.html", 1200)
    matrix = np.array(errors["confusion_matrix"])
    wrong = matrix - np.diag(np.diag(matrix))
    most_frequent = np.unravel_index(wrong.argmax(), wrong.shape)
    assert_cell_images(page, *map(int, most_frequent), predictions)
    for label, predicted in [*np.argwhere(wrong)[::7].tolist(), *([one, one] for one in np.flatnonzero(np.diag(matrix)))]:
        cell(page, label, predicted).hover()
        assert_cell_images(page, label, predicted, predictions)
    for list_ in (page.locator("#cell-images ul"), page.locator("#worst")):
        for index, digit in zip(indices(list_), list_.locator(".sample").all(), strict=True):
            drawn = np.array(digit.evaluate(PIXELS)).reshape(28, 28)
            assert np.array_equal(255 - drawn, digits.test_images[index, :, :, 0])
    assert complaints == []


def test_a_cell_is_reached_by_keyboard_pinned_and_released(
    browser: Browser, trained: Path, errors: dict[str, Any], predictions: tuple[np.ndarray, np.ndarray]
) -> None:
    page, complaints = opened(browser, trained / "report.html", 1200)
    matrix = np.array(errors["confusion_matrix"])
    stop = page.locator(".confusion button[tabindex='0']")
    assert stop.count() == 1  # of many
    stop.focus()
    label, predicted = (int(stop.get_attribute(f"data-{name}") or "") for name in ("label", "predicted"))
    along = np.flatnonzero(matrix[label])
    ahead = along[along > predicted] if (along > predicted).any() else along[along < predicted][::-1]
    for expected in ahead:  # empty cells are skipped
        page.keyboard.press("ArrowRight" if expected > predicted else "ArrowLeft")
        assert_cell_images(page, label, int(expected), predictions)
    last = int(ahead[-1])
    page.keyboard.press("ArrowRight" if last > predicted else "ArrowLeft")  # there is no further
    assert_cell_images(page, label, last, predictions)
    page.keyboard.press("Enter")
    assert page.locator(".confusion [aria-pressed=true]").count() == 1
    other = next(one for one in np.argwhere(matrix).tolist() if one != [label, last])
    cell(page, *other).hover()
    assert_cell_images(page, label, last, predictions)
    page.keyboard.press("Escape")
    page.locator("h1").hover()
    cell(page, *other).hover()
    assert_cell_images(page, *other, predictions)
    assert complaints == []


def test_a_cell_is_tapped(
    browser: Browser, trained: Path, errors: dict[str, Any], predictions: tuple[np.ndarray, np.ndarray]
) -> None:
    page, complaints = opened(browser, trained / "report.html", 390, has_touch=True)
    for label, predicted in np.argwhere(errors["confusion_matrix"])[::13].tolist():
        cell(page, label, predicted).tap()
        assert_cell_images(page, label, predicted, predictions)
    assert complaints == []


def test_mistakes_sort_as_images_and_as_a_table(browser: Browser, trained: Path, errors: dict[str, Any]) -> None:
    page, complaints = opened(browser, trained / "report.html", 1200)
    page.locator("details > summary", has_text="As a table").click()
    mistakes = errors["worst_mistakes"]

    def orders() -> tuple[list[int], list[int]]:
        rows = page.locator("#mistakes tbody th").all_inner_texts()
        return indices(page.locator("#worst")), [int(index) for index in rows]

    def confidence(mistake: dict[str, Any]) -> float:
        return float(mistake["probabilities"][mistake["predicted"]])

    by_confidence = [mistake["index"] for mistake in mistakes]
    assert orders() == (by_confidence, by_confidence)
    sorts = page.get_by_role("group", name="Sort the mistakes")
    for name, field in (("true class", "label"), ("predicted class", "predicted"), ("test image", "index")):
        sorts.get_by_role("button", name=name).click()
        expected = [mistake["index"] for mistake in sorted(mistakes, key=lambda mistake: mistake[field])]
        assert orders() == (expected, expected)
        assert sorts.locator("[aria-pressed=true]").all_inner_texts() == [name]
    sorts.get_by_role("button", name="test image").click()
    assert orders()[0] == sorted(by_confidence, reverse=True)
    header = page.locator("#mistakes th", has_text="confidence")
    header.get_by_role("button").focus()
    page.keyboard.press("Enter")
    rising = [mistake["index"] for mistake in sorted(mistakes, key=confidence)]
    assert orders() == (rising, rising)
    assert header.get_attribute("aria-sort") == "ascending"
    assert sorts.locator("[data-sort=ascending]").inner_text() == "confidence"
    assert complaints == []


def test_mislabelled_images_are_marked(
    browser: Browser, trained: Path, errors: dict[str, Any], predictions: tuple[np.ndarray, np.ndarray], digits: Dataset
) -> None:
    page, _ = opened(browser, trained / "report.html", 1200)
    assert digits.mislabelled is not None
    probabilities, labels = predictions
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels).tolist()
    missed = [index for index in digits.mislabelled.votes if index in wrong]
    assert errors["mislabelled"]["errors"] == len(missed) > 1
    sentence = f"{len(missed)} of the {len(wrong):,} mistakes are on images whose label human raters rejected"
    assert sentence in page.inner_text("body")
    assert "the test set has 15 such images (Northcutt, Athalye and Mueller 2021" in page.inner_text("body")
    worst = [mistake["index"] for mistake in errors["worst_mistakes"]]
    marked = [mistake["index"] for mistake in errors["worst_mistakes"] if mistake["mislabelled"]]
    assert indices(page.locator("#worst .mislabelled")) == marked == [index for index in worst if index in missed]
    shown = set(marked)
    for index in missed:
        cell(page, int(labels[index]), int(probabilities[index].argmax())).hover()
        panel = page.locator("#cell-images")
        found = indices(panel.locator(".mislabelled"))
        assert found == [one for one in indices(panel) if one in missed]
        assert panel.locator(".mislabelled small").count() == len(found)
        shown.update(found)
    assert shown


def test_it_is_complete_without_a_script(browser: Browser, trained: Path, errors: dict[str, Any]) -> None:
    page, complaints = opened(browser, trained / "report.html", 1200, java_script_enabled=False)
    assert [page.locator(place).is_visible() for place in ("#cell-images", ".pills")] == [False, False]
    assert page.locator("table button").count() == 0
    assert page.locator("figure svg").count() == 6
    assert indices(page.locator("#worst")) == [mistake["index"] for mistake in errors["worst_mistakes"]]
    cells = page.locator(".confusion tbody td").all_inner_texts()
    assert [int(text.replace(",", "")) for text in cells] == list(itertools.chain(*errors["confusion_matrix"]))
    assert complaints == []


def test_the_page_in_print(browser: Browser, trained: Path) -> None:
    page, complaints = opened(browser, trained / "report.html", 718)  # A4 without its margins
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    matrix, by_class = (page.locator(f".errs table >> nth={place}").bounding_box() for place in (0, 1))
    assert matrix is not None
    assert by_class is not None
    assert matrix["x"] + matrix["width"] < by_class["x"]  # beside each other
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    visible = {place: page.locator(place).is_visible() for place in ("#cell-images", ".pills", ".confusion", "#worst")}
    assert visible == {"#cell-images": False, ".pills": False, ".confusion": True, "#worst": True}
    assert page.evaluate("getComputedStyle(document.querySelector('.sample')).printColorAdjust") == "exact"
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert complaints == []


@pytest.mark.parametrize(("width", "scheme"), [(1200, "dark"), (390, "light")])
def test_it_is_accessible(browser: Browser, trained: Path, width: int, scheme: Literal["light", "dark"]) -> None:
    page, _ = opened(browser, trained / "report.html", width)
    page.emulate_media(color_scheme=scheme)
    page.locator("details > summary", has_text="As a table").click()
    page.locator(".confusion button").first.click()
    assert_accessible(page)


def test_the_most_frequent_mistake_has_the_strongest_colour(browser: Browser, trained: Path, errors: dict[str, Any]) -> None:
    page, _ = opened(browser, trained / "report.html", 800)
    matrix = errors["confusion_matrix"]
    backgrounds = page.locator(".confusion tbody td").evaluate_all(
        "cells => cells.map(cell => getComputedStyle(cell).backgroundColor)"
    )
    shades = [rgba(background)[3] for background in backgrounds]
    mistakes = [0 if row == column else matrix[row][column] for row in range(10) for column in range(10)]
    assert shades == pytest.approx([0.75 * count / max(mistakes) for count in mistakes], abs=0.01)
