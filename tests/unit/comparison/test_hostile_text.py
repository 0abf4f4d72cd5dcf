"""Text of untrusted run directories is inert in every format of a comparison."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnist_exp.comparison import columns, export, tables
from mnist_exp.comparison.ranking import compare
from mnist_exp.machine import files
from mnist_exp.report import vega
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import read_record
from mnist_exp.terminal.messages import csv_value
from tests.boards import row

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
CHARACTERS = "\x00\x07\x1b\r\n\t\x7f\x9b\u200e\u202e\u2066\ufeff\ud800[]()!<>&*_`~|\\$%#{}^\"'=+-@:/.wx é0"
HOSTILE = st.text(st.sampled_from(CHARACTERS), max_size=30) | st.sampled_from(
    ["\x1b]0;owned\x07", "\x1b[2J", "![x](http://h/y)", "<http://h>", "www.h.de", "a@b.de", "=1+1", "`x`"]
)


def active_markdown(text: str) -> list[str]:
    """Return what GitHub's Markdown would make an image, a link, code or HTML of."""
    return re.findall(r"(?<!\\)\[|(?<!\\)`|<(?!/?br)|(?<![\w&])https?://|www\.|\w@\w", text)


@given(HOSTILE)
def test_markdown_is_inert(text: str) -> None:
    escaped = tables.escape_markdown(text)
    backslashes = re.sub(r"\\\\", "", escaped)
    assert not active_markdown(backslashes)
    assert not CONTROL.search(escaped)
    assert "\n" not in escaped


@given(HOSTILE)
def test_a_csv_cell_has_no_control_character_and_is_no_formula(text: str) -> None:
    value = csv_value(text)
    assert not CONTROL.search(value)
    assert not value.startswith(("=", "@"))
    stream = io.StringIO()
    csv.writer(stream).writerow([value])
    assert next(csv.reader(io.StringIO(stream.getvalue()))) == [value]


@given(st.dictionaries(HOSTILE, HOSTILE, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
def test_a_file_has_no_control_character(tmp_path: Path, content: dict[str, str]) -> None:
    files.write_json(tmp_path / "file.json", content)
    assert not CONTROL.search((tmp_path / "file.json").read_text())
    assert json.loads((tmp_path / "file.json").read_text()) == content


@pytest.mark.parametrize("text", ["\x1b]0;x\x07", "a\x00b", "\ud800", "\u202e", "x[y]", "a.b\\c"])
def test_the_converter_of_charts_never_sees_a_control_character(text: str) -> None:
    clean = vega._sanitize({text: text, "list": [text, {text: 1}], "number": 1.5})
    assert not CONTROL.search("".join([*clean, clean[next(iter(clean))], clean["list"][0], *clean["list"][1]]))
    assert vega._sanitize({"a": (1, None, True)}) == {"a": [1, None, True]}


def test_all_formats_of_a_comparison(tmp_path: Path) -> None:
    hostile = "\x1b]0;x\x07![x](http://h)\u202e"
    comparison = compare(
        [row(tmp_path / name, {"model.name": setting}, 100) for name, setting in (("a", hostile), ("b", "b"))]
    )
    shown = columns.build(comparison)
    texts = [tables.to_markdown(comparison, shown), tables.to_latex(comparison, shown), export.to_csv([comparison])]
    for text in texts:
        assert not CONTROL.search(text)
        assert "�" in text
    assert not active_markdown(texts[0])


def summary_of(place: Path) -> dict[str, Any]:
    """The content of summary.json of a run in the directory `run`."""
    return row(place / "run", {"model.name": "a"}, 100).summary.model_dump(mode="json")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train_seconds", 1.7e308),
        ("wall_seconds", -1.0),
        ("epochs", 10**400),
        ("images_per_second", 1e16),
        ("best_epoch", -1),
    ],
)
def test_a_number_out_of_range_makes_a_run_unreadable(key: str, value: float, tmp_path: Path) -> None:
    content = summary_of(tmp_path)
    Run(tmp_path / "run").summary.write_text(json.dumps(content | {key: value}))
    record = read_record(tmp_path / "run")
    assert record.status == "unreadable"
    assert record.cause is not None
    assert record.cause.startswith(f"summary.json: {key}: ")


@pytest.mark.parametrize(
    ("content", "cause"),
    [("{", "summary.json: Invalid JSON"), ('{"schema": 3}', "summary.json: name: Field required")],
)
def test_the_cause_names_the_file_and_the_key(content: str, cause: str, tmp_path: Path) -> None:
    Run(tmp_path).summary.write_text(content)
    assert str(read_record(tmp_path).cause).startswith(cause)


def test_settings_with_huge_numbers_make_a_run_unreadable(tmp_path: Path) -> None:
    content = summary_of(tmp_path)
    summary = Run(tmp_path / "run").summary
    summary.write_text(json.dumps(content | {"settings": {"x": [[10**400]]}}))
    assert read_record(summary.parent).status == "unreadable"
    summary.write_text(json.dumps(content | {"settings": {"x": [[10**4]]}}))
    assert read_record(summary.parent).status == "completed"
