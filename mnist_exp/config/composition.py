"""A command line → its experiments: parsed, composed and validated once, with all problems reported together.

Hydra alone stops at the first problem, accepts `+typo=1`, and runs code that a configuration names.
"""

import argparse
import contextlib
import itertools
import shlex
from collections.abc import Iterable, Sequence
from functools import cached_property, partial
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from pydantic import ValidationError

from mnist_exp.config import sweeps
from mnist_exp.config.assembly import Assembler
from mnist_exp.config.checks import check_search
from mnist_exp.config.command_line import sweep_command
from mnist_exp.config.composer import COMPOSITION_ERRORS, Composer
from mnist_exp.config.hydra_settings import HydraSection, HydraSettings, OptunaSweeperConfig
from mnist_exp.config.identity import flatten
from mnist_exp.config.initial_weights import Find
from mnist_exp.config.problems import GROUPS_OF_RECIPES, composition_problems, from_validation, nearest, raise_problems
from mnist_exp.config.schema import Experiment
from mnist_exp.config.search_space import Combination, Interval, SearchSpace
from mnist_exp.config.security import OPEN_TO_USERS
from mnist_exp.config.user_directory import shipped_groups
from mnist_exp.errors import ConfigError, Problem

SEARCH_EXAMPLE = "such as: 'optimizer.learning_rate=tag(log, interval(1e-4,1e-1))' 'model.units=choice([64],[128])'"


class Composition:
    """The overrides of one command line and their experiments."""

    def __init__(self, arguments: argparse.Namespace, can_sweep: bool = True, find: Find | None = None) -> None:
        """Parse arguments; `can_sweep`: whether a message may advise a sweep; `find` finds the run of `initial_weights`."""
        self._arguments, self._can_sweep = arguments, can_sweep
        self._sweep_command = partial(sweep_command, arguments)
        self._multirun: bool = arguments.multirun
        self._composer = Composer(arguments.config_dir, arguments.config_name)
        self._assembler = Assembler(self._composer, find)
        self._overrides, self._unparsed = self._composer.parse(arguments.overrides)

    @cached_property
    def hydra_settings(self) -> HydraSettings:
        """The launcher and the sweeper.

        Raises:
            ConfigError: all problems of their settings, or of the command line.
        """
        sweepers = [override.value() for override in self._overrides if override.key_or_group == "hydra/sweeper"]
        meant = nearest(str(sweepers[-1]), self._composer.options("hydra/sweeper")) if sweepers else None
        problems = list[Problem]()
        try:
            tree, found = self._with_hydra
            problems += found
            meant = meant or OmegaConf.select(tree, "hydra.sweeper.name")
            settings = OmegaConf.to_container(OmegaConf.masked_copy(tree.hydra, sorted(OPEN_TO_USERS)), resolve=True)
            checked = HydraSection.model_validate({"hydra": settings}).hydra
            if not problems:
                return checked
        except ValidationError as error:
            problems += from_validation(error, HydraSection)
        except (ConfigError, *COMPOSITION_ERRORS) as error:
            problems += composition_problems(error, shipped_groups())
        try:
            _ = self.space() if self._multirun and meant == "optuna" else self.combinations()
        except ConfigError as error:
            problems += error.problems
        raise ConfigError(list(dict.fromkeys(problems)))

    def first(self) -> Combination:
        """Return the first experiment of the command line; that of a search has the first value of each parameter.

        Raises:
            ConfigError: all problems of the command line.
        """
        sweeper = self.hydra_settings.sweeper
        if self._multirun and isinstance(sweeper, OptunaSweeperConfig):
            return self.space(sweeper).first()
        return self.combinations()[0]

    def single(self) -> Experiment:
        """Return the experiment of a command that trains once.

        Raises:
            ConfigError: all problems of the command line. A configuration that is a sweep (`hydra.sweeper.params`) is a
                problem, unless the overrides set all its keys.
        """
        _ = self.hydra_settings  # raises its problems and all others
        (combination,) = self.combinations()
        sweep_with = f"sweep with: {self._sweep_command({}, [])}"
        no_effect, leave_out = "has an effect only in a sweep", f"{sweep_with}; or leave it out"
        raise_problems(
            Problem(override.key_or_group, f"{override.input_line}: {no_effect}", leave_out)
            for override in self._overrides
            if override.is_hydra_override() or override.key_or_group.partition(".")[0] == "sweep"
        )
        if combination.experiment.sweep.dry_run:  # by a recipe
            raise ConfigError([Problem("sweep.dry_run", f"sweep.dry_run=true: {no_effect}", sweep_with)])
        swept, found = self._configured_sweep
        raise_problems([*found, *(problem for override in swept for problem in sweeps.value_problems(override))])
        if left := [override for override in swept if override.get_key_element() not in self._given]:
            cause = f"hydra.sweeper.params: {' '.join(_lines(left))}: the configuration is a sweep, but the command is not"
            values = shlex.join(map(sweeps.first_value, left))
            remedy = f"{sweep_with}; or give one value{' for each' if left[1:] else ''}, such as {values}"
            raise ConfigError([Problem(left[0].key_or_group, cause, remedy)])
        return combination.experiment

    def combinations(self) -> list[Combination]:
        """Return the experiments of the command line: one, or with `-m` one for each combination of values.

        The order is that of `itertools.product`, as in Hydra's own sweeper. If a sweep has several overrides of a key, the
        last one counts.

        Raises:
            ConfigError: all problems of all combinations.
        """
        overrides, problems = self._valid_overrides(self._multirun)
        if self._multirun:
            overrides = list({override.get_key_element(): override for override in overrides}.values())
        several = [override for override in overrides if override.is_sweep_override()]
        if unlimited := sweeps.too_many(several):
            raise ConfigError([*problems, *unlimited])
        swept = {override.get_key_element() for override in several}
        combinations = list(itertools.product(*map(self._single_values, overrides)))
        experiments, found = self._assembler.experiments(combinations)
        known = {problem.key for problem in problems}  # of overrides that are left out, and so may be missing
        raise_problems([*problems, *(problem for problem in found if problem.key not in known)])
        return [
            Combination(_lines(each), _lines(one for one in each if one.get_key_element() in swept), experiment)
            for each, experiment in zip(combinations, experiments, strict=True)
        ]

    def space(self, settings: OptunaSweeperConfig | None = None) -> SearchSpace:
        """Return the search space, after checking all choices and both bounds of all intervals, with valid settings or none.

        Raises:
            ConfigError: all problems of the search space.
        """
        overrides, problems = self._valid_overrides(multirun=True, search=True)
        by_key = {override.get_key_element(): override for override in overrides}.values()
        searched = [override for override in by_key if override.is_sweep_override()]
        fixed = _lines(override for override in by_key if not override.is_sweep_override())
        space = SearchSpace(self.experiments, _lines(self._overrides), fixed, tuple(map(sweeps.parameter, searched)))
        if not any(override.is_sweep_override() for override in [*self._configured_sweep[0], *self._overrides]):
            problems.append(Problem("", "hydra/sweeper=optuna: nothing to search", SEARCH_EXAMPLE))
        first = [each.values[0] for each in space.parameters]
        for index, searched_for in enumerate(space.parameters):
            key = searched_for.key
            if settings and settings.sampler == "grid" and isinstance(searched_for, Interval) and searched_for.step is None:
                cause = f"{key}: hydra.sweeper.sampler=grid cannot try every value of an interval"
                remedy = f"list the values, such as '{key}=choice({','.join(searched_for.values)})'"
                problems.append(Problem(key, cause, remedy))
            for value in searched_for.values:
                try:
                    combination = space.combination([*first[:index], value, *first[index + 1 :]])
                except ConfigError as error:
                    problems += error.problems
                else:
                    problems += check_search(combination.experiment, settings) if settings else ()
        raise_problems(problems)
        return space

    def experiments(self, combinations: Sequence[Sequence[str]]) -> list[Experiment]:
        """Return the experiments of other overrides, each with one value.

        Raises:
            ConfigError: all problems of all experiments.
        """
        parsed = [self._composer.parse(lines) for lines in combinations]
        experiments, problems = self._assembler.experiments([overrides for overrides, _ in parsed])
        raise_problems([*(problem for _, unparsed in parsed for problem in unparsed), *problems])
        return experiments

    @cached_property
    def _with_hydra(self) -> tuple[DictConfig, list[Problem]]:
        """The configuration of all overrides with one value, including Hydra's own section, and problems in that."""
        return self._assembler.with_hydra([override for override in self._overrides if not override.is_sweep_override()])

    @cached_property
    def _given(self) -> set[str]:
        """The keys of all overrides."""
        return {override.get_key_element() for override in self._overrides}

    @cached_property
    def _configured_sweep(self) -> tuple[list[Override], list[Problem]]:
        """The overrides of a sweep that the configuration itself defines, and its problems."""
        try:
            lines, problems = sweeps.configured_lines(OmegaConf.select(self._with_hydra[0], "hydra.sweeper.params"))
        except (*COMPOSITION_ERRORS, ConfigError):
            return [], []  # `hydra_settings` and `combinations` report the problem
        overrides, unparsed = self._composer.parse(lines)
        return overrides, problems + unparsed

    def _valid_overrides(self, multirun: bool, search: bool = False) -> tuple[list[Override], list[Problem]]:
        """Return the overrides whose sweeps are allowed, and the problems of the others."""
        configured, found = self._configured_sweep if multirun else ([], [])
        problems = [*self._unparsed, *found]
        valid = []
        for override in [*configured, *self._overrides]:
            if override.is_sweep_override() and not multirun:
                found = sweeps.value_problems(override) or [
                    sweeps.not_a_sweep(override, self._sweep_command, self._can_sweep)
                ]
            else:
                found = sweeps.sweep_problems(override, search) or self._swept_recipe_problems(override)
            problems += found
            valid += [] if found else [override]
        return valid, problems

    def _swept_recipe_problems(self, override: Override) -> list[Problem]:
        """Return a problem for each option in a sweep that sets what its jobs share: the launcher, the sweeper, `params`."""
        group, arguments = override.key_or_group, self._arguments
        may_set_them = group in GROUPS_OF_RECIPES or arguments.config_dir or arguments.config_name
        if not override.is_sweep_override() or not may_set_them or not self._composer.options(group):
            return []
        problems = []
        with contextlib.suppress(*COMPOSITION_ERRORS, ConfigError):  # reported with the combinations
            fixed = [each for each in self._overrides if not each.is_sweep_override()]
            shared = self._shared_settings(fixed)
            for single in self._single_values(override):
                if self._shared_settings([*fixed, single]) != shared:
                    line, one = str(override.input_line), str(single.input_line)
                    alone = self._sweep_command({line: one}, [])
                    cause = f"{one}: sets the launcher or a sweep of its own, but the jobs of a sweep share these"
                    problems.append(Problem(override.key_or_group, cause, f"start a sweep for it alone: {alone}"))
        return problems

    def _shared_settings(self, overrides: Sequence[Override]) -> list[tuple[str, Any]]:
        """Return the settings of launcher and sweeper, without the values to sweep that the command line replaces."""
        tree, _ = self._assembler.with_hydra(overrides)
        parts: Any = OmegaConf.to_container(OmegaConf.masked_copy(tree.hydra, sorted(OPEN_TO_USERS)), resolve=False)
        return [
            (key, value) for key, value in flatten(parts).items() if key.removeprefix("sweeper.params.") not in self._given
        ]

    def _single_values(self, override: Override) -> list[Override]:
        """Return an override for each value of a sweep."""
        if not override.is_sweep_override():
            return [override]
        key = override.get_key_element()
        return self._composer.parse([f"{key}={value}" for value in override.sweep_string_iterator()])[0]


def _lines(overrides: Iterable[Override]) -> tuple[str, ...]:
    return tuple(str(override.input_line) for override in overrides)
