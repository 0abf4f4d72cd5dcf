"""Readings as a table, JSON or CSV, printed one after the other: memory stays the same for any number of pictures."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, Protocol

from rich.console import Console

from mnist_exp.prediction.reader import TOP
from mnist_exp.prediction.reading import Digit, Reading
from mnist_exp.terminal.messages import cell, csv_value

MAX_NAME = 40  # characters of a picture's name in the table
READ = 12  # characters of what was read, at least; in a narrower terminal, name and text are on a line of their own
BOX = ("left", "top", "right", "bottom")
READ = 12  # characters of what was read for which a table has room, at least
RANKS = ("first", "second", "third")[:TOP]


class Printer(Protocol):
    """Prints readings."""

    def begin(self) -> None:
        """Print what is before the first reading."""

    def add(self, reading: Reading) -> None:
        """Print a reading."""

    def end(self) -> None:
        """Print what is after the last reading."""


class Table:
    """A line for each digit, with columns of fixed widths."""

    def __init__(self, console: Console, width: int) -> None:
        self._console = console
        self._width = width  # of the names of pictures

    def begin(self) -> None:
        """Print the heading."""
        self._line("picture", HEADING, "read")

    def add(self, reading: Reading) -> None:
        """Print the digits of a picture; the first line has its name and all that was read."""
        name, text = reading.name, _one_line(reading)
        if len(name) > self._width:
            name = f"…{name[1 - self._width :]}"
        for digit in _details(reading) or [""]:
            self._line(name, digit, text)
            name = text = ""

    def end(self) -> None:
        """Print nothing."""

    def _line(self, name: str, digit: str, text: str) -> None:
        self._console.print(cell(f"{name:<{self._width}}  {digit:<{len(HEADING)}}  {text}".rstrip()), soft_wrap=True)


class NarrowTable:
    """The same for a narrow terminal: a line with the name of a picture and all that was read, then one for each digit."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self) -> None:
        """Print the heading."""
        self._line("picture: read")
        self._line(f"  {HEADING}")

    def add(self, reading: Reading) -> None:
        """Print a picture."""
        self._line(f"{reading.name}: {_one_line(reading)}")
        for digit in _details(reading):
            self._line(f"  {digit}")

    def end(self) -> None:
        """Print nothing."""

    def _line(self, text: str) -> None:
        self._console.print(cell(text.rstrip()), soft_wrap=True)


def _one_line(reading: Reading) -> str:
    return reading.text.replace("\n", " / ") or "no digits found"


def _details(reading: Reading) -> list[str]:
    """Return a line with the columns of each digit."""
    tops = [", ".join(f"{name} {percent(share)}" for name, share in digit.top) for digit in reading.digits]
    return [_columns(describe(one), percent(one.probability), top) for one, top in zip(reading.digits, tops, strict=True)]


def _columns(digit: str, probability: str, top: str) -> str:
    return f"{digit:<12}  {probability:>11}  {top:<30}"


HEADING = _columns("digit", "probability", "top three")


class Json:
    """A list with an object for each picture."""

    def __init__(self) -> None:
        self._separator = ""

    def begin(self) -> None:
        """Print the begin of the list."""
        print("[", end="")

    def add(self, reading: Reading) -> None:
        """Print an object, on a line of its own."""
        print(f"{self._separator}\n  {json.dumps(reading.content(), allow_nan=False)}", end="")
        self._separator = ","

    def end(self) -> None:
        """Print the end of the list."""
        print("\n]" if self._separator else "]")


class Csv:
    """A row for each digit."""

    def __init__(self) -> None:
        ranks = [f"{rank}{suffix}" for rank in RANKS for suffix in ("", "_probability")]
        self._fields = ["file", "line", *BOX, "answer", "verdict", "probability", "set", *ranks]

    def begin(self) -> None:
        """Print the names of the columns."""
        self._row(dict(zip(self._fields, self._fields, strict=True)))

    def add(self, reading: Reading) -> None:
        """Print the rows of a picture; none if no digits were found."""
        for number, line in enumerate(reading.lines, 1):
            for digit in line:
                row: dict[str, Any] = {"file": reading.name, "line": number, **dict(zip(BOX, digit.box, strict=True))}
                row |= {"answer": digit.answer, "verdict": digit.verdict, "probability": f"{digit.probability:.6f}"}
                row["set"] = None if digit.set is None else " ".join(digit.set)
                for rank, (name, probability) in zip(RANKS, digit.top, strict=False):
                    row |= {rank: name, f"{rank}_probability": f"{probability:.6f}"}
                self._row(row)

    def end(self) -> None:
        """Print nothing."""

    def _row(self, row: dict[str, Any]) -> None:
        text = io.StringIO()
        csv.DictWriter(text, self._fields, lineterminator="\n").writerow(
            {key: csv_value(value) for key, value in row.items()}
        )
        print(text.getvalue(), end="")


def printer(name: str, console: Console, paths: Sequence[str]) -> Printer:
    """Return the printer of a format: table, json or csv; a table is printed on a console, as wide as the names need."""
    if name != "table":
        return Json() if name == "json" else Csv()
    width = min(max(len("picture"), *map(len, paths)), MAX_NAME)
    is_narrow = console.width < width + 2 + len(HEADING) + 2 + READ
    return NarrowTable(console) if is_narrow else Table(console, width)


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
