"""Pages in a real browser, and assertions about them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.contrast import Color

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Without the sandbox it runs as root in a container; the other flags keep it from looking for its maker's servers.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


def rgba(text: str) -> Color:
    """Of `rgb(1, 2, 3)` or `rgba(1, 2, 3, 0.4)`, the last from 0 to 1."""
    red, green, blue, *alpha = (float(number) for number in re.findall(r"[\d.]+", text))
    return red, green, blue, *(alpha or [1.0])


def over(front: Color, back: Color) -> Color:
    """A translucent colour in front of an opaque one."""
    return *(front[3] * one + (1 - front[3]) * other for one, other in zip(front[:3], back[:3], strict=True)), 1.0


def opened(browser: Browser, report: Path, width: int, **options: Any) -> tuple[Page, list[str]]:
    """The page at that width, and its errors, messages and requests."""
    page = browser.new_page(viewport={"width": width, "height": 900}, **options)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
    page.goto(report.as_uri())
    return page, complaints


def assert_accessible(page: Page) -> None:
    """axe-core finds no violation of WCAG or of its best practices on the page."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    found = axe.Axe().run(page).response
    assert len(found["passes"]) > 20, "axe-core checked almost nothing"
    violations = [
        f"{rule['id']} ({rule['impact']}): {node['html']}" for rule in found["violations"] for node in rule["nodes"]
    ]
    assert violations == []


def answering(browser: Browser, report: Path, width: int = 1200) -> tuple[Page, list[str]]:
    """The page of many runs with interactive charts, and its errors, messages and requests."""
    page, complaints = opened(browser, report, width)
    page.wait_for_selector("html[data-charts=ready]", timeout=120_000)
    return page, complaints


def column(page: Page, heading: str) -> list[str]:
    """The cells that are shown under a heading of the leaderboard."""
    return page.evaluate(  # type: ignore[no-any-return]
        """heading => {
          const table = document.querySelector('table[data-filter]')
          const place = [...table.tHead.rows[0].cells].findIndex(cell => cell.textContent.startsWith(heading))
          return [...table.tBodies[0].rows].filter(row => !row.hidden).map(row => row.cells[place].innerText)
        }""",
        heading,
    )
