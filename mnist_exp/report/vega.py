"""Vega-Lite: the appearance of the charts of many runs, a chart as SVG, and the JavaScript library for interactive charts.

Text and axes have the colour of the surrounding text, the data have colours with enough contrast on white and on black: one
chart serves a light page, a dark page and print.
"""

import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from mnist_exp.errors import EnvironmentFailure
from mnist_exp.machine import files
from mnist_exp.report.encodings import TOUCH, Row, Spec
from mnist_exp.report.page import TEMPLATES
from mnist_exp.terminal import messages

# The page describes a chart as a whole, so no mark has a label (`aria`). Each label of an axis takes half a millisecond, so
# there are about three (`tickCount`), without a limit of their length (`labelLimit`), for which each is measured twice.
CONFIG: Spec = json.loads((TEMPLATES / "vega.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Chart:
    """A chart of a page."""

    name: str
    title: str
    description: str  # for readers who cannot see it
    table: str  # the name of its rows; charts with the same name share them
    rows: Sequence[Row]
    spec: Spec
    note: str = ""  # how to read it
    wide: bool = False  # as wide as the page
    min_width: int = 0  # pixels: on a narrower page it scrolls


def static_svg(chart: Chart) -> str:
    """Draw a chart as a document with the root <svg>: how the page shows it without JavaScript.

    The first one in a process starts a JavaScript engine and its threads: 0.4 s and 200 MB, which only the report of a sweep
    needs. A child forked after that must not draw: it would wait for threads that it does not have.
    """
    import vl_convert

    layers = [layer for layer in chart.spec["layer"] if layer.get("name") != TOUCH]
    whole = chart.spec | {"layer": layers, "data": {"values": chart.rows}, "config": CONFIG}
    return vl_convert.vegalite_to_svg(_sanitize(whole))


def _sanitize(node: Any) -> Any:
    """Remove control characters from all text, also from keys: for some of them, the converter ends the process."""
    if isinstance(node, dict):
        return {messages.sanitize(key): _sanitize(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_sanitize(value) for value in node]
    return messages.sanitize(node) if isinstance(node, str) else node


def page_data(charts: Sequence[Chart]) -> dict[str, Any]:
    """Return what templates/charts.js draws the charts from."""
    return {
        "config": CONFIG,
        "charts": {chart.name: {"table": chart.table, "spec": chart.spec} for chart in charts},
        "data": {chart.table: chart.rows for chart in charts},
    }


def javascript() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script.

    To build it takes seconds, so it is kept in the user's cache, under its checksum: two processes may write it at once.
    """
    cached = files.user_cache() / f"vega-{metadata.version('vl-convert-python')}.js"
    with contextlib.suppress(OSError, ValueError):
        checksum, _, script = cached.read_text(encoding="utf-8").partition("\n")
        if checksum == _checksum(script):
            return script
    import vl_convert

    script = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub lacks the defaults
    with contextlib.suppress(OSError, EnvironmentFailure):  # the page needs no cache
        cached.parent.mkdir(parents=True, exist_ok=True)
        files.write(cached, f"{_checksum(script)}\n{script}".encode())
    return script


def _checksum(script: str) -> str:
    return f"// {hashlib.sha256(script.encode()).hexdigest()}"
