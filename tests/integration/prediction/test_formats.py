"""Readings as a table, JSON or CSV: in a narrow terminal too, and in a file while a bar is shown."""

import io
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from mnist_exp.prediction import formats
from mnist_exp.prediction.reading import Digit, Reading
from mnist_exp.terminal import messages

NAME = "scans/of/a/long/folder/note.png"


def reading(*rows: str) -> Reading:
    top = [("7", 0.9996), ("2", 0.0004), ("9", 0.0)]
    digit = Digit((0, 0, 9, 9), np.zeros((28, 28, 1), np.uint8), top, ["7"], "sure")
    return Reading(NAME, [[digit for _ in row] for row in rows], None)


def table(width: int, readings: Sequence[Reading]) -> list[str]:
    return "".join(formats.texts("table", readings, width, [NAME])).splitlines()


def test_a_table_has_the_name_and_the_text_on_the_first_line_of_a_picture() -> None:
    heading, first, second, empty = table(120, [reading("7", "7"), reading()])
    assert heading.split() == ["picture", "digit", "probability", "top", "three", "read"]
    assert re.fullmatch(rf"{NAME}  7 +> 99\.9 %  7 > 99\.9 %, 2 0\.0 %, 9 0\.0 %  +7 / 7", first)
    assert second == first.replace(NAME, " " * len(NAME)).removesuffix("7 / 7").rstrip()
    assert empty.split(maxsplit=1) == [NAME, "no digits found"]


def test_a_narrow_terminal_has_them_on_a_line_of_their_own() -> None:
    lines = table(80, [reading("7", "7"), reading()])
    assert lines[0] == "picture: read"
    assert lines[2] == f"{NAME}: 7 / 7"
    assert lines[3] == lines[4] == "  7                > 99.9 %  7 > 99.9 %, 2 0.0 %, 9 0.0 %"
    assert lines[5:] == [f"{NAME}: no digits found"]


def test_a_gap_nearly_as_wide_as_the_digits_are_high_is_a_space() -> None:
    (line,) = reading("777").lines
    placed = [replace(digit, box=(left, 0, left + 60, 100)) for digit, left in zip(line, (0, 150, 240), strict=True)]
    assert Reading(NAME, [placed], None).text == "7 77"


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("form", ["csv", "json"])
def test_readings_go_to_the_file_while_a_bar_and_errors_go_to_the_terminal(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", Terminal())
    with messages.progress_bar("pictures", 2) as advance:
        for text in formats.texts(form, [reading("77")], 80, [NAME]):
            print(text, end="")
        messages.error("b.png: is empty", "the other pictures are read")
        advance(2)
    written, shown = sys.stdout.getvalue(), sys.stderr.getvalue()
    assert len(written.splitlines()) == 3 if form == "csv" else json.loads(written)[0]["text"] == "77"
    assert "2/2" in shown
    assert re.search(r"(\n|\r|\x1b\[2K)(\x1b\[[0-9;]*m)*error:(\x1b\[[0-9;]*m)* b\.png: is empty", shown)
