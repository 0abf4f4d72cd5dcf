"""The pictures of four pages for the README and the manual: of a run, of a sweep, of a comparison, and for drawing.

Run with `make screenshots ARGS=SWEEP`: a sweep that has been trained; the pictures go to .assets/. Look at them before they
are committed.
"""

import argparse
import io
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import ROOT
from tests.end_to_end.pages import CHROMIUM, FLAGS, opened
from tests.end_to_end.test_draw import draw

ASSETS = ROOT / ".assets"
WIDTH, HEIGHT = 1200, 1100  # pixels of a page that are shown
COLORS = 192  # of a picture, which makes it a third as large


def nothing(page: Page) -> None:
    """Leave a page as it is."""


def draw_digit(page: Page) -> None:
    """Draw a 3 and wait for the answer."""
    draw(page, [(0.33, 0.25), (0.5, 0.17), (0.66, 0.3), (0.48, 0.47), (0.68, 0.65), (0.53, 0.83), (0.3, 0.75)])
    page.wait_for_selector('html:not([data-answer="–"])')


def picture(
    browser: Browser,
    page: Path,
    name: str,
    from_selector: str,
    height: int = HEIGHT,
    prepare: Callable[[Page], None] = nothing,
) -> None:
    """The page from where that element begins, once its charts answer, at its natural size."""
    shown, complaints = opened(browser, page, WIDTH)
    if shown.locator("#charts").count():
        shown.wait_for_selector("html[data-charts=ready]", timeout=120_000)
    shown.set_viewport_size({"width": WIDTH, "height": height})
    prepare(shown)
    shown.locator(from_selector).first.evaluate("element => element.scrollIntoView({block: 'start'})")
    image = Image.open(io.BytesIO(shown.screenshot())).convert("RGB")
    image = image.quantize(COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    image.save(ASSETS / name, optimize=True)
    if complaints:
        raise RuntimeError(f"{page}: {complaints}")


def main() -> int:
    """Take them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sweep", type=Path)
    sweep = parser.parse_args().sweep
    run = min(path.parent for path in sweep.glob("*/report.html"))
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        comparison = Path(temporary) / "comparison.html"
        command = [sys.executable, "-m", "mnist_exp", "compare", str(sweep), "--output", str(comparison)]
        subprocess.run(command, check=True)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        picture(browser, run / "report.html", "report.png", "header")
        picture(browser, sweep / "report.html", "sweep.png", "header")
        drawing = Path(temporary) / "draw.html"
        command = [sys.executable, "-m", "mnist_exp", "draw", str(run), "--no-open", "--output", str(drawing)]
        subprocess.run(command, check=True)
        picture(browser, drawing, "draw.png", "header", 720, draw_digit)
        picture(browser, comparison, "comparison.png", "h2:text('Charts')")
        browser.close()
    print(f"look at them: {ASSETS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
