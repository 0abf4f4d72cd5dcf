"""Values as a user types them, and values of another type that a user probably meant."""

import json
import math
import os
import re
import shlex
from collections.abc import Iterator
from typing import Any

PLAIN_PATH = re.compile(r"[./]*[A-Za-z_][\w./-]*", re.ASCII)  # that Hydra's grammar reads as text
# Settings that are paths; some may also be a list of paths, or null. What is at some of them defines a run: these may have
# several values in a sweep, separated by commas, unless the whole text is a path that exists.
SWEPT_PATHS = frozenset({"initial_weights", "dataset.path", "dataset.class_names", "dataset.groups"})
MAY_BE_NULL = SWEPT_PATHS - {"dataset.path"} | {"dataset.root"}
PATHS = SWEPT_PATHS | {"dataset.root", "runs_dir"}
GRAMMAR = re.compile(r"(choice|shuffle|sort)\(.*\)|.*\\.*", re.DOTALL)  # a function of Hydra, or a value that it has escaped
QUOTED_OR_NOT = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^,]*),""")
LIST_OR_NULL = re.compile(r"\[.*\]|null", re.DOTALL)
CONSTANTS = frozenset({"null", "true", "false", "nan", "inf"})
TYPE_NAMES = {
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
    list: "a list",
    dict: "a section",
}


def format_value(value: Any) -> str:
    """Return a value as a user would type it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}" if math.isfinite(value) else str(value)
        case list() | tuple():
            return "[" + ",".join(map(format_value, value)) + "]"
        case dict():
            return "{" + ",".join(f"{key}:{format_value(item)}" for key, item in value.items()) + "}"
    return str(value) or "''"


def quote(text: str) -> str:
    """Return text as a quoted value of an override that Hydra reads as this text: quotes and references are escaped."""
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    return "'" + re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + found[2].replace("'", "\\'"), text) + "'"


def literal_path(line: str) -> str:
    """Return an override; the path of a setting that is a path becomes quoted text, so that it is never grammar."""
    key, _, text = line.partition("=")
    name = key.lstrip("+")
    if name not in PATHS or not text or (name in MAY_BE_NULL and LIST_OR_NULL.fullmatch(text)):
        return line
    if name in SWEPT_PATHS and not os.path.exists(os.path.expanduser(text)):  # noqa: PTH110, PTH111  (any text)
        values = [value.strip() for value in QUOTED_OR_NOT.findall(f"{text},")]
        kept = {"null"} if name in MAY_BE_NULL else set()
        written = ",".join(value if value in kept else _literal(value) for value in values)
        return line if GRAMMAR.fullmatch(text) else f"{key}={written}"
    return f"{key}={_literal(text)}"


def _literal(text: str) -> str:
    """Return a path as a value that is never grammar."""
    if PLAIN_PATH.fullmatch(text) and text.lower() not in CONSTANTS:
        return text
    if len(text) > 1 and text[0] in "'\"" and text[-1] == text[0]:
        return re.sub(r"(?<!\\)\$\{", r"\\${", text)
    return quote(text)


def as_typed(value: Any) -> str:
    """Return a value as a user typed it: with all digits, and in quotes if it is text that looks like another type."""
    if isinstance(value, float) and math.isfinite(value):
        is_short = float(f"{value:g}") == value and len(f"{value:g}") <= len(repr(value))
        is_whole = value.is_integer() and len(repr(value)) < 10  # such as 16.0, which is not an integer
        return f"{value:g}" if is_short and not is_whole else repr(value)
    if isinstance(value, str) and not isinstance(_parse(value), str):
        return f'"{value}"'
    return format_value(value)


def not_text(value: Any) -> str:
    """Return the reason why a value cannot be used as text."""
    return f"{TYPE_NAMES.get(type(value), 'a value of another type')}, not text"


def suggestion(key: str, value: Any, schema: dict[str, Any]) -> str | None:
    """Return the override, as an argument in a shell, with the value in another type that the schema of a field accepts."""
    return next((shlex.quote(f"{key}={text}") for text, other in _conversions(value) if _accepts(schema, other)), None)


def walk(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all sections, lists and values below a node, each with its dotted key."""
    items: Any = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in items:
        key = f"{prefix}.{name}" if prefix else str(name)
        yield key, value
        yield from walk(value, key)


def _parse(text: str) -> Any:
    """Return the number, true, false, null or list that a text looks like, or the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _conversions(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield a value in other types, each as typed and as parsed."""
    parsed = _parse(value) if isinstance(value, str) else value
    if isinstance(parsed, float) and parsed.is_integer():
        parsed = int(parsed)
    yield format_value(parsed), parsed
    if not isinstance(parsed, list | dict):
        yield f"[{format_value(parsed)}]", [parsed]
        text = value if isinstance(value, str) else as_typed(value)
        yield f'"{text}"', text


def _accepts(schema: dict[str, Any], value: Any) -> bool:
    """Return whether a field accepts a value, as far as its own schema says."""
    if "anyOf" in schema:
        return any(_accepts(option, value) for option in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"] and not isinstance(value, bool)
    match schema.get("type"), value:
        case "string", str():
            return "pattern" in schema and bool(re.search(schema["pattern"], value))
        case "array", list():
            items = schema.get("items") or schema["prefixItems"][0]
            fits = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
            return fits and all(_accepts(items, item) for item in value)
        case ("null", None) | ("boolean", bool()):
            return True
        case (("integer" | "number"), bool()):
            return False
        case ("integer", int()) | ("number", int() | float()):
            low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
            above, below = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)
            return bool(low <= value <= high and above < value < below)
    return False
