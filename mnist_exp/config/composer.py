"""Hydra's public compose API for `conf/` and a user's directory: refuses unsafe configurations, composes nothing twice."""

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

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
from mnist_exp.config.conversions import literal_path, walk
from mnist_exp.config.overrides import not_an_override
from mnist_exp.config.problems import raise_problems
from mnist_exp.config.security import OPEN_TO_USERS
from mnist_exp.config.user_directory import CONFIG_MODULE, Options, directory_problems, is_inside, shipped_groups
from mnist_exp.errors import Problem

CONFIG_PATH = f"pkg://{CONFIG_MODULE}"  # for @hydra.main
CONFIG_NAME = "config"
MAX_NAME = 255  # characters of a file's name
HYDRA_VERSION_BASE = "1.3"

# Errors of Hydra and OmegaConf for invalid files and overrides; not all of them have a class of their own.
COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException, YAMLError, OSError, ValueError, AssertionError, RecursionError)


class UserDirectory(SearchPathPlugin):
    """Adds the directory of `--config-dir` to Hydra's search path; Hydra calls it for each composition."""

    path: ClassVar[str | None] = None
    is_trusted: ClassVar[bool] = True  # all files are shipped

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the directory. Its files may name others in any directory of the path, so all are read with limits."""
        if self.path is not None:
            search_path.append("command-line", f"{Options.scheme()}://{self.path}")
        for element in () if self.is_trusted else search_path.get_path():
            scheme, _, package = str(element.path).partition("://")
            if scheme == "pkg":
                element.path = f"{Options.scheme()}://{files(package)}"


@dataclass(frozen=True)
class Composed:
    """A composed choice of options."""

    whole: DictConfig
    experiment: DictConfig  # without Hydra's own section
    text: str  # all of what users may set, with unresolved references
    keys: Mapping[str, None]  # all dotted keys of the experiment in order, including sections and list elements
    shared_trees: dict[tuple[str, ...], DictConfig]  # set keys → a copy of the experiment to set them in


class Composer:
    """Parses and composes overrides, each only once."""

    def __init__(self, config_dir: str | None = None, config_name: str | None = None) -> None:
        """Check the user's directory, and read which options there are.

        Raises:
            ConfigError: the directory, or a file in it, cannot be used.
        """
        self._config_dir = None if config_dir is None else Path(config_dir).resolve()
        self._config_name = config_name or CONFIG_NAME
        if not is_inside(self._config_name):
            remedy = "name the directory and a file in it: --config-dir DIR --config-name NAME"
            raise_problems([Problem("--config-name", f"--config-name {config_name}: is a path", remedy)])
        if self._config_dir is not None:
            raise_problems(directory_problems(self._config_dir, has_primary=config_name is not None))
        self.filled_groups = shipped_groups() if config_name is None else ()  # that have an option, or null, in any case
        self._is_shipped = config_dir is None and config_name is None  # all files are
        self._composed: dict[tuple[str, ...], Composed] = {}
        self._parsed: dict[str, list[Override] | Problem] = {}
        with self._initialized() as loader:
            self._parser = OverridesParser.create(config_loader=loader)
            # Of a group; none if the key names a setting or nothing, or is too long for the name of a file.
            self.options = cache(lambda group: loader.get_group_options(group) if len(group) <= MAX_NAME else [])

    @contextlib.contextmanager
    def _initialized(self) -> Iterator[ConfigLoader]:
        Plugins.instance().register(UserDirectory)
        Plugins.instance().register(Options)
        remove_plugin_options()
        UserDirectory.path = None if self._config_dir is None else str(self._config_dir)
        UserDirectory.is_trusted = self._is_shipped
        try:
            with initialize_config_module(CONFIG_MODULE, version_base=HYDRA_VERSION_BASE):
                yield GlobalHydra.instance().config_loader()
        finally:
            UserDirectory.path, UserDirectory.is_trusted = None, True

    def parse(self, lines: Sequence[str]) -> tuple[list[Override], list[Problem]]:
        """Parse overrides as Hydra does; return a problem for each line that is not an override."""
        overrides: list[Override] = []
        problems = []
        for line in map(literal_path, lines):
            if line not in self._parsed:
                try:
                    self._parsed[line] = not_an_override(line) if line[:1] == "=" else self._parser.parse_overrides([line])
                except HydraException:
                    self._parsed[line] = not_an_override(line)
            parsed = self._parsed[line]
            if isinstance(parsed, Problem):
                problems.append(parsed)
            else:
                overrides += parsed
        return overrides, problems

    def compose(self, overrides: Sequence[Override]) -> Composed:
        """Compose options.

        Args:
            overrides: without those that `security.override_problems` refuses.

        Raises:
            ConfigError: `security` refuses a file that they name.
            COMPOSITION_ERRORS: a YAML file or an override is not valid.
        """
        lines = tuple(str(override.input_line) for override in overrides)
        if lines not in self._composed:
            with self._initialized() as loader:
                sources = [] if self._is_shipped else loader.get_sources()
                if source := next((each for each in sources if each.is_config(self._config_name)), None):  # as Hydra does
                    raise_problems(security.search_path_problems(source.load_config(self._config_name).config))
                whole = compose(self._config_name, list(lines), return_hydra_config=True)
            problems = security.code_problems(whole)
            if not self._is_shipped or any(override.package for override in overrides):
                problems += security.hydra_problems(whole, _shipped())
            raise_problems(problems)
            experiment = copy.deepcopy(whole)
            with open_dict(experiment):
                del experiment["hydra"]
            parts = [experiment, *(whole.hydra[part] for part in sorted(OPEN_TO_USERS))]
            values, *others = [dict(walk(OmegaConf.to_container(part, resolve=False))) for part in parts]
            text = "".join(value for part in (values, *others) for value in part.values() if isinstance(value, str))
            self._composed[lines] = Composed(whole, experiment, text, dict.fromkeys(values), {})
        return self._composed[lines]


def remove_plugin_options() -> None:
    """Remove the launchers and sweepers of Hydra and its plugins from its store.

    This program runs sweeps itself (see `mnist_exp.sweep`) and has options of the same names, which Hydra would merge.
    """
    Plugins.instance()  # fills the store
    hydra = ConfigStore.instance().repo["hydra"]
    for group in OPEN_TO_USERS:
        hydra[group].clear()


@cache
def _shipped() -> DictConfig:
    """Compose `conf/` alone."""
    with initialize_config_module(CONFIG_MODULE, version_base=HYDRA_VERSION_BASE):
        return compose(CONFIG_NAME, return_hydra_config=True)
