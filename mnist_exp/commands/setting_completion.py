"""Completion of overrides, from the YAML files of all options."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mnist_exp.commands.arguments import primary_config
from mnist_exp.machine.plain_data import read_yaml


def overrides(words: Sequence[str], current: str, directories: Sequence[Any], keys: Sequence[str] = ()) -> Iterator[str]:
    """Yield the keys and values of overrides that begin with `current`, of all settings or of some sections.

    Args:
        words: before it on the command line.
        current: the word to complete.
        directories: of options, the shipped ones first.
        keys: of the sections; none: all.
    """
    sign = re.match(r"[+~]*", current)
    prefix = sign[0] if sign else ""
    key, equals, typed = current.removeprefix(prefix).partition("=")
    groups = groups_in(directories)
    if equals and key in groups:
        first = typed.rpartition(",")[0]
        yield from (f"{prefix}{key}={f'{first},' if first else ''}{option}" for option in groups[key])
        return
    tree = _tree(words, groups)
    if equals:
        value = _text(_select(tree, key.split(".")))
        yield from () if "${" in value else [f"{prefix}{key}={value}"]
        return
    *sections, _ = key.split(".")
    for name, value in _children(_select(tree, sections)):
        full = ".".join([*sections, name])
        if not keys or full.split(".")[0] in keys:
            yield f"{prefix}{full}{'.' if list(_children(value)) else '='}"
    yield from (f"{prefix}{group}=" for group in groups if not keys or group in keys)


def groups_in(directories: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """Return the options of all groups, each with its file."""
    groups: dict[str, dict[str, Any]] = {}
    for directory in directories:
        for place in (*directory.iterdir(), *((directory / "hydra").iterdir() if (directory / "hydra").is_dir() else ())):
            if place.is_dir() and place.name != "hydra":
                inside = "hydra/" if (directory / "hydra" / place.name).is_dir() else ""
                options = {entry.name[:-5]: entry for entry in place.iterdir() if entry.name.endswith(".yaml")}
                groups.setdefault(inside + place.name, {}).update(options) if options else None
    return groups


def _tree(words: Sequence[str], groups: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the settings of the chosen options, and of the defaults for other groups."""
    primary = primary_config()
    chosen = {"hydra/launcher": "basic", "hydra/sweeper": "basic"}
    for entry in primary.pop("defaults"):
        chosen |= {key: value for key, value in entry.items() if value} if isinstance(entry, dict) else {}
    chosen |= {key: value.split(",")[0] for key, _, value in (word.partition("=") for word in words) if value}
    tree: dict[str, Any] = primary | {"hydra": {}}
    for group, options in groups.items():
        *sections, name = group.split("/")
        if group in chosen and group != "experiment":
            settings = _read(options, chosen[group])
            settings.pop("name", None)  # an option is chosen by its group
            _select(tree, sections)[name] = settings
    return tree


def _read(options: dict[str, Any], name: str) -> dict[str, Any]:
    """Read an option and the options of the same group that it extends."""
    path = options.get(name)
    content = read_yaml(Path(str(path))) if path is not None else None
    settings = dict(content) if isinstance(content, dict) else {}
    below: dict[str, Any] = {}
    for base in settings.pop("defaults", []):
        if isinstance(base, str) and base in options and base != name:
            below |= _read(options, base)
    return below | settings


def _children(node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        yield from ((str(key), value) for key, value in node.items())
    elif isinstance(node, list):
        yield from ((str(number), value) for number, value in enumerate(node) if isinstance(value, dict))


def _select(node: Any, path: Sequence[str]) -> Any:
    for key in path:
        node = dict(_children(node)).get(key, {})
    return node


def _text(value: Any) -> str:
    """Return the value of a setting as a user types it."""
    if isinstance(value, list | dict):
        return f"[{','.join(map(_text, value))}]" if value and not isinstance(value, dict) else ""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
