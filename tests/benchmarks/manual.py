"""The measured tables of the manual: each is between two comments on one of its pages, where benchmarks replace it."""

import statistics
from collections.abc import Sequence
from pathlib import Path

PAGES = Path(__file__).parent.parent.parent / "mnist_exp" / "docs"
# Measurement → the comments before and after its table.
TABLES = {
    "training": ("<!-- make benchmark -->", "<!-- end -->"),
    "gpu": ("<!-- make benchmark-gpu -->", "<!-- end of gpu -->"),
    "sweeps": ("<!-- make benchmark-sweeps -->", "<!-- end of sweeps -->"),
    "searches": ("<!-- search table -->", "<!-- end of search table -->"),
    "comparison": ("<!-- make benchmark-comparison -->", "<!-- end of comparison -->"),
    "statistics": ("<!-- make statistics -->", "<!-- end of statistics -->"),
    "statistics-power": ("<!-- make statistics ARGS=--power -->", "<!-- end of power -->"),
    "statistics-runs": ("<!-- make statistics with runs -->", "<!-- end of runs -->"),
    "statistics-looks": ("<!-- make statistics-looks -->", "<!-- end of statistics-looks -->"),
    "records": ("<!-- make records -->", "<!-- end of records -->"),
    "speedrun": ("<!-- make speedrun -->", "<!-- end of speedrun -->"),
    "predict-sheets": ("<!-- make benchmark-predict -->", "<!-- end of predict -->"),
    "predict-doubts": ("<!-- doubts of predict -->", "<!-- end of doubts -->"),
    "predict-foreign": ("<!-- foreign digits -->", "<!-- end of foreign digits -->"),
    "faults": ("<!-- make faults -->", "<!-- end of faults -->"),
    "drawing": ("<!-- make benchmark-drawing -->", "<!-- end of drawing -->"),
    "repeats": ("<!-- repeats -->", "<!-- end of repeats -->"),
}


def spread(values: Sequence[float], decimals: int = 2) -> str:
    """Return the median and the range."""
    low, middle, high = (f"{value:,.{decimals}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low} – {high})"


def between(begin: str, end: str) -> str:
    """Read the text between two comments of the manual.

    Raises:
        ValueError: no page, or more than one, has each of the comments once, in this order.
    """
    return _split(begin, end)[2].strip("\n")


def replace_between(begin: str, end: str, text: str) -> None:
    """Replace the text between two comments of the manual.

    Raises:
        ValueError: no page, or more than one, has each of the comments once, in this order.
    """
    page, before, _, after = _split(begin, end)
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def _split(begin: str, end: str) -> tuple[Path, str, str, str]:
    """Find the page, and the text before, between and after the comments."""
    pages = [page for page in sorted(PAGES.glob("*.md")) if begin in page.read_text()]
    if len(pages) != 1:
        raise ValueError(f"{begin}: on {len(pages)} pages of {PAGES}, not on one")
    text = pages[0].read_text()
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(end) < text.index(begin):
        raise ValueError(f"{pages[0].name}: does not have {begin} and {end} once each, in this order")
    before, _, rest = text.partition(begin)
    middle, _, after = rest.partition(end)
    return pages[0], before, middle, after
