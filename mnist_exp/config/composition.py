"""The command line before Hydra runs it: every problem of every point, found at once and without TensorFlow.

Hydra stops at the first thing it cannot compose, lets `+typo=1` through, and would run code that a configuration names. So
the overrides are first composed here, with Hydra's own parser and loader, and checked; `@hydra.main` then meets no error.
"""

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from mnist_exp import config
from mnist_exp.config.checks import device_present
from mnist_exp.config.problems import nearest, nearest_key, remedy
from mnist_exp.config.schema import Experiment
from mnist_exp.config.security import override_problems, search_path_problems, tree_problems
from mnist_exp.errors import ConfigError, InputError, Problem

CONFIG_PATH = "pkg://mnist_exp.conf"
CONFIG_NAME = "config"
HYDRA_VERSION_BASE = "1.3"


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Hydra's own command line, less what would run code or lose the defaults.

    Raises:
        InputError: a flag that is refused, or a directory that is not there.
        SystemExit: by argparse, with 2, for an unknown flag.
    """
    parser = get_args_parser()
    parser.prog = "mnist-exp"
    parser.usage = "mnist-exp [-m] [key=value ...]; see mnist-exp --help"
    parsed = parser.parse_intermixed_args(arguments)
    if parsed.experimental_rerun is not None:
        raise InputError(
            "--experimental-rerun is refused: it unpickles a file, which can run any code",
            "repeat a run with the overrides in its overrides.yaml",
        )
    if parsed.config_path is not None:
        raise InputError(
            "--config-path is refused: it would hide every shipped option",
            "add a directory of your own with --config-dir DIR",
        )
    if parsed.config_dir is not None and not Path(parsed.config_dir).is_dir():
        raise InputError(f"--config-dir {parsed.config_dir}: no such directory", "name a directory of YAML files")
    return parsed


def experiments(arguments: argparse.Namespace) -> list[Experiment]:
    """The experiment of every point that the overrides span: one, or with `-m` their product.

    Raises:
        ConfigError: every problem of every point, each told once.
    """
    composer = _Composer(arguments.config_dir, arguments.config_name or CONFIG_NAME)
    overrides, problems = composer.parse(arguments.overrides)
    for override in overrides:
        problems += override_problems(override) or _sweep_problems(override, arguments.multirun)
    # What is at fault already is left aside, so that the rest can be composed and its faults told too.
    faulty = {problem.key for problem in problems}
    sound = [override for override in overrides if override.key_or_group not in faulty]
    points = []
    for point in _points(sound, arguments.multirun):
        experiment, found = composer.check(point)
        problems += found
        if experiment is not None:
            points.append(experiment)
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return points


def _sweep_problems(override: Override, multirun: bool) -> list[Problem]:
    key, line = override.key_or_group, override.input_line
    if override.is_sweep_override() and not multirun:
        cause = f"{line}: several values, but this is no sweep"
        return [Problem(key, cause, f"sweep with: mnist-exp -m {line}; write a list as {key}=[1,2]")]
    return []


def _points(overrides: list[Override], multirun: bool) -> Iterator[list[str]]:
    """Plain overrides: the product of the sweeps as Hydra's own sweeper forms it, where a key's last override counts."""
    if not multirun:
        yield [str(override.input_line) for override in overrides]
        return
    choices: dict[str, list[str]] = {}
    for override in overrides:
        key = override.get_key_element()
        if override.is_discrete_sweep():
            choices[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        elif not override.is_sweep_override():
            choices[key] = [str(override.input_line)]
    for point in itertools.product(*choices.values()):
        yield list(point)


class _Composer:
    """Hydra's loader over `conf/` and the user's directory."""

    def __init__(self, config_dir: str | None, config_name: str) -> None:
        version.setbase(HYDRA_VERSION_BASE)
        search_path = create_config_search_path(CONFIG_PATH)
        if config_dir is not None:
            place = f"file://{Path(config_dir).resolve()}"
            search_path.prepend(provider="command-line", path=place, anchor=SearchPathQuery(provider="schema"))
        self._loader = ConfigLoaderImpl(config_search_path=search_path)
        self._config_name = config_name
        self._parser = OverridesParser.create(config_loader=self._loader)

    def parse(self, lines: list[str]) -> tuple[list[Override], list[Problem]]:
        """The overrides among the lines, and a problem for each line that is none."""
        overrides: list[Override] = []
        problems = []
        for line in lines:
            try:
                if line.startswith("="):
                    raise HydraException(line)
                overrides += self._parser.parse_overrides([line])
            except HydraException:
                cause = f"{line}: not an override"
                problems.append(Problem(line, cause, "write key=value, and quote special characters: 'key=\"a, b\"'"))
        return overrides, problems

    def check(self, lines: list[str]) -> tuple[Experiment | None, list[Problem]]:
        """Compose one point as far as it goes, and check what comes of it."""
        overrides, problems = self.parse(lines)
        choices: list[Override] = []
        settings: list[Override] = []
        for override in overrides:
            (choices if self._loader.repository.group_exists(override.key_or_group) else settings).append(override)
        found = {id(override): self._choice_problems(override) for override in choices}
        choices = [override for override in choices if not found[id(override)]]
        try:
            tree = self._compose(choices)
            found |= {id(override): self._key_problems(override, tree) for override in settings}
            settings = [override for override in settings if not found[id(override)]]
            tree = self._compose(choices + settings)
        except (HydraException, OmegaConfBaseException, YAMLError, OSError) as error:
            problems.append(_composition_problem(error))
            tree = None
        problems = [problem for listed in found.values() for problem in listed] + problems
        if tree is None:
            return None, problems
        refused = tree_problems(tree)
        with open_dict(tree):
            del tree["hydra"]
        try:
            experiment, faults = config.validate(tree), []
        except ConfigError as error:
            experiment, faults = None, error.problems
        if not {"device", "precision"} & {problem.key for problem in faults}:
            faults += device_present(tree.device, tree.precision)
        return experiment, problems + refused + faults

    def _compose(self, overrides: list[Override]) -> DictConfig:
        primary = self._loader.repository.load_config(self._config_name)
        if primary is not None and (problems := search_path_problems(primary.config)):
            raise ConfigError(problems)
        lines = [str(override.input_line) for override in overrides]
        return self._loader.load_configuration(self._config_name, lines, RunMode.RUN)

    def _choice_problems(self, override: Override) -> list[Problem]:
        """Whether the chosen options of a group exist."""
        group = override.key_or_group
        options = self._loader.repository.get_group_options(group)
        value = override.value()
        chosen = value if isinstance(value, list) else [value]
        return [
            Problem(
                group,
                f"{group}={option}: there is no such {group}",
                remedy(", ".join(options), nearest(str(option), options)),
            )
            for option in chosen
            if option is not None and str(option) not in options and not override.is_delete()
        ]

    def _key_problems(self, override: Override, tree: DictConfig) -> list[Problem]:
        """Whether a plain key exists; `+key` and `++key` are left to the schema, which tells them the same way."""
        key = override.key_or_group
        if override.is_add() or override.is_force_add():
            return []
        composed = cast(dict[str, Any], OmegaConf.to_container(tree, resolve=False))
        task = {name: value for name, value in composed.items() if name != "hydra"}
        keys = list(_keys(task))
        if key in keys or key.split(".")[0] == "hydra":
            return []
        parent = key.rpartition(".")[0]
        siblings = [name.rpartition(".")[2] for name in keys if name.rpartition(".")[0] == parent]
        allowed = ", ".join(siblings or task)
        return [Problem(key, f"{override.input_line}: there is no such key", remedy(allowed, nearest_key(key, keys)))]


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    """Every dotted key of a tree, sections and list elements included."""
    items: Any = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in items:
        key = f"{prefix}.{name}" if prefix else str(name)
        yield key
        yield from _keys(value, key)


def _composition_problem(error: Exception) -> Problem:
    sentence = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    return Problem("", sentence or str(error.__cause__), "mend the override or the YAML file it names")
