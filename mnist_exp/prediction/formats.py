"""Readings as a table, JSON or CSV, printed one after the other: memory stays the same for any number of pictures."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, Protocol

from rich.console import Console

from mnist_exp.prediction.reader import TOP, Digit, Reading
from mnist_exp.terminal.messages import cell, csv_value

MAX_NAME = 40  # characters of a picture's name in the table
BOX = ("left", "top", "right", "bottom")
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

    def __init__(self, console: Console, paths: Sequence[str]) -> None:
        self._console = console
        self._width = min(max(len("picture"), *map(len, paths)), MAX_NAME)

    def begin(self) -> None:
        """Print the heading."""
        self._line("picture", "digit", "probability", "top three", "read")

    def add(self, reading: Reading) -> None:
        """Print the digits of a picture; the first line has its name and all that was read."""
        name, text = reading.name, reading.text.replace("\n", " / ")
        if len(name) > self._width:
            name = f"…{name[1 - self._width :]}"
        if not reading.digits:
            self._line(name, "", "", "", "no digits found")
        for digit in reading.digits:
            top = ", ".join(f"{class_name} {percent(share)}" for class_name, share in digit.top)
            self._line(name, describe(digit), percent(digit.probability), top, text)
            name = text = ""

    def end(self) -> None:
        """Print nothing."""

    def _line(self, name: str, digit: str, probability: str, top: str, text: str) -> None:
        line = f"{name:<{self._width}}  {digit:<12}  {probability:>11}  {top:<30}  {text}".rstrip()
        self._console.print(cell(line), soft_wrap=True)


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
    return Table(console, paths) if name == "table" else Json() if name == "json" else Csv()


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
