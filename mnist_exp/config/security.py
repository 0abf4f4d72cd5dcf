"""Refuse configurations that name Python code to run, that change how Hydra runs, or that expand to too much.

Of Hydra's own configuration, users may set the launcher and the sweeper. The rest can set environment variables, open files
or run code, so it must be as `conf/` alone sets it.
"""

import re
from typing import Any, cast

from hydra.core.override_parser.types import Override
from omegaconf import Container, DictConfig, OmegaConf

from mnist_exp.config.conversions import walk
from mnist_exp.config.problems import nearest, not_allowed
from mnist_exp.errors import Problem

OPEN_TO_USERS = frozenset({"launcher", "sweeper"})
# Hydra sets these keys for each composition.
SET_BY_HYDRA = re.compile(r"(runtime|overrides|job\.(name|override_dirname|config_name|id|num))(\.|$)")
CODE = re.compile(r"\$\{[^}]*:|_target_")  # a resolver, or a key that names a class
# Each reference can repeat values with others: 20 of them repeat a value up to 3 ** (20 / 3) ≈ 1,500 times.
MAX_REFERENCES = 20
MAX_CHARACTERS = 100_000
NO_CODE = "a configuration names options, never code; choose by name, as in model=mlp"
ALLOWED = "allowed: hydra/launcher, hydra/sweeper and their settings; runs_dir is the directory of the runs"


def override_problems(override: Override) -> list[Problem]:
    """Refuse an override whose key or value names code or another part of Hydra."""
    key, line = override.key_or_group, str(override.input_line)
    if "_target_" in line:
        return [Problem(key, f"{line}: _target_ is refused", NO_CODE)]
    section, _, rest = key.replace("/", ".").partition(".")
    part = rest.split(".")[0]
    if section == "hydra" and part not in OPEN_TO_USERS:
        meant = nearest(part, OPEN_TO_USERS)
        instead = ALLOWED + (f"; did you mean {key.replace(part, meant)}?" if meant else "")
        return [Problem(key, f"{line}: this part of Hydra cannot be set", instead)]
    if rest in OPEN_TO_USERS and (key.startswith("hydra.") or override.is_delete()):
        instead = f"choose an option, such as hydra/{rest}=basic, and change its settings, such as hydra.{rest}.key=value"
        return [Problem(key, f"{line}: the {rest} is an option, which cannot be replaced or left out", instead)]
    return []


def search_path_problems(primary: Container) -> list[Problem]:
    """Refuse a primary configuration that adds search paths: Hydra imports the packages that they name.

    References are refused unresolved: a resolver such as `now` may return another value when Hydra calls it.
    """
    key = "hydra.searchpath"
    if not isinstance(primary, DictConfig):  # Hydra reports it
        return []
    if OmegaConf.is_interpolation(primary, "hydra") or "searchpath" in (primary.get("hydra") or {}):
        return [Problem(key, f"{key}: not allowed in YAML", "add a directory with --config-dir DIR")]
    return []


def code_problems(tree: DictConfig) -> list[Problem]:
    """Refuse classes in a composed configuration, and resolvers in the settings of the launcher and the sweeper."""
    composed = cast(dict[str, Any], OmegaConf.to_container(tree, resolve=False))
    return [
        not_allowed(key, value, "_target_ is refused", NO_CODE)
        for key, value in walk(composed)
        if key.rpartition(".")[2] == "_target_"
    ] + [
        not_allowed(key, value, "resolvers and _target_ are refused here", "write the value itself")
        for part in OPEN_TO_USERS
        for key, value in walk(composed["hydra"].get(part), f"hydra.{part}")
        if isinstance(value, str) and CODE.search(value)
    ]


def hydra_problems(tree: DictConfig, shipped: DictConfig) -> list[Problem]:
    """Refuse changes of Hydra's own configuration, except for the launcher and the sweeper.

    Args:
        tree: the whole composed configuration.
        shipped: the configuration that `conf/` alone composes to.
    """
    values, expected = map(_fixed_values, (tree, shipped))
    return [
        Problem(f"hydra.{key}", f"hydra.{key}: this part of Hydra cannot be set", ALLOWED)
        for key in values | expected
        if values.get(key) != expected.get(key)
    ]


def expansion_problems(text: str) -> list[Problem]:
    """Refuse a configuration that would take too long or too much memory when its references are resolved.

    Args:
        text: all its text, unresolved, including the overrides.
    """
    if (count := text.count("${")) > MAX_REFERENCES:
        cause = f"the configuration has {count:,} references (${{…}}); allowed: at most {MAX_REFERENCES}"
        return [Problem("", cause, "write the values themselves, or use YAML anchors: &name at a value, then *name")]
    if len(text) > MAX_CHARACTERS:
        cause = f"the configuration has {len(text):,} characters; allowed: at most {MAX_CHARACTERS:,}"
        return [Problem("", cause, "shorten its texts")]
    return []


def _fixed_values(tree: DictConfig) -> dict[str, Any]:
    """Return the values in Hydra's configuration that users may not set, by dotted key."""
    return {
        key: value
        for key, value in walk(OmegaConf.to_container(tree.hydra, resolve=False))
        if not (isinstance(value, (dict, list)) and value)
        and key.split(".")[0] not in OPEN_TO_USERS
        and not SET_BY_HYDRA.match(key)
    }
