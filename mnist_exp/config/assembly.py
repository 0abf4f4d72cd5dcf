"""Overrides → checked experiments: what experiments share is composed once, and only values change from one to the next."""

import copy
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from mnist_exp import config
from mnist_exp.config import overrides
from mnist_exp.config.checks import check_device
from mnist_exp.config.composer import COMPOSITION_ERRORS, Composer
from mnist_exp.config.problems import composition_problem
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import ConfigError, Problem


@dataclass
class _Base:
    """A composed tree with the settings that several experiments share; the others are applied to it in turn."""

    tree: DictConfig | None  # None if it could not be composed
    keys: Mapping[str, None]  # every dotted key there is
    problems: list[Problem]


class Assembler:
    """Assembles experiments from overrides with one value each."""

    def __init__(self, composer: Composer) -> None:
        self._composer = composer
        self._bases: dict[tuple[str, ...], _Base] = {}
        self._kinds: dict[str, tuple[bool, list[Problem]]] = {}
        self._device_problems: dict[tuple[str, str], list[Problem]] = {}

    def experiments(
        self, combinations: Sequence[Sequence[Override]], varying: Iterable[str] = ()
    ) -> tuple[list[Experiment], list[Problem]]:
        """Assemble and check experiments.

        Args:
            combinations: the overrides of each experiment, in the order in which they are applied.
            varying: keys of settings that differ in later calls too, so that these find everything else composed.

        Returns:
            The experiments in order, without those that have a problem, and all problems.
        """
        changing = _changing(combinations) | set(varying)
        experiments, problems = [], []
        for combination in combinations:
            experiment, found = self._experiment(combination, changing)
            problems += found
            if experiment is not None and not found:
                experiments.append(experiment)
        return experiments, problems

    def settled(self, combination: Sequence[Override]) -> DictConfig:
        """Compose overrides to a tree that includes Hydra's own section; leave out settings that do not fit.

        Raises:
            ConfigError, COMPOSITION_ERRORS: the choices among them cannot be composed.
        """
        choices, settings, _ = self._divide(combination)
        composed = self._composer.compose(choices)
        tree = copy.deepcopy(composed.whole)
        for override in settings:
            if not overrides.key_problems(override, composed.keys):
                overrides.apply(override, tree)
        return tree

    def _experiment(self, combination: Sequence[Override], changing: set[str]) -> tuple[Experiment | None, list[Problem]]:
        choices, settings, problems = self._divide(combination)
        fixed = [override for override in settings if override.key_or_group not in changing]
        varied = [override for override in settings if override.key_or_group in changing]
        base = self._base(choices, fixed, varied)
        problems += base.problems
        if base.tree is None:
            return None, problems
        # The next experiment overwrites each value, but a mapping is merged into what there is.
        merges = any(isinstance(override.value(), dict) or override.is_delete() for override in varied)
        tree = copy.deepcopy(base.tree) if merges else base.tree
        try:
            problems += _applied(varied, tree, base.keys)
        except COMPOSITION_ERRORS as error:
            return None, [*problems, composition_problem(error)]
        experiment, found = self._validated(tree)
        return experiment, problems + found

    def _base(self, choices: Sequence[Override], fixed: Sequence[Override], varied: Sequence[Override]) -> _Base:
        lines = [str(override.input_line) for override in (*choices, *fixed)]
        key = (*lines, "", *(override.key_or_group for override in varied))
        if key not in self._bases:
            self._bases[key] = self._composed(choices, fixed)
        return self._bases[key]

    def _composed(self, choices: Sequence[Override], fixed: Sequence[Override]) -> _Base:
        try:
            composed = self._composer.compose(choices)
            tree = copy.deepcopy(composed.experiment)
            return _Base(tree, composed.keys, _applied(fixed, tree, composed.keys))
        except ConfigError as error:
            return _Base(None, {}, error.problems)
        except COMPOSITION_ERRORS as error:
            return _Base(None, {}, [composition_problem(error)])

    def _divide(self, combination: Sequence[Override]) -> tuple[list[Override], list[Override], list[Problem]]:
        """Choices of options and settings of Hydra's own section; other settings; the problems of the rest."""
        choices: list[Override] = []
        settings: list[Override] = []
        problems: list[Problem] = []
        for override in combination:
            line = str(override.input_line)
            if line not in self._kinds:
                self._kinds[line] = self._kind(override)
            is_choice, found = self._kinds[line]
            problems += found
            if not found:
                (choices if is_choice else settings).append(override)
        return choices, settings, problems

    def _kind(self, override: Override) -> tuple[bool, list[Problem]]:
        section, _, leaf = override.key_or_group.rpartition(".")
        if section and leaf == "name" and self._composer.options(section):
            return False, [overrides.name_of_group(override)]
        if options := self._composer.options(override.key_or_group):
            return True, overrides.unknown_options(override, options)
        return override.is_hydra_override(), []

    def _validated(self, tree: DictConfig) -> tuple[Experiment | None, list[Problem]]:
        experiment, problems = None, []
        try:
            experiment = config.validate(tree)
        except ConfigError as error:
            problems = error.problems
        if not {"device", "precision"} & {problem.key for problem in problems}:
            asked = tree.device, tree.precision
            if asked not in self._device_problems:
                self._device_problems[asked] = check_device(*asked)
            problems += self._device_problems[asked]
        return experiment, problems


def _changing(combinations: Sequence[Sequence[Override]]) -> set[str]:
    """The keys whose values differ, and those that overlap with one of them, so that their order counts."""
    values: dict[str, str | None] = {}
    changing: set[str] = set()
    for override in itertools.chain.from_iterable(combinations):
        if values.setdefault(override.key_or_group, override.input_line) != override.input_line:
            changing.add(override.key_or_group)
    return {key for key in values if any(_overlap(key, other) for other in changing)}


def _overlap(key: str, other: str) -> bool:
    """Whether one of two keys is the other's section, or they are the same."""
    return f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")


def _applied(settings: Sequence[Override], tree: DictConfig, keys: Mapping[str, None]) -> list[Problem]:
    """Apply settings to a tree, those without a problem; return the problems."""
    problems = []
    for override in settings:
        found = overrides.key_problems(override, keys)
        problems += found or overrides.apply(override, tree)
    return problems
