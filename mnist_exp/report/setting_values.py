"""The values of a setting along an axis: their order and their labels."""

import re
from collections.abc import Iterable
from typing import Any

from mnist_exp.config.conversions import format_value
from mnist_exp.report.chart_numbers import LARGEST


def is_number(value: Any) -> bool:
    """Return whether a value is a number that can be drawn."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -LARGEST < value < LARGEST


def ordered(values: Iterable[Any]) -> list[Any]:
    """Return each value once: numbers by size, then texts and lists in natural order (a9 before a10), null last."""
    return sorted({format_value(value): value for value in values}.values(), key=_key)


def label(value: Any) -> str:
    """Return a value as a label: as in overrides, and null as "not set"."""
    return "not set" if value is None else format_value(value)


def short(value: Any, most: int | None = None) -> str:
    """Return a value in at most `most` characters: a number to three digits."""
    text = " ".join((f"{value:.3g}" if isinstance(value, float) else label(value)).split())
    return text if most is None or len(text) <= most else f"{text[: most - 1]}…"


def _key(value: Any) -> tuple[bool, bool, float, str]:
    number = float(value) if is_number(value) else 0.0
    natural = re.sub(r"\d+", lambda digits: digits[0].zfill(20), format_value(value))
    return value is None, not is_number(value), number, natural
