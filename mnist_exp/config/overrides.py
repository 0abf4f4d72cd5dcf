"""Overrides of the command line: the problems of one override, and how a setting is applied to a composed tree."""

import re
import shlex
from collections.abc import Collection, Mapping, Sequence

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict

from mnist_exp.config.conversions import format_value
from mnist_exp.config.problems import is_list_setting, nearest, nearest_key, not_allowed, other_options, remedy
from mnist_exp.config.user_directory import groups_with_option, shipped_groups, shipped_options
from mnist_exp.errors import Problem

FUNCTION = re.compile(r"\w+\(")
INDEX = re.compile(r"\[(\d+)\]")  # of a list element, as other programs write it
PARAMS = "hydra.sweeper.params."  # before the keys of a sweep that a configuration itself defines


def not_an_override(line: str) -> Problem:
    """Return the problem of a line that Hydra cannot parse, with what was probably meant."""
    key, _, value = line.partition("=")
    example = f"'{key}=\"{value}\"'" if key and value and '"' not in value else "'key=\"a, b\"'"
    instead = f"write key=value; quote special characters: {example}"
    elements = re.split(r"[\s,]+", value.strip("()[]{}, "))
    if groups := groups_with_option(line):
        instead = "write " + " or ".join(f"{group}={line}" for group in groups)
    elif option := nearest(line, shipped_options()) if "=" not in line else None:
        instead = f"did you mean {' or '.join(f'{group}={option}' for group in groups_with_option(option))}?"
    elif is_list_setting(key) and all(elements):
        instead = "write " + shlex.quote(f"{key}=[{','.join(elements)}]")
    elif value.endswith(","):
        instead = f"write {key}={value.rstrip(',')}"
    if FUNCTION.match(value):
        instead = "functions: choice, range, interval, tag, sort, shuffle, int, float, str; see mnist-exp help searches"
    if INDEX.search(key):
        instead = "write " + INDEX.sub(r".\1", key) + f"={value}"
    return Problem(line, f"{line or repr(line)}: not a valid override", instead)


def option_problems(override: Override, options: Sequence[str], filled_groups: Collection[str]) -> list[Problem]:
    """Return the problems of an override of a group: an addition to the chosen option, and each unknown option.

    Args:
        override: of a group.
        options: of the group.
        filled_groups: groups to which no option can be added.
    """
    group, value, line = override.key_or_group, override.value(), override.input_line
    is_addition = override.is_add() or override.is_force_add()
    if is_addition and override.package is None and group in filled_groups:
        return [
            Problem(
                group, f"{line}: {group} has one option, which an override replaces", f"write {group}={format_value(value)}"
            )
        ]
    other = "" if group in shipped_groups() else nearest(group, shipped_groups())
    instead = f"; or did you mean {other}={format_value(value)}?" if other else ""
    return [
        not_allowed(group, option, f"unknown {group}", remedy(", ".join(options), nearest(str(option), options)) + instead)
        for option in (value if isinstance(value, list) else [value])
        if not override.is_delete() and str(option) not in options
    ]


def option_set_by_name(override: Override) -> Problem:
    """Return the problem of an override such as `model.name=mlp`, which would keep the settings of the old option."""
    cause = f"{override.input_line}: an option is chosen by its group, which also sets its settings"
    group = override.key_or_group.rpartition(".")[0].replace(".", "/")
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
    if key in keys or (is_addition and not _has_unknown_index(key, keys) and "." not in key.partition(PARAMS)[2]):
        return []
    while not (siblings := [known.rpartition(".")[2] for known in keys if known.rpartition(".")[0] == section]):
        section = section.rpartition(".")[0]
    if key.startswith(PARAMS):
        return [Problem(key, f"{override.input_line}: unknown key", f"write {without_params(override)}")]
    allowed = f"0 to {siblings[-1]}" if siblings[0].isdecimal() else ", ".join(siblings)
    return [
        Problem(key, f"{override.input_line}: unknown key", remedy(allowed, nearest_key(key, keys)) + other_options(key))
    ]


def _has_unknown_index(key: str, keys: Mapping[str, None]) -> bool:
    """Return whether a dotted key has the number of an element that its list does not have."""
    parts = key.split(".")
    return any(part.isdecimal() and ".".join(parts[: place + 1]) not in keys for place, part in enumerate(parts))


def without_params(override: Override) -> str:
    """Return the override of a key of the sweeper's `params` as an override of the setting, as an argument in a shell."""
    return shlex.quote(str(override.input_line).partition(PARAMS)[2])


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
            return [Problem(key, f"{line}: the key exists already", f"write {shlex.quote(str(line)[1:])}")]
    if override.is_delete():
        section, _, name = key.rpartition(".")
        parent = OmegaConf.select(tree, section) if section else tree
        with open_dict(parent):
            del parent[name]
    else:
        # The schema names the unknown keys of a section.
        can_add = override.is_add() or override.is_force_add() or isinstance(value, dict)
        OmegaConf.update(tree, key, value, merge=True, force_add=can_add)
    return []
