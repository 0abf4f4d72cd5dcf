"""The boxes of the elements of every page in a real browser: nothing collides, nothing is cut off, at each width."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mnist_exp.report import comparison_page
from tests import boards
from tests.end_to_end.pages import CHROMIUM, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")

SETTINGS = {"model.name": ["mlp", "cnn_simple"], "optimizer.learning_rate": [1e-3, 1e-2]}
WIDTHS = (360, 390, 768, 1280, 1920)
# Texts whose boxes overlap; elements wider than the page; from 1280 pixels on, and for the confusion matrix always, elements
# that scroll to the side.
FAULTS = """
wide => {
  const name = element => `${element.className || element.tagName}: ${element.textContent.trim().slice(0, 40)}`
  const boxes = [...document.querySelectorAll('.numbers span, .numbers small, nav a, h1, h2, h3, .path, .kicker')]
    .filter(element => element.checkVisibility())
    .map(element => {
      const range = document.createRange()
      range.selectNodeContents(element)
      return [element, range.getBoundingClientRect()]
    })
  const faults = []
  boxes.forEach(([one, a], place) => {
    for (const [other, b] of boxes.slice(place + 1)) {
      if (a.left + 1 < b.right && b.left + 1 < a.right && a.top + 3 < b.bottom && b.top + 3 < a.bottom)
        faults.push(`overlap: ${name(one)} | ${name(other)}`)
    }
  })
  if (document.documentElement.scrollWidth > innerWidth) faults.push('the page scrolls to the side')
  for (const region of document.querySelectorAll('.scroll')) {
    const checked = wide || region.querySelector('.confusion')
    if (checked && region.checkVisibility() && region.scrollWidth > region.clientWidth + 1)
      faults.push(`cut off: ${region.ariaLabel}`)
  }
  return faults
}
"""


def faults(browser: Browser, path: Path) -> dict[int, Any]:
    """Return what collides or is cut off, by the width of the page."""
    page, _ = opened(browser, path, WIDTHS[0])
    found = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        found[width] = page.evaluate(FAULTS, width >= 1280)
    page.close()
    return {width: one for width, one in found.items() if one}


def test_nothing_collides_or_is_cut_off(browser: Browser, trained: Path, tmp_path: Path) -> None:
    comparison_page.write(tmp_path / "page.html", boards.grid(tmp_path / "runs", SETTINGS, seeds=3))
    large = tmp_path / "large.html"
    text = (trained / "report.html").read_text()
    large.write_text(re.sub(r"<span>[\d,]+</span><small>parameters", "<span>14,861,456</span><small>parameters", text))
    assert "14,861,456" in large.read_text()
    for path in (large, tmp_path / "page.html"):
        assert faults(browser, path) == {}
