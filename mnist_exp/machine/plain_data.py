"""Untrusted files → bytes, YAML and JSON as plain types; with limits on what they may take."""

import errno
import io
import itertools
import json
import math
import os
import stat
from pathlib import Path
from typing import Any, NamedTuple

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # LibYAML is ten times as fast
# The errors of parsing a partly written or hostile file; RecursionError: nested too deeply.
UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, yaml.YAMLError)


class Limits(NamedTuple):
    """What a file may take."""

    size: int  # bytes
    values: int  # sections, lists, keys and single values; each takes about 100 bytes of memory


SETTINGS = Limits(2**20, 20_000)  # settings and results, which take a few kB
LISTS = Limits(2**26, 2_000_000)  # of jobs, epochs or test images; a plan of 100,000 jobs takes two thirds of it
MAX_DEPTH = 100  # levels; this program writes fewer
MAX_ALIASED = 100_000  # values and characters that all aliases of a YAML file together repeat
MAX_NUMBER = 1000  # characters; YAML takes quadratic time for a number of base 60
MAX_INTEGER = 2**63
MAX_MESSAGE = 300  # characters of a library's error message


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file for reading: never a pipe, which could wait for ever, nor a device, which could be endless.

    Raises:
        OSError: it cannot be opened, or is not a regular file.
    """
    if stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  (a device is not opened at all: that can have an effect)
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # the opened file, which may be another one by now
            return file
        file.close()
    raise OSError(errno.EINVAL, "is not a regular file", str(path))


def read_bytes(path: Path, limit: int = SETTINGS.size) -> bytes:
    """Read a regular file of a limited size.

    Raises:
        OSError: it cannot be read, is not a regular file, or is larger than `limit` bytes.
    """
    with open_regular(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"is larger than {limit:,} bytes", str(path))
    return content


def read_yaml(path: Path, limits: Limits = SETTINGS) -> Any:
    """Parse a YAML file into plain types.

    Raises:
        OSError: as `read_bytes`.
        ValueError, YAMLError: as `check_yaml`.
    """
    return load_yaml(read_bytes(path, limits.size), limits.values)


def load_yaml(content: bytes, limit: int = SETTINGS.values) -> Any:
    """Parse YAML into plain types; no objects are built by name.

    Raises:
        ValueError, YAMLError: as `check_yaml`.
    """
    check_yaml(content, limit)
    return yaml.load(content, Loader=LOADER)  # noqa: S506  (a safe loader, by either name)


def check_yaml(content: bytes, limit: int = SETTINGS.values) -> None:
    """Check what YAML would take, before it is loaded.

    Raises:
        ValueError, YAMLError: it is not YAML, has more than `limit` values, is nested so deeply that LibYAML, which
            recurses, would crash the process, or its aliases expand to too much.
    """
    count = 0  # of values, without what aliases repeat
    size = aliased = 0  # the number of values and characters so far, with what aliases repeat
    anchors: dict[str, tuple[int, int]] = {}  # size and height of each finished node that has a name
    open_nodes: list[tuple[str | None, int]] = []  # name, and size before it
    heights = [0]  # of the document and the open nodes so far
    for event in yaml.parse(content, Loader=LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, size))
            heights.append(0)
            size += 1
            height = 0
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            height = heights.pop() + 1
            if anchor:
                anchors[anchor] = size - before, height
        elif isinstance(event, yaml.ScalarEvent):
            if len(event.value) > MAX_NUMBER and event.implicit[0] and event.value.lstrip("+-")[:1].isdigit():
                raise ValueError(f"a number has more than {MAX_NUMBER:,} characters")
            size += 1 + len(event.value)
            height = 0
            if event.anchor:
                anchors[event.anchor] = 1 + len(event.value), height
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in anchors or event.anchor in {name for name, _ in open_nodes}:
                raise ValueError(f"*{event.anchor} is part of itself, or unknown")
            repeated, height = anchors[event.anchor]
            size += repeated
            aliased += repeated
        else:
            continue
        count += not isinstance(event, yaml.CollectionEndEvent)
        heights[-1] = max(heights[-1], height)
        _check_count(count, limit)
        if len(open_nodes) + height > MAX_DEPTH:
            raise ValueError(f"is nested more than {MAX_DEPTH} deep")
        if aliased > MAX_ALIASED:
            raise ValueError(f"its aliases repeat more than {MAX_ALIASED:,} values and characters")


def load_json(content: bytes, limit: int = SETTINGS.values) -> Any:
    """Parse JSON without NaN, infinity and integers of more than 64 bits, which later calculations could not take.

    Raises:
        ValueError, RecursionError: it is not JSON, has such a number, has more than `limit` values, or is nested too deeply.
    """
    _check_count(sum(map(content.count, (b"[", b"{", b","))), limit)  # before they take memory; those in texts count too
    value = json.loads(content, parse_int=_integer, parse_float=_finite, parse_constant=_finite)
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        collections = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        if not collections:
            return value
        level = list(itertools.chain.from_iterable(collections))
    raise ValueError(f"is nested more than {MAX_DEPTH} deep")


def read_json(path: Path, limits: Limits = SETTINGS) -> dict[str, Any]:
    """Read the mapping in a JSON file; return an empty one if the file is missing or invalid."""
    try:
        content = load_json(read_bytes(path, limits.size), limits.values)
    except UNREADABLE:
        return {}
    return content if isinstance(content, dict) else {}


def describe(error: Exception) -> str:
    """Return the message of an error on one line, without the path of a file."""
    text = str(error.strerror or error) if isinstance(error, OSError) else str(error)
    return " ".join(text.split())[:MAX_MESSAGE] or type(error).__name__


def is_in_range(value: Any) -> bool:
    """Return whether all numbers in a plain value are finite and have at most 64 bits."""
    if isinstance(value, (list, dict)):  # tuples of types: unions take several times as long
        return all(map(is_in_range, value.values() if isinstance(value, dict) else value))
    if not isinstance(value, (int, float)):
        return True
    return abs(value) < MAX_INTEGER or (isinstance(value, float) and math.isfinite(value))


def _check_count(count: int, limit: int) -> None:
    if count > limit:
        raise ValueError(f"contains more than {limit:,} values")


def _integer(text: str) -> int:
    if len(text) > 20 or abs(int(text)) >= MAX_INTEGER:
        raise ValueError(f"{text[:20]}… is not a 64-bit integer")
    return int(text)


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text[:20]} is not a finite number")
    return number
