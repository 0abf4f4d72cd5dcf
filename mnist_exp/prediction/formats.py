"""Readings as a table, JSON or CSV, one after the other: memory stays the same for any number of pictures."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mnist_exp.prediction.reader import TOP
from mnist_exp.prediction.reading import Digit, Reading
from mnist_exp.terminal.messages import csv_value, sanitize

MAX_NAME = 40  # characters of a picture's name in the table
READ = 12  # characters of what was read, at least; in a narrower terminal, name and text are on a line of their own
BOX = ("left", "top", "right", "bottom")
RANKS = ("first", "second", "third")[:TOP]
TOPS = tuple(f"{rank}{suffix}" for rank in RANKS for suffix in ("", "_probability"))
FIELDS = ("file", "line", *BOX, "answer", "verdict", "probability", "set", *TOPS)


def texts(form: str, readings: Iterable[Reading], width: int, names: Sequence[str]) -> Iterator[str]:
    """Yield the text of readings in a format, part by part.

    Args:
        form: table, json or csv.
        readings: of pictures, in order.
        width: of the terminal, for a table.
        names: of all pictures, for a table.
    """
    if form == "table":
        return (f"{sanitize(line).rstrip()}\n" for line in _table(readings, width, names))
    return _json(readings) if form == "json" else _csv(readings)


def _table(readings: Iterable[Reading], width: int, names: Sequence[str]) -> Iterator[str]:
    """Yield a line for each digit. The first of a picture, or in a narrow terminal one before it, has all that was read."""
    heading, before = _columns("digit", "probability", "top three"), min(max(len("picture"), *map(len, names)), MAX_NAME)
    is_narrow = width < before + 2 + len(heading) + 2 + READ
    yield from ("picture: read", f"  {heading}") if is_narrow else (f"{'picture':<{before}}  {heading}  read",)
    for reading in readings:
        name, text = reading.name, reading.text.replace("\n", " / ") or "no digits found"
        digits = [_columns(describe(one), percent(one.probability), tops(one)) for one in reading.digits]
        if is_narrow:
            yield from (f"{name}: {text}", *(f"  {digit}" for digit in digits))
            continue
        name = name if len(name) <= before else f"…{name[1 - before :]}"
        for digit in digits or [""]:
            yield f"{name:<{before}}  {digit:<{len(heading)}}  {text}"
            name = text = ""


def _columns(digit: str, probability: str, top: str) -> str:
    return f"{digit:<12}  {probability:>11}  {top:<30}"


def _json(readings: Iterable[Reading]) -> Iterator[str]:
    """Yield a list with an object for each picture, on a line of its own."""
    before = "["
    for reading in readings:
        yield f"{before}\n  {json.dumps(reading.content(), allow_nan=False)}"
        before = ","
    yield "[]\n" if before == "[" else "\n]\n"


def _csv(readings: Iterable[Reading]) -> Iterator[str]:
    """Yield the names of the columns, and a row for each digit."""
    yield ",".join(FIELDS) + "\n"
    for reading in readings:
        for number, line in enumerate(reading.lines, 1):
            for digit in line:
                row: dict[str, Any] = {"file": reading.name, "line": number, **dict(zip(BOX, digit.box, strict=True))}
                row |= {"answer": digit.answer, "verdict": digit.verdict, "probability": f"{digit.probability:.6f}"}
                row["set"] = None if digit.set is None else " ".join(digit.set)
                for rank, (name, probability) in zip(RANKS, digit.top, strict=False):
                    row |= {rank: name, f"{rank}_probability": f"{probability:.6f}"}
                text = io.StringIO()
                csv.writer(text, lineterminator="\n").writerow(csv_value(row.get(field)) for field in FIELDS)
                yield text.getvalue()


def tops(digit: Digit) -> str:
    """Return the most probable classes with their probabilities."""
    return ", ".join(f"{name} {percent(share)}" for name, share in digit.top)


def describe(digit: Digit) -> str:
    """Return the answer in words."""
    if digit.verdict == "not a digit":
        return digit.verdict
    if digit.verdict == "unsure":
        return f"{' or '.join(digit.set)}?" if digit.set and len(digit.set) <= TOP else f"{digit.top[0][0]}?"
    return digit.top[0][0]


def percent(probability: float) -> str:
    """Return a probability in percent; 100 % only if nothing remains."""
    return f"{100 * probability:.1f} %" if not 0.9995 <= probability < 1 else "> 99.9 %"
