"""Overrides of the command line: the problems of one override, and how a setting is applied to a composed tree."""

import re
import shlex
from collections.abc import Mapping, Sequence

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict

from mnist_exp.config.conversions import format_value
from mnist_exp.config.problems import nearest, nearest_key, not_allowed, other_options, remedy
from mnist_exp.errors import Problem

FUNCTION = re.compile(r"\w+\(")
INDEX = re.compile(r"\[(\d+)\]")  # of a list element, as other programs write it


def not_an_override(line: str) -> Problem:
    """Return the problem of a line that Hydra cannot parse, with what was probably meant."""
    key, _, value = line.partition("=")
    example = f"'{key}=\"{value}\"'" if key and value and '"' not in value else "'key=\"a, b\"'"
    instead = f"write key=value; quote special characters: {example}"
    if FUNCTION.match(value):
        instead = "functions: choice, range, interval, tag, sort, shuffle, int, float, str; see mnist-exp help searches"
    if INDEX.search(key):
        instead = "write " + INDEX.sub(r".\1", key) + f"={value}"
    return Problem(line, f"{line}: not a valid override", instead)


def unknown_options(override: Override, options: Sequence[str]) -> list[Problem]:
    """Return a problem for each option in an override that its group does not have."""
    group, value = override.key_or_group, override.value()
    return [
        not_allowed(group, option, f"unknown {group}", remedy(", ".join(options), nearest(str(option), options)))
        for option in (value if isinstance(value, list) else [value])
        if not override.is_delete() and str(option) not in options
    ]


def option_set_by_name(override: Override) -> Problem:
    """Return the problem of an override such as `model.name=mlp`, which would keep the settings of the old option."""
    cause = f"{override.input_line}: an option is chosen by its group, which also sets its settings"
    group = override.key_or_group.rpartition(".")[0]
    return Problem(override.key_or_group, cause, f"write {group}={override.value()}")


def key_problems(override: Override, keys: Mapping[str, None]) -> list[Problem]:
    """Return the problem of a key that cannot be set, if it has one. An unknown `+key` is a problem of the schema.

    Args:
        override: of a setting, not of an option.
        keys: all dotted keys of the composed configuration.
    """
    key, is_addition = override.key_or_group, override.is_add() or override.is_force_add()
    section, _, name = key.rpartition(".")
    if name.isdecimal() and (override.is_delete() or is_addition):
        instead = f"write the whole list, {section}=[...], here or in a YAML file of your own: --config-dir DIR"
        return [Problem(key, f"{override.input_line}: an override cannot change the length of a list", instead)]
    if is_addition or key in keys:
        return []
    while not (siblings := [known.rpartition(".")[2] for known in keys if known.rpartition(".")[0] == section]):
        section = section.rpartition(".")[0]
    if key.startswith("hydra.sweeper.params."):
        line = str(override.input_line).partition("hydra.sweeper.params.")[2]
        return [Problem(key, f"{override.input_line}: unknown key", f"write {shlex.quote(line)}, for a sweep with -m")]
    allowed = f"0 to {siblings[-1]}" if siblings[0].isdecimal() else ", ".join(siblings)
    return [
        Problem(key, f"{override.input_line}: unknown key", remedy(allowed, nearest_key(key, keys)) + other_options(key))
    ]


def apply(override: Override, tree: DictConfig) -> list[Problem]:
    """Apply a setting to a composed tree as Hydra does; return a problem if the tree does not allow it.

    Raises:
        OmegaConfBaseException: the key cannot have such a value.
    """
    key, value, line = override.key_or_group, override.value(), override.input_line
    if override.package is not None:
        return [Problem(key, f"{line}: unknown group", "write key=value; only an option of a group has a package")]
    if override.is_add() or override.is_delete():
        before = OmegaConf.select(tree, key, throw_on_missing=False)
        if override.is_delete() and value not in (None, before):
            return [Problem(key, f"{line}: the value is {format_value(before)}", f"write ~{key}")]
        if override.is_add() and before is not None and not isinstance(value, (dict, list)):
            return [Problem(key, f"{line}: the key exists already", f"write {key}={format_value(value)}")]
    if override.is_delete():
        section, _, name = key.rpartition(".")
        parent = OmegaConf.select(tree, section) if section else tree
        with open_dict(parent):
            del parent[name]
    else:
        OmegaConf.update(tree, key, value, merge=True, force_add=override.is_add() or override.is_force_add())
    return []
