"""Vega-Lite: the look of the charts of many runs, a chart as SVG, and the library for a page whose charts answer.

Text and axes take the colour of the text around them, the data colours that stand out on white and on black; so the same
chart serves a light page, a dark one, print, and as a file of its own.
"""

import contextlib
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from mnist_exp.errors import EnvironmentFailure
from mnist_exp.machine import files

Spec = dict[str, Any]
Data = Mapping[str, Sequence[dict[str, Any]]]  # rows by the name of their table

TOUCH = "touch"  # the name of a layer that is there for the pointer alone
TICKS = 3  # of an axis, about: to measure and place a label takes half a millisecond
LOOK: Spec = {
    "background": None,
    "aria": False,  # the page describes the chart as a whole; a label for each mark would double its size
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "domainColor": "currentColor",
        "domainOpacity": 0.5,
        "grid": True,
        "gridColor": "currentColor",
        "gridOpacity": 0.12,
        "labelColor": "currentColor",
        "labelFontSize": 11,
        "labelLimit": 0,  # with a limit each is measured twice
        "labelOpacity": 0.8,
        "tickCount": TICKS,
        "ticks": False,
        "titleColor": "currentColor",
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "titleLimit": 0,
        "titlePadding": 9,
    },
    "axisX": {"grid": False},
    "legend": {
        "columnPadding": 48,  # a reader's font may be wider than the one that Vega measures
        "labelColor": "currentColor",
        "labelFontSize": 11,
        "labelLimit": 0,
        "offset": 8,
        "orient": "top",
        "title": None,
    },
    "text": {"color": "currentColor", "fontSize": 10, "opacity": 0.8},
}


@dataclass(frozen=True)
class Chart:
    """A chart of a page, apart from its data, which it shares with others."""

    name: str
    title: str
    description: str  # for those who cannot see it
    table: str  # the name of its data
    spec: Spec
    note: str = ""  # how to read it
    broad: bool = False  # as wide as the page
    least: int = 0  # pixels: on a narrower page it scrolls


def svg(spec: Spec) -> str:
    """A chart as a document with the root <svg>.

    The first one of a process starts a JavaScript engine and its threads: 0.4 s, and 200 MB that only the report of a sweep
    needs. A child forked after that must not draw: it would wait for threads that it does not have.
    """
    import vl_convert

    return vl_convert.vegalite_to_svg(spec | {"config": LOOK})


def static_svg(chart: Chart, data: Data) -> str:
    """A chart of a page as it looks without JavaScript; `on_page` is what takes its place."""
    spec = chart.spec | {"data": {"values": data[chart.table]}}
    if "layer" in spec:
        spec["layer"] = [layer for layer in spec["layer"] if layer.get("name") != TOUCH]
    return svg(spec)


def on_page(charts: Sequence[Chart], data: Data) -> dict[str, Any]:
    """What templates/charts.js makes the charts from."""
    specs = {chart.name: {"table": chart.table, "spec": chart.spec} for chart in charts}
    used = {chart.table for chart in charts}
    return {"look": LOOK, "charts": specs, "data": {table: rows for table, rows in data.items() if table in used}}


def library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script; kept in the user's cache, since it takes seconds to make.

    Its checksum stands above it: two processes may have written it at once.
    """
    kept = _cache() / f"vega-{metadata.version('vl-convert-python')}.js"
    with contextlib.suppress(OSError, ValueError):
        checksum, _, script = kept.read_text(encoding="utf-8").partition("\n")
        if checksum == _checksum(script):
            return script
    import vl_convert

    script = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub knows no defaults
    with contextlib.suppress(OSError, EnvironmentFailure):  # no place to keep it
        kept.parent.mkdir(parents=True, exist_ok=True)
        files.write(kept, f"{_checksum(script)}\n{script}".encode())
    return script


def _checksum(script: str) -> str:
    return f"// {hashlib.sha256(script.encode()).hexdigest()}"


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "mnist-exp"  # noqa: PTH111  (never fails)
