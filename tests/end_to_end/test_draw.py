"""The drawing page of a trained network: written by the real command, run by Node.js and used in a real browser."""

from __future__ import annotations

import io
import json
import math
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from mnist_exp.datasets.dataset import Dataset
from mnist_exp.export import node
from mnist_exp.export.drawing_page import Confidence
from tests import sample_pages
from tests.conftest import Command
from tests.end_to_end.conftest import Once
from tests.end_to_end.pages import CHROMIUM, assert_accessible, opened
from tests.forks import Forks

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    Points = Iterable[tuple[float, float]]

ONE = [(0.5, 0.2), (0.5, 0.5), (0.5, 0.8)]  # in parts of the drawing area
ZERO = [(0.5 + 0.2 * math.sin(angle), 0.5 - 0.3 * math.cos(angle)) for angle in np.linspace(0, 2 * math.pi, 20)]

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")
needs_node = pytest.mark.skipif(shutil.which(node.PROGRAM) is None, reason="Node.js is not installed")


@pytest.fixture(scope="module")
def exported(once: Once, trained: Path, forks: Forks) -> Path:
    """The directory of the page that `export` has written and checked."""

    def export(place: Path) -> None:
        copy = shutil.copytree(trained, place / trained.name)  # it gets a calibration
        arguments = ("export", str(copy), "--format", "html", "--output", str(place))
        forks.run(*arguments, cwd=place).check_returncode()

    return once("drawing", export)


@pytest.fixture(scope="module")
def drawing(once: Once, digits: Dataset) -> Path:
    """A page with a network that compares what is drawn with the mean of each digit."""
    place = once("drawing_of_digits", lambda place: sample_pages.drawing(place, digits, is_handwriting=True).touch())
    return place / "draw.html"


def draw(page: Page, points: Points) -> None:
    """Draw a stroke with the mouse."""
    box = page.locator("#pad").bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for x, y in places[1:]:
        page.mouse.move(x, y, steps=2)
    page.mouse.up()


def answer_is(page: Page, text: str) -> None:
    page.wait_for_selector(f'html[data-answer="{text}"]', timeout=10_000)


@needs_node
def test_the_script_of_the_page_classifies_all_test_images_as_the_model(
    exported: Path, trained: Path, digits: Dataset
) -> None:
    probabilities = node.load(exported / "draw.html")(digits.test_images)
    stored = np.load(trained / "predictions.npz")["probabilities"]
    difference = float(np.abs(probabilities - stored).max())
    assert difference <= 1e-3
    assert (probabilities.argmax(axis=1) != stored.argmax(axis=1)).sum() <= 2
    sidecar = json.loads((exported / "draw.html.json").read_text())
    assert sidecar["check"]["n"] == len(digits.test_images)
    assert sidecar["check"]["largest_difference"] == pytest.approx(difference, abs=1e-5)
    assert sidecar["runtime"]["name"] == "node"


def test_draw_writes_the_page_of_the_latest_run_and_opens_it(command: Command, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "runs" / trained.name)
    shown, browser = tmp_path / "shown", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {shown}\n')
    browser.chmod(0o700)
    environment = {"PATH": "/usr/bin:/bin", "BROWSER": f"{browser} %s", "HOME": str(tmp_path)}
    done = command("draw", "--output", "digits.html", env=environment)
    assert done.returncode == 0, done.stderr
    page = tmp_path / "digits.html"
    assert done.stdout == f"page: {page.as_uri()}\n"
    assert shown.read_text() == page.as_uri()
    shown.unlink()
    assert command("draw", "--output", "digits.html", "--no-open", env=environment).returncode == 0
    assert not shown.exists()


@needs_browser
class TestInABrowser:
    def test_what_is_drawn_is_answered(self, browser: Browser, drawing: Path) -> None:
        page, complaints = opened(browser, drawing, 1280)
        answer_is(page, "–")
        draw(page, ONE)
        answer_is(page, "1")
        page.locator("#spoken", has_text="1. ").wait_for(state="attached")
        page.get_by_role("button", name="Clear").click()
        answer_is(page, "–")
        draw(page, ZERO)
        answer_is(page, "0")
        page.get_by_role("button", name="Undo").click()  # the zero
        answer_is(page, "–")
        page.keyboard.press("Control+z")  # that it was cleared
        answer_is(page, "1")
        assert page.locator("#layers li").count() == 1
        assert page.locator("#bars li").all_inner_texts()[1].startswith("1")
        assert complaints == []

    def test_the_keyboard_draws(self, browser: Browser, drawing: Path) -> None:
        page, complaints = opened(browser, drawing, 1280)
        page.locator("#pad").focus()
        for key in ("ArrowUp",) * 8 + (" ",) + ("ArrowDown",) * 16 + ("Enter", "ArrowLeft"):
            page.keyboard.press(key)
        answer_is(page, "1")
        page.keyboard.press("Delete")
        answer_is(page, "–")
        assert complaints == []

    def test_a_finger_draws_on_a_phone(self, browser: Browser, drawing: Path) -> None:
        page, complaints = opened(browser, drawing, 390, has_touch=True, is_mobile=True)
        box = page.locator("#pad").bounding_box()
        assert box is not None
        touch = page.context.new_cdp_session(page)
        for number, (x, y) in enumerate([*ONE, ONE[-1]]):
            kind = "touchStart" if number == 0 else "touchMove" if number < len(ONE) else "touchEnd"
            points = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}] if kind != "touchEnd" else []
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        answer_is(page, "1")
        assert page.evaluate("scrollY") == 0
        answer = page.locator("#answer").bounding_box()
        assert answer is not None
        assert answer["y"] + answer["height"] < 844  # on the screen of a phone, next to the drawing
        assert complaints == []

    def test_a_photo_is_read_from_left_to_right(self, browser: Browser, drawing: Path, digits: Dataset) -> None:
        photo = np.full((90, 200), 210, np.uint8)
        indices = [int(np.flatnonzero(digits.test_labels == label)[2]) for label in (1, 0, 1)]
        for number, index in enumerate(indices):
            left = 10 + 62 * number
            photo[15:71, left : left + 56] -= digits.test_images[index, ..., 0].repeat(2, 0).repeat(2, 1) // 2
        content = io.BytesIO()
        Image.fromarray(photo).save(content, "PNG")
        page, complaints = opened(browser, drawing, 1280)
        draw(page, ZERO)
        page.locator("#file").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": content.getvalue()})
        page.wait_for_selector("#found button")
        assert page.locator("#found button").all_inner_texts() == ["1", "0", "1"]
        page.locator("#found button").nth(0).focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        answer_is(page, "0")
        page.locator("#file").set_input_files({"name": "b.png", "mimeType": "image/png", "buffer": b"no picture"})
        page.get_by_text("b.png is not a picture").first.wait_for()
        draw(page, ONE)
        answer_is(page, "1")
        assert page.locator("#found button").count() == 0
        assert complaints == []

    def test_a_test_image_is_answered_as_in_the_run(self, browser: Browser, exported: Path) -> None:
        page, complaints = opened(browser, exported / "draw.html", 1280)
        draw(page, ONE)
        button = page.locator("[aria-labelledby=wrong-title] button").first
        label, answer = button.inner_text().split(" → ")
        button.click()
        answer_is(page, answer)
        assert page.locator("#truth").inner_text() == f"label of the test image: {label}"
        assert button.get_attribute("aria-pressed") == "true"
        assert complaints == []

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_it_is_accessible(self, browser: Browser, drawing: Path, scheme: str) -> None:
        page, _ = opened(browser, drawing, 1280, color_scheme=scheme)
        draw(page, ONE)
        answer_is(page, "1")
        assert_accessible(page)

    def test_it_is_unsure_unless_one_class_remains(self, browser: Browser, digits: Dataset, tmp_path: Path) -> None:
        confidence = Confidence(temperature=2.0, threshold=0.05, confidence=0.99)
        page, complaints = opened(browser, sample_pages.drawing(tmp_path, digits, None, None, True, confidence), 1280)
        draw(page, ONE)
        answer_is(page, "unsure")
        assert page.locator("#verdict").inner_text().startswith("1, ")
        assert page.locator("#bars .chosen").count() > 1
        assert complaints == []
