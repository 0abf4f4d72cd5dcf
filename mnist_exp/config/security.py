"""What a configuration may not do: name Python code to run, or change how Hydra runs.

Of Hydra's own configuration a user may set who launches the jobs of a sweep and who chooses them, nothing else: the rest
can set environment variables, open files, or run code. It must be what `conf/` alone composes to.
"""

import re
from pathlib import Path
from typing import Any, cast

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from mnist_exp.config.problems import format_value
from mnist_exp.errors import Problem
from mnist_exp.machine.plain_data import UNREADABLE, load_yaml

OPEN_TO_USERS = frozenset({"launcher", "sweeper"})
# What Hydra itself fills in for each composition.
FILLED_IN = frozenset({"runtime", "overrides"})
FILLED_IN_OF_JOB = frozenset({"name", "override_dirname", "config_name", "id", "num"})
TRUSTED_TARGETS = ("hydra._internal.core_plugins.", "hydra_plugins.")
RESOLVER = re.compile(r"\$\{[^}]*:")
NO_CODE = "a configuration names options, never code; choose by name, as in model=mlp"
OPEN = "allowed: hydra/launcher, hydra/sweeper and their settings; runs_dir says where runs land"


def override_problems(override: Override) -> list[Problem]:
    """Refuse an override that reaches for code, by key or by value."""
    key = override.key_or_group
    if "_target_" in str(override.input_line):
        return [Problem(key, f"{override.input_line}: _target_ is refused", NO_CODE)]
    section, _, rest = key.replace("/", ".").partition(".")
    if section == "hydra" and rest.split(".")[0] not in OPEN_TO_USERS:
        return [Problem(key, f"{override.input_line}: this part of Hydra cannot be set", OPEN)]
    return []


def search_path_problems(config_dir: Path | None, config_name: str) -> list[Problem]:
    """Refuse a primary configuration of the user's that adds search paths: `pkg://` imports what it names."""
    path = None if config_dir is None else config_dir / f"{config_name.removesuffix('.yaml')}.yaml"
    try:
        primary = None if path is None or not path.is_file() else load_yaml(path.read_bytes())
    except UNREADABLE:
        return []  # Hydra says what is wrong with it
    hydra = primary.get("hydra") if isinstance(primary, dict) else None
    if isinstance(hydra, dict) and "searchpath" in hydra:
        cause = "hydra.searchpath: not allowed in YAML"
        return [Problem("hydra.searchpath", cause, "add a directory with --config-dir DIR")]
    return []


def tree_problems(tree: DictConfig, shipped: DictConfig) -> list[Problem]:
    """Refuse what a user's YAML file brought into the composed configuration.

    Args:
        tree: everything, Hydra's part included.
        shipped: what `conf/` alone composes to.
    """
    composed = cast(dict[str, Any], OmegaConf.to_container(tree, resolve=False))
    ours = cast(dict[str, Any], OmegaConf.to_container(shipped, resolve=False))
    problems = [
        Problem(key, f"{key}={format_value(value)}: _target_ is refused", NO_CODE)
        for key, value in _leaves(composed)
        if key.rpartition(".")[2] == "_target_" and not _is_plugin(key, value)
    ]
    hydra, shipped_hydra = _fixed(composed["hydra"]), _fixed(ours["hydra"])
    problems += [
        Problem(f"hydra.{key}", f"hydra.{key}: this part of Hydra cannot be set", OPEN)
        for key in {**hydra, **shipped_hydra}
        if hydra.get(key) != shipped_hydra.get(key)
    ]
    problems += [
        Problem(key, f"{key}={value}: resolvers and _target_ are refused here", "write the value itself")
        for part in OPEN_TO_USERS
        for key, value in _leaves(composed["hydra"][part], f"hydra.{part}")
        if isinstance(value, str) and (RESOLVER.search(value) or "_target_" in value)
    ]
    return problems


def _fixed(hydra: dict[str, Any]) -> dict[str, Any]:
    """The part of Hydra's configuration that users may not set, with dotted keys."""
    job = {name: value for name, value in hydra["job"].items() if name not in FILLED_IN_OF_JOB}
    rest = {name: value for name, value in hydra.items() if name not in OPEN_TO_USERS | FILLED_IN}
    return dict(_leaves(rest | {"job": job}))


def _is_plugin(key: str, target: Any) -> bool:
    """Whether a `_target_` is that of an installed launcher or sweeper."""
    places = tuple(f"hydra.{part}." for part in OPEN_TO_USERS)
    return key.startswith(places) and isinstance(target, str) and target.startswith(TRUSTED_TARGETS)


def _leaves(node: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Every value of a tree with its dotted key; an empty section or list counts as a value."""
    items: Any = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    found = [leaf for name, value in items for leaf in _leaves(value, f"{prefix}.{name}" if prefix else str(name))]
    return found or [(prefix, node)]
