"""What a configuration may not do: name Python code to run, or replace the parts of Hydra that would run it."""

from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from mnist_exp.config.problems import show
from mnist_exp.errors import Problem

# What a user may set of Hydra's own configuration: who launches the jobs of a sweep, and who chooses them.
OPEN_TO_USERS = ("launcher", "sweeper")
TRUSTED_TARGETS = ("hydra._internal.core_plugins.", "hydra_plugins.")
NO_CODE = "a configuration names options, never code; choose by name, as in model=mlp"


def override_problems(override: Override) -> list[Problem]:
    """Refuse an override that reaches for code, by key or by value."""
    key = override.key_or_group
    if "_target_" in str(override.input_line):
        return [Problem(key, f"{override.input_line}: _target_ is refused", NO_CODE)]
    section, _, rest = key.replace("/", ".").partition(".")
    if section == "hydra" and rest.split(".")[0] not in OPEN_TO_USERS:
        cause = f"{override.input_line}: this part of Hydra is not open to settings"
        remedy = "allowed: hydra/launcher, hydra/sweeper and their settings; runs_dir says where runs land"
        return [Problem(key, cause, remedy)]
    return []


def search_path_problems(primary: Any) -> list[Problem]:
    """Refuse a primary configuration that adds search paths: `pkg://` imports what it names."""
    if OmegaConf.select(primary, "hydra.searchpath"):
        return [Problem("hydra.searchpath", "hydra.searchpath: is refused in YAML", "add a directory by --config-dir DIR")]
    return []


def tree_problems(tree: DictConfig) -> list[Problem]:
    """Refuse what a user's YAML file brought into the composed configuration, Hydra's part included."""
    problems = [
        Problem(key, f"{key}={show(value)}: _target_ is refused", NO_CODE)
        for key, value in _targets(OmegaConf.to_container(tree, resolve=False), "")
        if not (key.startswith(tuple(f"hydra.{part}." for part in OPEN_TO_USERS)) and _trusted(value))
    ]
    for part in ("job_logging", "hydra_logging"):
        if tree.hydra[part].get("root") is not None or set(tree.hydra[part]) - {
            "version",
            "root",
            "disable_existing_loggers",
        }:
            problems.append(
                Problem(
                    f"hydra.{part}",
                    f"hydra.{part}: is refused, it can run code",
                    "remove it: each run has its own train.log",
                )
            )
    if tree.hydra.callbacks:
        problems.append(Problem("hydra.callbacks", "hydra.callbacks: is refused, it runs code", "remove it"))
    return problems


def _trusted(target: Any) -> bool:
    return isinstance(target, str) and target.startswith(TRUSTED_TARGETS)


def _targets(node: Any, prefix: str) -> list[tuple[str, Any]]:
    if isinstance(node, dict):
        found = []
        for name, value in node.items():
            key = f"{prefix}.{name}" if prefix else str(name)
            found += [(key, value)] if name == "_target_" else _targets(value, key)
        return found
    if isinstance(node, list):
        return [hit for index, item in enumerate(node) for hit in _targets(item, f"{prefix}[{index}]")]
    return []
