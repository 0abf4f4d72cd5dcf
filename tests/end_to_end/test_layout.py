"""The boxes of the elements of every page in a real browser: nothing collides, nothing is cut off, in light and dark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mnist_exp.datasets.dataset import Dataset
from tests import sample_pages
from tests.contrast import contrast
from tests.end_to_end.pages import CHROMIUM, opened, over, rgba

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")

WIDTHS = (360, 768, 1280, 1920)
PAGES: Mapping[str, Callable[[Path, Dataset], Path]] = {
    "run": sample_pages.run,
    "one_epoch": lambda directory, data: sample_pages.run(directory, data, epochs=1, validation=False),
    "long_names": lambda directory, _: sample_pages.of_classes(directory, 10),
    "many_classes": lambda directory, _: sample_pages.of_classes(directory, 47),
    "ensemble": sample_pages.ensemble,
    "comparison": lambda directory, _: sample_pages.comparison(directory),
    "sweep": lambda directory, _: sample_pages.sweep(directory),
    "search": lambda directory, _: sample_pages.search(directory),
    "drawing": lambda directory, data: sample_pages.drawing(directory, data, is_handwriting=True),
    "drawing_of_photos": lambda directory, _: sample_pages.drawing(directory, sample_pages.photos(47)),
}
# What must fit at every width; from WIDE on, also the table of epochs, charts and settings.
ALWAYS = "nav, .numbers > div > span, .scroll:not(:has(thead tr + tr))"
WIDE = 1280
# The number of elements that scroll, without a shadow that shows it.
UNMARKED = """all => all.filter(one => one.scrollWidth > one.clientWidth + 1)
  .filter(one => !getComputedStyle(one).backgroundImage.includes("gradient")).length"""
# Faults at the present width: texts that overlap (each line of a text has a box of its own), texts outside their cards, and
# what scrolls to the side: the page itself, or something that matches `fits`.
FAULTS = """
fits => {
  const name = text => text.trim().replace(/\\s+/g, ' ').slice(0, 40)
  const faults = new Set()
  const lines = []
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) {
    const { data, parentElement: element } = walker.currentNode
    if (!data.trim() || !element.checkVisibility({ opacityProperty: true })) continue
    const range = document.createRange()
    range.selectNodeContents(walker.currentNode)
    const region = element.closest('.scroll, .chart, pre')?.getBoundingClientRect()
    const card = element.closest('section')?.getBoundingClientRect()
    const isInside = (box, outer) => !outer || box.left >= outer.left - 1 && box.right <= outer.right + 1
      && box.top >= outer.top - 1 && box.bottom <= outer.bottom + 1
    for (const box of range.getClientRects()) {
      if (box.width < 1 || !isInside(box, region)) continue // it is reached by scrolling
      if (!isInside(box, card)) faults.add(`outside its card: ${name(data)}`)
      const spare = 0.22 * box.height // a box is taller than its letters
      lines.push({ data, left: box.left + 1, right: box.right - 1, top: box.top + spare, bottom: box.bottom - spare })
    }
  }
  lines.sort((one, other) => one.top - other.top)
  lines.forEach((one, place) => {
    for (const other of lines.slice(place + 1)) {
      if (other.top >= one.bottom) break
      if (one.left < other.right && other.left < one.right) faults.add(`overlap: ${name(one.data)} | ${name(other.data)}`)
    }
  })
  if (document.documentElement.scrollWidth > innerWidth) faults.add('the page scrolls to the side')
  for (const element of document.querySelectorAll('.scroll, .chart, pre, nav, .numbers > div > span')) {
    if (element.matches(fits) && element.checkVisibility() && element.scrollWidth > element.clientWidth + 1)
      faults.add(`cut off: ${element.ariaLabel ?? name(element.textContent)}`)
  }
  return [...faults]
}
"""
# Each combination of the colour and opacity of a text with the backgrounds around it, and one such text.
COLORS = """
() => {
  const found = new Map()
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) {
    const { data, parentElement: element } = walker.currentNode
    if (!data.trim() || !element.checkVisibility()) continue
    if (element.closest('.symbol, [class^=grid] .role-mark')) continue // marks; numbers of heat maps have a unit test
    const around = []
    for (let one = element; one; one = one.parentElement) around.push(getComputedStyle(one))
    const color = element instanceof SVGElement ? around[0].fill : around[0].color
    const opacity = around.reduce((product, style) => product * style.opacity, 1)
    const backgrounds = around.map(style => style.backgroundColor)
    found.set([color, opacity, ...backgrounds].join(), [color, opacity, backgrounds, data.trim().slice(0, 40)])
  }
  return [...found.values()]
}
"""
# The colours of the marks of charts.
MARKS = """
() => ['fill', 'stroke']
  .flatMap(name => [...document.querySelectorAll('svg path')].map(path => path.getAttribute(name)))
  .filter((color, place, all) => /^#[0-9a-f]{6}$/.test(color) && all.indexOf(color) === place)
"""


def unreadable(page: Page) -> list[str]:
    """Return texts with a contrast below 4.5 : 1 to what is behind them, as WCAG 2.2 requires (1.4.3)."""
    found = []
    for color, opacity, backgrounds, text in page.evaluate(COLORS):
        behind = (255.0, 255.0, 255.0, 1.0)
        for background in reversed(backgrounds):
            behind = over(rgba(background), behind)
        *ink, alpha = rgba(color)
        if contrast(over((*ink, alpha * opacity), behind), behind) < 4.5:
            found.append(f"{text}: {color} on {behind}")
    return found


@pytest.mark.parametrize("kind", PAGES)
def test_nothing_collides_is_cut_off_or_unreadable(browser: Browser, digits: Dataset, tmp_path: Path, kind: str) -> None:
    page, complaints = opened(browser, PAGES[kind](tmp_path, digits), WIDTHS[0])
    if page.locator("#charts").count():
        page.wait_for_selector("html[data-charts=ready]")
    faults: dict[int | str, Any] = {}
    leaderboard = page.locator("table[data-filter]")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")  # charts adapt
        faults[width] = page.evaluate(FAULTS, "*" if width >= WIDE else ALWAYS)
        assert page.locator(".scroll, .chart").evaluate_all(UNMARKED) == 0
        if leaderboard.count():  # with three settings and four seeds a table; with eight settings only on the widest page
            is_record = "records" in str(leaderboard.get_attribute("class"))
            assert is_record == (width < (WIDTHS[-1] if kind == "search" else WIDE))
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    for scheme, opposite in (("light", (0, 0, 0)), ("dark", (255, 255, 255))):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        card = rgba(page.evaluate("getComputedStyle(document.querySelector('section')).backgroundColor"))
        assert contrast(card, opposite) > 12
        faults[scheme] = unreadable(page)
        faults[f"marks, {scheme}"] = [one for one in page.evaluate(MARKS) if contrast((*bytes.fromhex(one[1:]),), card) < 3]
    assert {where: what for where, what in faults.items() if what} == {}
    links = page.locator("nav a").evaluate_all("all => all.map(({ hash }) => [hash, !!document.querySelector(hash)])")
    assert len(links) >= 2
    assert [target for target, exists in links if not exists] == []
    assert complaints == []
