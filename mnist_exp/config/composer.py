"""Hydra's compose API over `conf/` and a directory of the user's: nothing is composed twice, nothing unsafe is composed.

Everything here is public in Hydra, except that its store of options is edited (`remove_plugin_options`).
"""

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from hydra import compose, initialize_config_module
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from mnist_exp.config import security
from mnist_exp.config.overrides import not_an_override
from mnist_exp.config.security import OPEN_TO_USERS
from mnist_exp.errors import ConfigError, Problem

CONFIG_MODULE = "mnist_exp.conf"
CONFIG_PATH = f"pkg://{CONFIG_MODULE}"  # the same for @hydra.main
CONFIG_NAME = "config"
HYDRA_VERSION_BASE = "1.3"

# What Hydra and OmegaConf raise on files and overrides that do not fit; not all of it is theirs.
COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException, YAMLError, OSError, ValueError, AssertionError, RecursionError)


class UserDirectory(SearchPathPlugin):
    """Adds the directory of `--config-dir` to Hydra's search path while something is composed."""

    path: ClassVar[str | None] = None

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Hydra calls this when it is initialized."""
        if self.path is not None:
            search_path.append("command-line", f"file://{self.path}")


@dataclass(frozen=True)
class Composed:
    """What a choice of options composes to."""

    whole: DictConfig
    experiment: DictConfig  # the same without Hydra's own section
    keys: Mapping[str, None]  # every dotted key of the experiment, sections and list elements included, in order


class Composer:
    """Hydra's compose API; what has been composed or parsed once is kept."""

    def __init__(self, config_dir: str | None = None, config_name: str | None = None) -> None:
        self._config_dir = None if config_dir is None else Path(config_dir).resolve()
        self._config_name = config_name or CONFIG_NAME
        self._composed: dict[tuple[str, ...], Composed] = {}
        self._parsed: dict[str, list[Override] | Problem] = {}
        self._options: dict[str, list[str]] = {}
        with self._initialized() as loader:
            self._loader = loader
        self._parser = OverridesParser.create(config_loader=self._loader)

    @contextlib.contextmanager
    def _initialized(self) -> Iterator[ConfigLoader]:
        Plugins.instance().register(UserDirectory)
        remove_plugin_options()
        UserDirectory.path = None if self._config_dir is None else str(self._config_dir)
        try:
            with initialize_config_module(CONFIG_MODULE, version_base=HYDRA_VERSION_BASE):
                yield GlobalHydra.instance().config_loader()
        finally:
            UserDirectory.path = None

    def shadowed(self) -> list[Problem]:
        """Files of the user's directory with the name of a shipped one, of which Hydra would silently ignore one."""
        if self._config_dir is None:
            return []
        shipped = {str(path) for path in shipped_files()}
        own = (path.relative_to(self._config_dir) for path in sorted(self._config_dir.rglob("*.yaml")))
        return [
            Problem(str(path), f"{self._config_dir / path}: a shipped option has the same name", "rename the file")
            for path in own
            if path.as_posix() in shipped
        ]

    def parse(self, lines: Sequence[str]) -> tuple[list[Override], list[Problem]]:
        """Parse overrides as Hydra does; return a problem for each line that is not one."""
        overrides: list[Override] = []
        problems = []
        for line in lines:
            if line not in self._parsed:
                self._parsed[line] = self._parse(line)
            parsed = self._parsed[line]
            if isinstance(parsed, Problem):
                problems.append(parsed)
            else:
                overrides += parsed
        return overrides, problems

    def _parse(self, line: str) -> list[Override] | Problem:
        try:
            if line.startswith("="):
                raise HydraException(line)
            return self._parser.parse_overrides([line])
        except HydraException:
            return not_an_override(line)

    def options(self, group: str) -> Sequence[str]:
        """The options of a group; none if the key names a setting or does not exist."""
        if group not in self._options:
            self._options[group] = self._loader.get_group_options(group)
        return self._options[group]

    def compose(self, choices: Sequence[Override]) -> Composed:
        """Compose options, and settings of Hydra's own section.

        Raises:
            ConfigError: they bring in something that `security` refuses.
            COMPOSITION_ERRORS: a YAML file or an override does not fit.
        """
        lines = tuple(str(override.input_line) for override in choices)
        if lines not in self._composed:
            if refused := [problem for override in choices for problem in security.override_problems(override)]:
                raise ConfigError(refused)  # before anything is composed: a search path would be imported
            if problems := security.search_path_problems(self._config_dir, self._config_name):
                raise ConfigError(problems)
            with self._initialized():
                whole = compose(self._config_name, list(lines), return_hydra_config=True)
            if problems := security.tree_problems(whole, shipped()):
                raise ConfigError(problems)
            self._composed[lines] = _without_hydra(whole)
        return self._composed[lines]


def remove_plugin_options() -> None:
    """Remove the launchers and sweepers of Hydra and its plugins from its store, where those of `conf/` replace them.

    This program runs sweeps itself (see `mnist_exp.sweep`); Hydra would merge options of the same name.
    """
    Plugins.instance()  # fills the store
    hydra = ConfigStore.instance().repo["hydra"]
    for group in OPEN_TO_USERS:
        hydra[group].clear()


@cache
def shipped() -> DictConfig:
    """What `conf/` alone composes to; do not change it."""
    with initialize_config_module(CONFIG_MODULE, version_base=HYDRA_VERSION_BASE):
        return compose(CONFIG_NAME, return_hydra_config=True)


def shipped_files() -> list[PurePosixPath]:
    """Every YAML file of `conf/`, relative to it."""
    return [path for path in _files_below(files(CONFIG_MODULE), PurePosixPath()) if path.suffix == ".yaml"]


def _files_below(place: Traversable, path: PurePosixPath) -> list[PurePosixPath]:
    if not place.is_dir():
        return [path]
    return [found for entry in place.iterdir() for found in _files_below(entry, path / entry.name)]


def _without_hydra(whole: DictConfig) -> Composed:
    experiment = copy.deepcopy(whole)
    with open_dict(experiment):
        del experiment["hydra"]
    return Composed(whole, experiment, dict.fromkeys(_keys(OmegaConf.to_container(experiment, resolve=False))))


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    items: Any = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in items:
        key = f"{prefix}.{name}" if prefix else str(name)
        yield key
        yield from _keys(value, key)
