"""Panels with axes as SVG, written out: every process that trains draws two charts.

A library for charts would cost it 0.4 s and 200 MB at the first one, and 65 ms for each run. Text and axes take the colour
of the text around them, so that the same chart serves a light page, a dark one and print.
"""

import html
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

TICKS = 3  # of an axis, about
LEAST, MOST = 1e-300, 1e300  # what lies beyond cannot be divided into ticks
LETTER = 6.5  # pixels, of a font of 11, rather too wide: a reader's may be wider than ours
BELOW = 36  # pixels, for the labels and the title of the axis
GAP = 28  # pixels between two panels
EDGE = 14  # pixels at the right and above, for a label or a circle that reaches out


@dataclass(frozen=True)
class Scale:
    """From 0 to the end, with a tick at each step."""

    title: str
    end: float
    step: float

    @classmethod
    def of(cls, title: str, greatest: float, whole: bool = False) -> "Scale":
        """Up to a round number not far above the greatest value; or exactly to it, with ticks at whole numbers alone."""
        greatest = min(greatest, MOST) if greatest > LEAST else 1.0
        rough = greatest / TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        nice = ((1, 2**0.5), (2, 10**0.5), (5, 50**0.5), (10, math.inf))  # each up to halfway to the next, as a factor
        step = power * next(value for value, below in nice if rough / power < below)
        if whole:
            return cls(title, greatest, max(1.0, step))
        quarters = math.ceil(greatest / step * 4 - 1e-6)  # 0.1 is more in float32
        return cls(title, quarters / 4 * step, step)

    def ticks(self) -> list[tuple[float, str]]:
        """The values that have a label, as parts of the whole."""
        count = math.floor(self.end / self.step + 1e-9)
        return [(step * self.step / self.end, self._label(step * self.step)) for step in range(count + 1)]

    def _label(self, value: float) -> str:
        decimals = max(0, -math.floor(math.log10(self.step) + 1e-9))
        if value and (decimals > 4 or self.end >= 1e6):
            mantissa, _, exponent = f"{value:.1e}".partition("e")
            return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
        return f"{value:.{0 if decimals > 4 else decimals}f}"


@dataclass(frozen=True)
class Panel:
    """A plane with its axes; pixels count from its left and its top, and labels lie outside."""

    width: int
    height: int
    x: Scale
    y: Scale

    @property
    def left(self) -> float:
        """Pixels for the labels and the title of the axis that goes up."""
        return round(24 + LETTER * max(len(label) for _, label in self.y.ticks()))

    def place(self, x: np.ndarray, y: np.ndarray) -> list[tuple[str, str]]:
        """Where points lie, in pixels.

        Args:
            x: float (n,).
            y: float (n,).
        """
        across, down = x / self.x.end * self.width, (1 - y / self.y.end) * self.height
        return [(short(one), short(other)) for one, other in zip(across.tolist(), down.tolist(), strict=True)]

    def axes(self) -> str:
        """A light line behind the marks for each tick that goes up, both axes, what is written at them."""
        width, height = self.width, self.height
        up = [(short((1 - part) * height), label) for part, label in self.y.ticks()]
        lines = [f'<line x2="{width}" y1="{y}" y2="{y}" stroke-opacity=".12"/>' for y, _ in up]
        lines.append(f'<path d="M0,0V{height}H{width}" stroke-opacity=".5"/>')
        words = [text(-5, float(y) + 4, label, "end") for y, label in up]
        words += [text(part * width, height + 15, label, "middle") for part, label in self.x.ticks()]
        words.append(text(width / 2, height + 32, self.x.title, "middle"))
        words.append(text(12 - self.left, height / 2, self.y.title, "middle", turned=-90))
        return f'<g stroke="currentColor">{"".join(lines)}</g>{"".join(words)}'


def document(panels: Iterable[tuple[Panel, str]], above: str = "", height_above: int = EDGE) -> str:
    """Panels side by side.

    Args:
        panels: each with what is drawn on it.
        above: what stands over the first, from its left edge and the top of the document.
        height_above: in pixels.

    Returns:
        A document with the root <svg>.
    """
    parts: list[str] = []
    right, bottom = 0.0, 0
    for panel, marks in panels:
        left = right + panel.left + (GAP - EDGE if parts else 0)
        if not parts and above:
            parts.append(f'<g transform="translate({short(left)},0)">{above}</g>')
        parts.append(f'<g transform="translate({short(left)},{height_above})">{panel.axes()}{marks}</g>')
        right, bottom = left + panel.width + EDGE, max(bottom, height_above + panel.height + BELOW)
    size = f'width="{short(right)}" height="{bottom}" viewBox="0 0 {short(right)} {bottom}"'
    look = 'fill="none" font-family="system-ui, sans-serif" font-size="11"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {look}>{"".join(parts)}</svg>'


def text(x: float, y: float, words: str, anchor: str = "start", turned: int = 0) -> str:
    """Words on a line that begins, ends or has its middle there."""
    turn = f' transform="rotate({turned} {short(x)} {short(y)})"' if turned else ""
    where = f'x="{short(x)}" y="{short(y)}"{turn} text-anchor="{anchor}"'
    return f'<text {where} fill="currentColor" opacity=".85">{html.escape(words)}</text>'


def line(points: Iterable[tuple[str, str]], color: str) -> str:
    """A line through points in pixels."""
    path = "M" + "L".join(f"{x},{y}" for x, y in points)
    return f'<path d="{path}" stroke="{color}" stroke-width="2" stroke-linejoin="round"/>'


def circle(x: str, y: str, radius: float) -> str:
    """Filled as the group around it says."""
    return f'<circle cx="{x}" cy="{y}" r="{short(radius)}"/>'


def square(x: str, y: str, radius: float) -> str:
    """As wide as a circle with that radius, and filled as the group around it says."""
    side = short(2 * radius)
    return f'<rect x="{short(float(x) - radius)}" y="{short(float(y) - radius)}" width="{side}" height="{side}"/>'


def short(value: float) -> str:
    """At most two decimals."""
    return f"{round(value, 2) + 0.0:.7g}"  # no -0
