"""Overrides of the command line: the problems of one by itself or against the composed keys, and how it is applied."""

import re
from collections.abc import Mapping, Sequence

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict

from mnist_exp.config.identity import not_identity
from mnist_exp.config.problems import format_value, nearest, nearest_key, other_options, remedy, schema_of
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import Problem

INDEX = re.compile(r"\[(\d+)\]")  # of a list's element, as other tools write it


def not_an_override(line: str) -> Problem:
    """The problem of a line that Hydra cannot parse, with what was probably meant."""
    key, _, value = line.partition("=")
    if INDEX.search(key):
        dotted = INDEX.sub(r".\1", key)
        return Problem(line, f"{line}: not a valid override", f"write {dotted}={value}")
    example = f"'{key}=\"{value}\"'" if key and value and '"' not in value else "'key=\"a, b\"'"
    return Problem(line, f"{line}: not a valid override", f"write key=value; quote special characters: {example}")


def unknown_options(override: Override, options: Sequence[str]) -> list[Problem]:
    """A problem for each option that an override chooses and its group does not have."""
    group, value = override.key_or_group, override.value()
    if override.is_delete():
        return []
    return [
        Problem(
            group,
            f"{group}={format_value(option)}: unknown {group}",
            remedy(", ".join(options), nearest(str(option), options)),
        )
        for option in (value if isinstance(value, list) else [value])
        if str(option) not in options
    ]


def name_of_group(override: Override) -> Problem:
    """The problem of an override such as `model.name=mlp`, which would leave the settings of the old option behind."""
    key = override.key_or_group
    cause = f"{override.input_line}: an option is chosen by its group, which also sets its settings"
    return Problem(key, cause, f"write {key.rpartition('.')[0]}={override.value()}")


def sweep_problems(override: Override, multirun: bool, search: bool) -> list[Problem]:
    """The problems of several values for one key.

    Args:
        override: any override.
        multirun: whether the command is a sweep.
        search: whether it is a search, which chooses from intervals too.
    """
    key, line = override.key_or_group, override.input_line
    if not override.is_sweep_override():
        return []
    if not multirun:
        cause = f"{line}: several values, but the command is not a sweep"
        return [Problem(key, cause, f"sweep with: mnist-exp -m {line}; write a list as {key}=[1,2]")]
    if key.startswith("hydra") or not_identity(key):
        cause = f"{line}: does not change the experiment; all jobs of a sweep share one value"
        return [Problem(key, cause, "give one value, or start one sweep for each")]
    if search and key == "seed":
        cause = f"{line}: a search compares settings at one seed"
        return [Problem(key, cause, "repeat the best configurations with other seeds: mnist-exp -m ... 'seed=range(5)'")]
    if not override.is_discrete_sweep():
        cause = f"{line}: a sweep needs a list of values, not an interval"
        instead = f"write {key}=0.1,0.2 or {key}=range(1,5), or search the interval with hydra/sweeper=optuna"
        return [] if search else [Problem(key, cause, instead)]
    if not list(override.sweep_string_iterator()):
        return [Problem(key, f"{line}: contains no value", "give at least one value: range(3) is 0, 1 and 2")]
    return []


def key_problems(override: Override, keys: Mapping[str, None]) -> list[Problem]:
    """Whether a setting exists; `+key` and `++key` are left to the schema, which reports them in the same form.

    Args:
        override: a setting, not a choice of an option.
        keys: every dotted key of the composed configuration.
    """
    key = override.key_or_group
    section, _, name = key.rpartition(".")
    adds = override.is_add() or override.is_force_add()
    if name.isdecimal() and (override.is_delete() or adds):
        cause = f"{override.input_line}: an override cannot change the length of a list"
        instead = f"write the whole list, {section}=[...], here or in a YAML file of your own: --config-dir DIR"
        return [Problem(key, cause, instead)]
    if adds or key in keys:
        return []
    while not (siblings := [known.rpartition(".")[2] for known in keys if known.rpartition(".")[0] == section]):
        section = section.rpartition(".")[0]
    allowed = f"0 to {siblings[-1]}" if siblings[0].isdecimal() else ", ".join(siblings)
    hint = remedy(allowed, nearest_key(key, keys)) + other_options(key, schema_of(Experiment))
    return [Problem(key, f"{override.input_line}: unknown key", hint)]


def apply(override: Override, tree: DictConfig) -> list[Problem]:
    """Apply a setting to a composed tree as Hydra does; return a problem if the tree does not allow it.

    Raises:
        OmegaConfBaseException: the value does not fit where it goes.
    """
    key, value, line = override.key_or_group, override.value(), override.input_line
    before = OmegaConf.select(tree, key, throw_on_missing=False)
    if override.package is not None:
        return [Problem(key, f"{line}: unknown group", "write key=value; only an option of a group has a package")]
    if override.is_delete():
        if value is not None and value != before:
            return [Problem(key, f"{line}: the value is {format_value(before)}", f"write ~{key}")]
        section, _, name = key.rpartition(".")
        parent = OmegaConf.select(tree, section) if section else tree
        with open_dict(parent):
            del parent[name]
        return []
    if override.is_add() and before is not None and not isinstance(value, (dict, list)):
        return [Problem(key, f"{line}: the key exists already", f"write {key}={format_value(value)}")]
    OmegaConf.update(tree, key, value, merge=True, force_add=override.is_add() or override.is_force_add())
    return []
