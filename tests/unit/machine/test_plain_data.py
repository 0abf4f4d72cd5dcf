"""Files that others wrote: only regular ones, of a limited size, and with limits on what they expand to."""

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mnist_exp import cli
from mnist_exp.machine import plain_data
from mnist_exp.machine.plain_data import load_json, load_yaml, read_bytes, read_json
from mnist_exp.runs.directory import read_config
from mnist_exp.runs.run import Run
from mnist_exp.sweep import study
from mnist_exp.sweep.plan import Plan, Sweep


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "summary.json")
    start = threading.Timer(20, os._exit, (1,))  # a reader that waits would wait for ever
    start.start()
    with pytest.raises(OSError, match="not a regular file"):
        read_bytes(tmp_path / "summary.json")
    assert read_json(tmp_path / "summary.json") == {}
    start.cancel()


@pytest.mark.parametrize("target", ["/dev/zero", "."])
def test_a_link_to_a_device_or_a_directory_is_refused(target: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").symlink_to(target)
    with pytest.raises(OSError, match=r"not a regular file|Is a directory"):
        read_bytes(tmp_path / "config.yaml")


def test_a_file_has_a_limited_size(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    assert len(read_bytes(path, 100)) == 100
    with pytest.raises(OSError, match="larger than 99 bytes"):
        read_bytes(path, 99)
    with path.open("wb") as file:
        file.truncate(2**40)  # it takes no space
    with pytest.raises(OSError, match="larger than"):
        read_bytes(path)


@pytest.mark.parametrize("flow", [True, False])
def test_an_alias_bomb_is_refused_at_once(flow: bool) -> None:
    lines = ["a0: &a0 x"]
    for level in range(1, 30):
        aliases = ", ".join([f"*a{level - 1}"] * 8)
        lines.append(f"a{level}: &a{level} [{aliases}]" if flow else f"a{level}: &a{level}\n  k: [{aliases}]")
    start = time.process_time()
    with pytest.raises(ValueError, match="aliases repeat more than"):
        load_yaml("\n".join(lines).encode())
    assert time.process_time() - start < 5


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: *b", "&x {k: {l: *x}}"])
def test_a_reference_to_itself_is_refused(text: str) -> None:
    with pytest.raises((ValueError, yaml.YAMLError), match=r"part of itself|undefined alias"):
        load_yaml(text.encode())


def test_few_aliases_are_allowed() -> None:
    assert load_yaml(b"a: &a [1, {b: 2}]\nc: [*a, *a]\nd: &d x\ne: *d") == {
        "a": [1, {"b": 2}],
        "c": [[1, {"b": 2}]] * 2,
        "d": "x",
        "e": "x",
    }


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


@given(PLAIN)
def test_what_is_written_is_read(value: Any) -> None:
    assert load_json(plain_data.json.dumps(value).encode()) == value
    assert plain_data.is_in_range(value)


@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 5000, "1e999", "NaN", "Infinity", str(2**63)])
def test_numbers_that_later_calculations_could_not_take_are_refused(number: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"not a (64-bit integer|finite number)"):
        load_json(f'{{"a": [{number}]}}'.encode())
    (tmp_path / "file.json").write_text(f'{{"a": {number}}}')
    assert read_json(tmp_path / "file.json") == {}


@pytest.mark.parametrize("depth", [100, 900, 100_000])
def test_deep_nesting_is_unreadable(depth: int, tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text('{"a":' + "[" * depth + "]" * depth + "}")
    assert read_json(tmp_path / "file.json") == {}
    (tmp_path / "file.json").write_text('{"a":' + "[" * 99 + "]" * 99 + "}")
    assert read_json(tmp_path / "file.json") != {}
    with pytest.raises(ValueError, match="nested more than"):
        load_yaml(b"[" * 1000)


NESTED = "\n".join(["a0: &a0 x"] + [f"a{level}: &a{level} {'[' * 60}*a{level - 1}{']' * 60}" for level in range(1, 4)])


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        pytest.param(f"t: &t {'x' * 10_000}\nl: [{', '.join(['*t'] * 100)}]", "aliases repeat more than", id="long text"),
        pytest.param(NESTED, "nested more than 100 deep", id="depth by aliases"),
        pytest.param("a: 1" + ":59" * 1000, "a number has more than", id="base 60"),
    ],
)
def test_what_aliases_and_numbers_expand_to_has_a_limit(
    text: str, cause: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=cause):
        load_yaml(text.encode())
    (tmp_path / "status.json").write_text('{"status": "interrupted"}')
    (tmp_path / "config.yaml").write_text(text)
    assert cli.main(["resume", str(tmp_path)]) == 3
    error = " ".join(capsys.readouterr().err.split())
    assert f"{tmp_path.name}/config.yaml: " in error
    assert cause in error


def test_long_text_and_nested_sections_without_aliases_are_read() -> None:
    assert load_yaml(f"a: {'x' * 2000}\nb: '{'1' * 2000}'".encode()) == {"a": "x" * 2000, "b": "1" * 2000}
    assert load_yaml(b"[" * 100 + b"]" * 100)


def test_settings_have_a_smaller_limit_than_lists(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(b"#" * (plain_data.SETTINGS.size + 1))
    with pytest.raises(ValueError, match=r"config\.yaml: .*is larger than 1,048,576 bytes"):
        read_config(Run(tmp_path))


def test_the_search_of_a_pipe_is_no_search(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    os.mkfifo(sweep.study)
    start = threading.Timer(20, os._exit, (1,))
    start.start()
    assert study.read_result(sweep, Plan.model_construct(jobs=[])) is None
    start.cancel()


def test_the_number_of_values_has_a_limit(tmp_path: Path) -> None:
    for content in (b"[" + b"[]," * 10 + b"[]]", b"[" + b"0," * 10 + b"0]", b"{a: 0, b: 0, c: 0, d: 0, e: 0, f: 0}"):
        with pytest.raises(ValueError, match="contains more than 10 values"):
            load_yaml(content, 10)
        assert load_yaml(content, 13)
    for content in (b"[" + b"[]," * 10 + b"[]]", b"[" + b"0," * 10 + b"0]"):
        with pytest.raises(ValueError, match="contains more than 10 values"):
            load_json(content, 10)
        assert load_json(content, 24)
    (tmp_path / "status.json").write_bytes(b'{"a": [' + b"[]," * 100_000 + b"[]]}")  # a list takes 20 times its text
    start = time.process_time()
    assert read_json(tmp_path / "status.json") == {}
    assert time.process_time() - start < 0.5
    (tmp_path / "sweep.yaml").write_bytes(b"[" + b"[]," * 25_000 + b"[]]")
    assert len(plain_data.read_yaml(tmp_path / "sweep.yaml", plain_data.LISTS)) == 25_001
