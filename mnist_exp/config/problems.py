"""Problems of a configuration: each names the key and its value, says what is allowed, and suggests the nearest name."""

import difflib
import re
from collections.abc import Collection, Iterable
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mnist_exp import datasets
from mnist_exp.config import conversions
from mnist_exp.config.conversions import format_value
from mnist_exp.config.hydra_settings import HydraSettings
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import ConfigError, Problem

JsonSchema = dict[str, Any]

# Groups whose files change other sections; without its directive, such a file becomes a section with the group's name.
GROUPS_OF_RECIPES = frozenset({"experiment"})
UNKNOWN_GROUP = re.compile(r"Could not override '([^']+)'")  # Hydra's message advises "+", which does not help
MAX_QUOTED = 200  # characters of a value in a message; references can expand to many
NOT_CHOSEN = re.compile(r"Could not delete '([^']+)'")
DEFAULTS = re.compile(r"In '[^']+': Could not|Invalid defaults list")
NOT_GLOBAL = "start the YAML file with the line: # @package _global_"
TYPES = {
    "null": "null",
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "object": "a section",
}


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that a user probably meant: by spelling, then by initials (`lr`, `bs`)."""
    known = list(candidates)
    if close := difflib.get_close_matches(name, known, n=1, cutoff=0.6):
        return close[0]
    last = name.rpartition(".")[2]
    by_initials = (key for key in known if "".join(word[:1] for word in key.rpartition(".")[2].split("_")) == last)
    return next(by_initials, None)


def nearest_key(key: str, keys: Collection[str]) -> str | None:
    """Return the dotted key that a user probably meant: section by section, or by its last part in other sections."""
    section = ""
    for part in key.split("."):
        children = [name.removeprefix(section) for name in keys if name.startswith(section)]
        child = nearest(part, [name for name in children if "." not in name])
        if child is None:
            last = key.rpartition(".")[2]
            others = (name for name in keys if nearest(last, [name.rpartition(".")[2]]))
            return None if section else next(others, None)
        section += f"{child}."
    return section[:-1]


def remedy(allowed: str, suggestion: str | None = None) -> str:
    """Return the second line of a problem: what is allowed, and what was probably meant."""
    return f"allowed: {allowed}" + (f"; did you mean {suggestion}?" if suggestion else "")


def not_allowed(key: str, value: Any, reason: str, instead: str) -> Problem:
    """Return the problem of a setting with a certain value."""
    return Problem(key, f"{key}={_start(format_value(value))}: {reason}", instead)


def raise_problems(problems: Iterable[Problem]) -> None:
    """Raise a ConfigError with all problems, each once, unless there are none."""
    if distinct := list(dict.fromkeys(problems)):
        raise ConfigError(distinct)


def from_validation(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Return a problem for each invalid key of a model, in the order of the configuration."""
    problems: dict[str, Problem] = {}
    for detail in error.errors(include_url=False):
        if detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]:
            continue  # the list is long enough, but has invalid elements, which are reported by themselves
        problem = _problem(detail, schema_of(model))
        problems.setdefault(problem.key, problem)
    return list(problems.values())


def composition_problems(error: Exception, groups: Collection[str]) -> list[Problem]:
    """Return the problems of a configuration that cannot be composed.

    Args:
        error: of this program, Hydra or OmegaConf.
        groups: the names of all groups.
    """
    if isinstance(error, ConfigError):
        return error.problems
    if isinstance(error, RecursionError):
        return [Problem("", "the configuration is nested too deeply", "nest fewer than a hundred sections")]
    text = str(error).partition("\nSearch path:")[0].partition("\nConfig search path:")[0]
    cause = " ".join(text.split()) or str(error.__cause__ or type(error).__name__)
    if unknown := UNKNOWN_GROUP.match(cause):
        suggestion = nearest(unknown[1].partition("@")[0], groups)
        return [Problem(unknown[1], f"{unknown[1]}: unknown group", remedy(", ".join(groups), suggestion))]
    if unchosen := NOT_CHOSEN.match(cause):
        return [Problem(unchosen[1].partition("=")[0], f"~{unchosen[1]}: not the chosen option", "remove this override")]
    if DEFAULTS.match(cause):
        return [Problem("", cause, "correct the list `defaults` of the YAML file, such as defaults: [mlp]")]
    return [Problem("", cause, "check the override, or the YAML file that it names")]


def other_options(key: str) -> str:
    """Return a hint which options of a key's group have the key, for an option that does not; empty if none has it."""
    prefix, root = ("hydra/", schema_of(HydraSettings)) if key.startswith("hydra.") else ("", schema_of(Experiment))
    group, _, name = key.removeprefix("hydra.").partition(".")
    mapping = root["properties"].get(group, {}).get("discriminator", {}).get("mapping", {})
    kinds = [option for option, reference in mapping.items() if name in _resolve(reference, root)["properties"]]
    options = [option for kind in kinds for option in (datasets.shipped() if kind == "files" else [kind])]
    choose = "choose it" if len(options) == 1 else "choose one of them"
    return f"; it belongs to {prefix}{group}={', '.join(options)}: {choose}" if options else ""


def is_list_setting(key: str) -> bool:
    """Return whether a setting is a list, in any option of its group."""
    return any(schema.get("type") == "array" for schema in _schemas(key))


def is_integer_setting(key: str) -> bool:
    """Return whether a setting is an integer in each option that has it, and never a number with a fraction."""
    types = {schema.get("type") for schema in _schemas(key)}
    return "integer" in types and "number" not in types


def _schemas(key: str) -> list[JsonSchema]:
    """Return all that a setting may be, in all options of its group."""
    root = schema_of(Experiment)
    schemas = [root]
    for part in key.split("."):
        below = [
            schema.get("items", {}) if part.isdecimal() else schema.get("properties", {}).get(part, {}) for schema in schemas
        ]
        schemas = [one for schema in below for one in _alternatives(schema, root)]
    return schemas


def _alternatives(schema: JsonSchema, root: JsonSchema) -> list[JsonSchema]:
    references = schema.get("discriminator", {}).get("mapping", {}).values() or [schema.get("$ref")]
    resolved = [_resolve(reference, root) for reference in references if reference] or [schema]
    return [one for each in resolved for one in each.get("anyOf", [each])]


@cache
def schema_of(model: type[BaseModel]) -> JsonSchema:
    """Return the JSON schema of a model; do not change it."""
    return model.model_json_schema()


def _problem(detail: ErrorDetails, root: JsonSchema) -> Problem:
    key, section, schema = _locate(detail["loc"], root)
    given = detail["input"]
    match detail["type"]:
        case "extra_forbidden" if key in GROUPS_OF_RECIPES:
            return not_allowed(key, given, "became a section of its own", NOT_GLOBAL)
        case "extra_forbidden" | "invalid_key":
            parent, _, name = key.rpartition(".")
            guess = nearest(name, section["properties"])
            hint = other_options(key)
            allowed = remedy(", ".join(section["properties"]), f"{parent}.{guess}" if guess and parent else guess)
            return not_allowed(key, given, "unknown key", allowed + (f"{hint}, or leave it out with ~{key}" if hint else ""))
        case "missing":
            return Problem(key, f"{key}: is missing", remedy(_describe(schema, root)))
        case "union_tag_invalid" | "union_tag_not_found":
            tag: str = schema["discriminator"]["propertyName"]
            chosen = given.get(tag) if isinstance(given, dict) else given
            allowed = remedy(_describe(schema, root), nearest(str(chosen), _choices(schema)))
            if chosen is None:
                return Problem(
                    f"{key}.{tag}",
                    f"{key}.{tag}: is missing",
                    f"{allowed}; the YAML file needs a line such as {tag}: {_choices(schema)[0]}",
                )
            kind = "layer" if ".layers." in key else key
            has_kinds = tag == "name" and "did you mean" not in allowed
            is_kind = f"; the name in a YAML file is the kind of {kind}, not a label" if has_kinds else ""
            return Problem(key, f"{key}.{tag}={_start(format_value(chosen))}: unknown {kind}", allowed + is_kind)
        case "value_error":  # of the description of a data set, whose values are too long to repeat
            return Problem(key, f"{key}: {detail['ctx']['error']}", "correct the YAML file: see mnist-exp help datasets")
        case "float32":
            cause = f"{key}={given!r}: {detail['ctx']['reason']}"
            return Problem(key, cause, f"{remedy(_describe(schema, root))}; {detail['ctx']['hint']}")
    suggestion = nearest(str(given), _choices(schema)) or conversions.suggestion(key, given, schema)
    is_text = schema.get("type") == "string" and not _choices(schema)
    reason = conversions.not_text(given) if is_text and not isinstance(given, str) else "not allowed"
    return Problem(
        key, f"{key}={_start(conversions.as_typed(given))}: {reason}", remedy(_describe(schema, root), suggestion)
    )


def _start(text: str) -> str:
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…"


def _locate(location: tuple[int | str, ...], root: JsonSchema) -> tuple[str, JsonSchema, JsonSchema]:
    """Return the dotted key of an error, the schema of its section, and its own schema (empty if unknown)."""
    key = ""
    section = schema = root
    for part in location:
        if "discriminator" in schema:  # pydantic adds the chosen option of a union to the location
            section = schema = _resolve(schema["discriminator"]["mapping"][part], root)
            continue
        key += f".{part}" if key else str(part)
        if isinstance(part, int):
            schema = schema.get("items", {})
        else:
            section, schema = schema, schema.get("properties", {}).get(part, {})
            schema = _resolve(schema.get("$ref"), root) or schema
    return key, section, schema


def _resolve(reference: str | None, root: JsonSchema) -> JsonSchema:
    return root["$defs"][reference.rpartition("/")[2]] if reference else {}


def _choices(schema: JsonSchema) -> list[str]:
    """Return the allowed names of a field, if it has a list of them."""
    if "discriminator" in schema:
        return list(schema["discriminator"]["mapping"])
    return list(map(format_value, [schema["const"]] if "const" in schema else schema.get("enum", [])))


def _describe(schema: JsonSchema, root: JsonSchema) -> str:
    """Describe what a field allows."""
    if "anyOf" in schema:
        return " or ".join(_describe(_resolve(option.get("$ref"), root) or option, root) for option in schema["anyOf"])
    if names := _choices(schema):
        return ", ".join(names)
    if "properties" in schema:
        return "settings: " + ", ".join(schema["properties"])
    if schema.get("type") == "array" and "description" not in schema:
        least, items = schema.get("minItems"), schema.get("items") or schema["prefixItems"][0]
        number = f" of {least}" if least and least == schema.get("maxItems") else f" of at least {least}" if least else ""
        return f"a list{number}, each {_describe(items, root)}"
    return TYPES[schema["type"]] + _bounds(schema) if schema.get("type") in TYPES else str(schema.get("description", "text"))


def _bounds(schema: JsonSchema) -> str:
    if "minimum" in schema and "maximum" in schema:
        return f" from {schema['minimum']} to {schema['maximum']}"
    signs = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    bounds = [f"{sign} {schema[bound]}" for bound, sign in signs.items() if bound in schema]
    return " " + " and ".join(bounds) if bounds else ""
