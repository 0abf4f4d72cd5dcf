"""One point of the command line: composed by Hydra's own loader as far as it goes, and every problem found on the way."""

import copy
import re
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Any

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError
from yaml import YAMLError

from mnist_exp import config
from mnist_exp.config import security
from mnist_exp.config.checks import device_present
from mnist_exp.config.execution import Execution, HydraConfig
from mnist_exp.config.problems import elsewhere, from_validation, nearest, nearest_key, remedy, schema_of
from mnist_exp.config.schema import Experiment
from mnist_exp.config.security import OPEN_TO_USERS
from mnist_exp.errors import ConfigError, Problem

CONFIG_PATH = "pkg://mnist_exp.conf"
CONFIG_NAME = "config"
HYDRA_VERSION_BASE = "1.3"
INDEX = re.compile(r"\[(\d+)\]")  # of a list's element, as other tools write it

# What Hydra and OmegaConf raise on files and overrides that do not fit; not all of it is theirs.
COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException, YAMLError, OSError, ValueError, AssertionError, RecursionError)


class Composer:
    """Hydra's loader over `conf/` and a directory of the user's."""

    def __init__(self, config_dir: str | None = None, config_name: str | None = None) -> None:
        version.setbase(HYDRA_VERSION_BASE)
        forget_plugins()
        self._config_dir = None if config_dir is None else Path(config_dir)
        search_path = create_config_search_path(CONFIG_PATH)
        if config_dir is not None:
            place = f"file://{Path(config_dir).resolve()}"
            search_path.prepend(provider="command-line", path=place, anchor=SearchPathQuery(provider="schema"))
        self._loader = ConfigLoaderImpl(config_search_path=search_path)
        self._config_name = config_name or CONFIG_NAME
        self._parser = OverridesParser.create(config_loader=self._loader)
        self._trees: dict[tuple[str, ...], DictConfig] = {}

    def shadowed(self) -> list[Problem]:
        """Files of the user's directory that bear the name of a shipped one, which Hydra would pass over in silence."""
        if self._config_dir is None:
            return []
        shipped = {str(path) for path in shipped_files()}
        own = (path.relative_to(self._config_dir) for path in sorted(self._config_dir.rglob("*.yaml")))
        return [
            Problem(
                str(path), f"{self._config_dir / path}: an option of that name is shipped already", "give it another name"
            )
            for path in own
            if path.as_posix() in shipped
        ]

    def parse(self, lines: Sequence[str]) -> tuple[list[Override], list[Problem]]:
        """The overrides among the lines, and a problem for each line that is none."""
        overrides: list[Override] = []
        problems = []
        for line in lines:
            try:
                if line.startswith("="):
                    raise HydraException(line)
                overrides += self._parser.parse_overrides([line])
            except HydraException:
                problems.append(_unparsed(line))
        return overrides, problems

    def sweeper_params(self, overrides: Sequence[Override]) -> list[str]:
        """What the configuration itself sweeps over (`hydra.sweeper.params`), as overrides."""
        plain = [override for override in overrides if not override.is_sweep_override()]
        chosen = [override for override in plain if override.is_hydra_override() or self._chooses(override)]
        try:
            if not OmegaConf.select(self._composed(chosen), "hydra.sweeper.params"):
                return []  # as nearly always: settings cannot add any, only be named in them
            params = OmegaConf.select(self._composed(plain), "hydra.sweeper.params")
            return [f"{key}={value}" for key, value in params.items()] if params else []
        except (*COMPOSITION_ERRORS, ConfigError):
            return []  # the check of the points tells what is wrong

    def execution(self, overrides: Sequence[Override]) -> HydraConfig:
        """How the points of a sweep are found and where they run.

        Raises:
            ConfigError: everything that is wrong with these settings.
        """
        try:
            tree = self._composed([override for override in overrides if not override.is_sweep_override()])
        except COMPOSITION_ERRORS as error:
            raise ConfigError([_composition_problem(error)]) from None
        settings = {part: OmegaConf.to_container(tree.hydra[part], resolve=True) for part in sorted(OPEN_TO_USERS)}
        try:
            return Execution.model_validate({"hydra": settings}).hydra
        except ValidationError as error:
            raise ConfigError(from_validation(error, Execution)) from None

    def check(self, lines: Sequence[str]) -> tuple[Experiment | None, list[Problem]]:
        """The experiment of these overrides, which sweep over nothing, or everything that is wrong with them."""
        overrides, problems = self.parse(lines)
        choices: list[Override] = []
        settings: list[Override] = []
        for override in overrides:
            section, _, leaf = override.key_or_group.rpartition(".")
            if section and leaf == "name" and self._loader.repository.group_exists(section):
                cause = f"{override.input_line}: an option is chosen by its group, which brings its settings along"
                problems.append(Problem(override.key_or_group, cause, f"write {section}={override.value()}"))
            elif self._chooses(override):
                faults = self._choice_problems(override)
                problems += faults
                choices += [] if faults else [override]
            elif override.is_hydra_override():
                choices.append(override)
            else:
                settings.append(override)
        try:
            tree = self._task(choices)
            known = list(_keys(OmegaConf.to_container(tree, resolve=False)))
            for override in settings:
                faults = _key_problems(override, known)
                problems += faults
                if not faults:
                    ConfigLoaderImpl._apply_overrides_to_config([override], tree)
        except ConfigError as error:
            return None, problems + error.problems
        except COMPOSITION_ERRORS as error:
            return None, [*problems, _composition_problem(error)]
        experiment, faults = _validated(tree)
        return experiment, problems + faults

    def _chooses(self, override: Override) -> bool:
        """Whether it is of a group and not of a setting."""
        return bool(self._loader.repository.group_exists(override.key_or_group))

    def _task(self, choices: Sequence[Override]) -> DictConfig:
        """What these choices compose to, without Hydra's own part.

        Raises:
            ConfigError: they bring in what `security` refuses.
        """
        tree = copy.deepcopy(self._composed(choices))
        with open_dict(tree):
            del tree["hydra"]
        return tree

    def _composed(self, overrides: Sequence[Override]) -> DictConfig:
        """The whole tree; composing takes far longer than copying, so what a sweep meets again and again is kept."""
        if refused := [problem for override in overrides for problem in security.override_problems(override)]:
            raise ConfigError(refused)  # before anything is composed: a search path would be imported
        lines = tuple(str(override.input_line) for override in overrides)
        if lines not in self._trees:
            primary = self._loader.repository.load_config(self._config_name)
            if primary is not None and (problems := security.search_path_problems(primary.config)):
                raise ConfigError(problems)
            tree = self._loader.load_configuration(self._config_name, list(lines), RunMode.RUN)
            if problems := security.tree_problems(tree, shipped()):
                raise ConfigError(problems)
            self._trees[lines] = tree
        return self._trees[lines]

    def _choice_problems(self, override: Override) -> list[Problem]:
        """Whether the chosen options of a group exist."""
        group = override.key_or_group
        options = self._loader.repository.get_group_options(group)
        value = override.value()
        chosen = value if isinstance(value, list) else [value]
        if override.is_delete():
            return []
        return [
            Problem(
                group,
                f"{group}={'null' if option is None else option}: there is no such {group}",
                remedy(", ".join(options), nearest(str(option), options)),
            )
            for option in chosen
            if str(option) not in options
        ]


def forget_plugins() -> None:
    """Take Hydra's launchers and sweepers, and those of its plugins, out of its store: those in conf/ stand in their place.

    A sweep is run by this program (see `mnist_exp.sweep`), and Hydra would merge options of one name.
    """
    Plugins.instance()  # which fills the store
    hydra = ConfigStore.instance().repo["hydra"]
    for group in OPEN_TO_USERS:
        hydra[group].clear()


@cache
def shipped() -> DictConfig:
    """What `conf/` alone composes to; to be read only."""
    loader = ConfigLoaderImpl(config_search_path=create_config_search_path(CONFIG_PATH))
    return loader.load_configuration(CONFIG_NAME, [], RunMode.RUN)


def shipped_files() -> list[PurePosixPath]:
    """Every YAML file of `conf/`, relative to it."""
    return [path for path in _files_below(files("mnist_exp.conf"), PurePosixPath()) if path.suffix == ".yaml"]


def _files_below(place: Traversable, path: PurePosixPath) -> list[PurePosixPath]:
    if not place.is_dir():
        return [path]
    return [found for entry in place.iterdir() for found in _files_below(entry, path / entry.name)]


def _validated(tree: DictConfig) -> tuple[Experiment | None, list[Problem]]:
    """The experiment in a composed tree, checked against its schema and this machine."""
    experiment, problems = None, []
    try:
        experiment = config.validate(tree)
    except ConfigError as error:
        problems = error.problems
    if not {"device", "precision"} & {problem.key for problem in problems}:
        problems += device_present(tree.device, tree.precision)
    return experiment, problems


def _unparsed(line: str) -> Problem:
    """A line that is no override, and what it was probably meant to be."""
    key, _, value = line.partition("=")
    if INDEX.search(key):
        dotted = INDEX.sub(r".\1", key)
        return Problem(line, f"{line}: not an override", f"write {dotted}={value}")
    example = f"'{key}=\"{value}\"'" if key and value and '"' not in value else "'key=\"a, b\"'"
    return Problem(line, f"{line}: not an override", f"write key=value; with special characters: {example}")


def _key_problems(override: Override, keys: Collection[str]) -> list[Problem]:
    """Whether a plain key exists; `+key` and `++key` are left to the schema, which tells them the same way."""
    key = override.key_or_group
    section, _, name = key.rpartition(".")
    if name.isdecimal() and (override.is_delete() or override.is_add() or override.is_force_add()):
        cause = f"{override.input_line}: a list cannot be made longer or shorter by an override"
        return [Problem(key, cause, f"write it whole, {section}=[...], or in a YAML file of your own: --config-dir DIR")]
    if override.is_add() or override.is_force_add() or key in keys:
        return []
    while not (siblings := [known.rpartition(".")[2] for known in keys if known.rpartition(".")[0] == section]):
        section = section.rpartition(".")[0]
    allowed = f"0 to {siblings[-1]}" if siblings[0].isdecimal() else ", ".join(siblings)
    told = remedy(allowed, nearest_key(key, keys)) + elsewhere(key, schema_of(Experiment))
    return [Problem(key, f"{override.input_line}: there is no such key", told)]


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    """Every dotted key of a tree, sections and list elements included."""
    items: Any = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in items:
        key = f"{prefix}.{name}" if prefix else str(name)
        yield key
        yield from _keys(value, key)


def _composition_problem(error: Exception) -> Problem:
    if isinstance(error, RecursionError):
        return Problem("", "the configuration is nested too deeply", "a hundred sections within each other are too many")
    told = str(error).partition("\nSearch path:")[0].partition("\nConfig search path:")[0]
    sentence = " ".join(line.strip() for line in told.splitlines() if line.strip())
    return Problem(
        "", sentence or str(error.__cause__ or type(error).__name__), "mend the override or the YAML file it names"
    )
