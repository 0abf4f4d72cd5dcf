"""From pydantic's errors to sentences that name the key, what was given, what is allowed and the nearest valid name."""

import difflib
import math
import re
from collections.abc import Collection, Iterable
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mnist_exp.errors import Problem

JsonSchema = dict[str, Any]

# Groups whose files change other sections; without its directive, such a file becomes a section by the group's name.
GROUPS_OF_RECIPES = frozenset({"experiment"})
NOT_GLOBAL = "start the YAML file with the line: # @package _global_"


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate a user most likely meant by `name`, or None: by spelling, then by initials (`lr`, `bs`)."""
    known = list(candidates)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return close[0]
    last = name.rsplit(".", 1)[-1]
    by_initials = [key for key in known if "".join(word[:1] for word in key.rsplit(".", 1)[-1].split("_")) == last]
    return by_initials[0] if by_initials else None


def nearest_key(key: str, keys: Collection[str]) -> str | None:
    """The dotted key most likely meant: section by section, or what has the same last part in another section."""
    found = ""
    for part in key.split("."):
        prefix = f"{found}." if found else ""
        children = [name.removeprefix(prefix) for name in keys if name.startswith(prefix)]
        child = nearest(part, [name for name in children if "." not in name])
        if child is None:
            last = key.rpartition(".")[2]
            elsewhere = [name for name in keys if nearest(last, [name.rpartition(".")[2]])]
            return elsewhere[0] if elsewhere and not found else None
        found = prefix + child
    return found


def remedy(allowed: str, suggestion: str | None = None) -> str:
    """Return the second line of a problem: what is allowed, and what was probably meant."""
    return f"allowed: {allowed}" + (f"; did you mean {suggestion}?" if suggestion else "")


def format_value(value: Any) -> str:
    """A value as one would type it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if math.isfinite(value) else str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(format_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{format_value(item)}" for key, item in value.items()) + "}"
    return str(value) or "''"


def not_allowed(key: str, value: Any, reason: str, instead: str) -> Problem:
    """Return the problem of a setting with a certain value."""
    return Problem(key, f"{key}={format_value(value)}: {reason}", instead)


def quote(text: str) -> str:
    """A literal of Hydra's override grammar, whatever characters it has.

    Backslashes count only before a quote; there they are doubled.
    """
    return "'" + re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + found[2].replace("'", "\\'"), text) + "'"


def from_validation(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """One problem for each key that does not fit a model, in the order of the configuration."""
    problems: dict[str, Problem] = {}
    root = schema_of(model)
    for detail in error.errors(include_url=False):
        if detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]:
            continue  # it is long enough; those of its elements that are wrong are told by themselves
        problem = _problem(detail, root)
        problems.setdefault(problem.key, problem)
    return list(problems.values())


def _problem(detail: ErrorDetails, root: JsonSchema) -> Problem:
    key, section, schema = _locate(detail["loc"], root)
    given = detail["input"]
    if detail["type"] == "extra_forbidden":
        parent, _, name = key.rpartition(".")
        guess = nearest(name, section["properties"])
        suggestion = f"{parent}.{guess}" if guess and parent else guess
        if key in GROUPS_OF_RECIPES:
            return Problem(key, f"{key}={format_value(given)}: became a section of its own", NOT_GLOBAL)
        allowed = remedy(", ".join(section["properties"]), suggestion)
        if hint := other_options(key, root):
            allowed += f"{hint}, or leave it out with ~{key}"
        return Problem(key, f"{key}={format_value(given)}: unknown key", allowed)
    if detail["type"] == "missing":
        return Problem(key, f"{key}: is missing", remedy(describe(schema, root), None))
    if detail["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        chosen = given.get("name") if isinstance(given, dict) else given
        allowed = remedy(describe(schema, root), nearest(str(chosen), _names(schema)))
        if chosen is None:
            return Problem(f"{key}.name", f"{key}.name: is missing", allowed)
        kind = "layer" if ".layers." in key else key
        return Problem(key, f"{key}.name={format_value(chosen)}: unknown {kind}", allowed)
    return Problem(
        key, f"{key}={format_value(given)}: not allowed", remedy(describe(schema, root), nearest(str(given), _names(schema)))
    )


def _locate(location: tuple[int | str, ...], root: JsonSchema) -> tuple[str, JsonSchema, JsonSchema]:
    """Where an error is: its dotted key, the schema of the section it stands in, and its own (empty if unknown)."""
    key = ""
    section = schema = root
    for part in location:
        if "discriminator" in schema:  # a union by `name`: pydantic adds the chosen name to the location
            section = schema = _resolve({"$ref": schema["discriminator"]["mapping"][part]}, root)
        elif isinstance(part, int):
            key += f".{part}"
            schema = schema.get("items", {})
        else:
            key += f".{part}" if key else part
            section, schema = schema, _resolve(schema.get("properties", {}).get(part, {}), root)
    return key, section, schema


@cache
def schema_of(model: type[BaseModel]) -> JsonSchema:
    """The JSON schema of a model; to be read only."""
    return model.model_json_schema()


def _resolve(schema: JsonSchema, root: JsonSchema) -> JsonSchema:
    reference = schema.get("$ref")
    return root["$defs"][reference.rsplit("/", 1)[-1]] if reference else schema


def other_options(key: str, root: JsonSchema) -> str:
    """For a remedy, the options of a key's group that have it, where the chosen one has not; nothing if none has."""
    group, _, name = key.partition(".")
    mapping = root["properties"].get(group, {}).get("discriminator", {}).get("mapping", {})
    options = [option for option, reference in mapping.items() if name in _resolve({"$ref": reference}, root)["properties"]]
    return f"; it belongs to {group}={', '.join(options)}: choose one of them" if options else ""


def _names(schema: JsonSchema) -> list[str]:
    """The words a field can be, if it is a choice of words."""
    if "discriminator" in schema:
        return list(schema["discriminator"]["mapping"])
    if "const" in schema:
        return [schema["const"]]
    return list(schema.get("enum", []))


def describe(schema: JsonSchema, root: JsonSchema) -> str:
    """What a field may be, in words."""
    if "anyOf" in schema:
        return " or ".join(describe(_resolve(option, root), root) for option in schema["anyOf"])
    if names := _names(schema):
        return ", ".join(names)
    if "properties" in schema:
        return "settings: " + ", ".join(schema["properties"])
    match schema.get("type"):
        case "null":
            return "null"
        case "boolean":
            return "true or false"
        case "integer":
            return "an integer" + _bounds(schema)
        case "number":
            return "a number" + _bounds(schema)
        case "array":
            least = schema.get("minItems", 0)
            return ("a list" if not least else f"a list of at least {least}") + ", each " + describe(schema["items"], root)
    return str(schema.get("description", "text"))


def _bounds(schema: JsonSchema) -> str:
    if "minimum" in schema and "maximum" in schema:
        return f" from {schema['minimum']} to {schema['maximum']}"
    signs = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    bounds = [f"{sign} {schema[bound]}" for bound, sign in signs.items() if bound in schema]
    return " " + " and ".join(bounds) if bounds else ""


def composition_problem(error: Exception) -> Problem:
    """The problem of what Hydra or OmegaConf could not compose."""
    if isinstance(error, RecursionError):
        return Problem("", "the configuration is nested too deeply", "nest fewer than a hundred sections")
    text = str(error).partition("\nSearch path:")[0].partition("\nConfig search path:")[0]
    sentence = " ".join(line.strip() for line in text.splitlines() if line.strip())
    cause = sentence or str(error.__cause__ or type(error).__name__)
    return Problem("", cause, "check the override, or the YAML file that it names")
