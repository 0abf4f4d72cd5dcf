"""A command line → its experiments: parsed, composed and validated once, with all problems reported together.

Hydra alone stops at the first problem, accepts `+typo=1`, and runs code that a configuration names.
"""

import argparse
import itertools
import re
from collections.abc import Iterable, Sequence
from functools import cached_property

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from omegaconf import DictConfig, OmegaConf
from pydantic import ValidationError

from mnist_exp.config.assembly import Assembler
from mnist_exp.config.checks import check_search
from mnist_exp.config.composer import COMPOSITION_ERRORS, Composer
from mnist_exp.config.hydra_settings import HydraSection, HydraSettings, OptunaSweeperConfig
from mnist_exp.config.overrides import sweep_problems
from mnist_exp.config.problems import composition_problems, from_validation, raise_problems
from mnist_exp.config.schema import Experiment
from mnist_exp.config.search_space import Choices, Combination, Interval, Parameter, SearchSpace
from mnist_exp.config.security import OPEN_TO_USERS
from mnist_exp.errors import ConfigError, Problem

SEARCH_EXAMPLE = "such as: 'optimizer.learning_rate=tag(log, interval(1e-4,1e-1))' 'model.units=choice([64],[128])'"
SWEEP_WITH = "sweep with: mnist-exp -m ..."
SWEEP_OR_LEAVE_OUT = f"{SWEEP_WITH}, or leave it out"
FLOAT_INTERVAL = re.compile(r"(?<!int\()interval\([^()]*\)")


class Composition:
    """The overrides of one command line and their experiments."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        """Parse the overrides of the arguments that `parse_arguments` returns."""
        self._multirun: bool = arguments.multirun
        self._composer = Composer(arguments.config_dir, arguments.config_name)
        self._assembler = Assembler(self._composer)
        self._overrides, self._unparsed = self._composer.parse(arguments.overrides)

    @cached_property
    def hydra_settings(self) -> HydraSettings:
        """The launcher and the sweeper.

        Raises:
            ConfigError: all problems of their settings, or of the command line.
        """
        is_search, problems = False, list[Problem]()
        try:
            tree, found = self._with_hydra
            problems += found
            is_search = self._multirun and OmegaConf.select(tree, "hydra.sweeper.name") == "optuna"
            settings = OmegaConf.to_container(OmegaConf.masked_copy(tree.hydra, sorted(OPEN_TO_USERS)), resolve=True)
            checked = HydraSection.model_validate({"hydra": settings}).hydra
            if not problems:
                return checked
        except ValidationError as error:
            problems += from_validation(error, HydraSection)
        except (ConfigError, *COMPOSITION_ERRORS) as error:
            problems += composition_problems(error)
        try:
            _ = self.space() if is_search else self.combinations()
        except ConfigError as error:
            problems += error.problems
        raise ConfigError(list(dict.fromkeys(problems)))

    def single(self) -> Experiment:
        """Return the experiment of a command that trains once.

        Raises:
            ConfigError: all problems of the command line. A configuration that is a sweep (`hydra.sweeper.params`) is a
                problem, unless the overrides set all its keys.
        """
        _ = self.hydra_settings  # raises its problems and all others
        (combination,) = self.combinations()
        raise_problems(
            Problem(override.key_or_group, f"{override.input_line}: has an effect only in a sweep", SWEEP_OR_LEAVE_OUT)
            for override in self._overrides
            if override.is_hydra_override() or override.key_or_group.partition(".")[0] == "sweep"
        )
        if combination.experiment.sweep.dry_run:  # by a recipe
            raise ConfigError([Problem("sweep.dry_run", "sweep.dry_run=true: has an effect only in a sweep", SWEEP_WITH)])
        given = {override.get_key_element() for override in self._overrides}
        if swept := [override for override in self._configured_sweep if override.get_key_element() not in given]:
            cause = f"hydra.sweeper.params: {' '.join(_lines(swept))}: the configuration is a sweep, but the command is not"
            values = " ".join(f"{override.key_or_group}=..." for override in swept)
            remedy = f"sweep with: mnist-exp -m ..., or give one value{' for each' if swept[1:] else ''}: {values}"
            raise ConfigError([Problem(swept[0].key_or_group, cause, remedy)])
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
        swept = {override.get_key_element() for override in overrides if override.is_sweep_override()}
        combinations = list(itertools.product(*map(self._single_values, overrides)))
        experiments, found = self._assembler.experiments(combinations)
        raise_problems([*problems, *found])
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
        space = SearchSpace(self.experiments, _lines(self._overrides), fixed, tuple(map(_parameter, searched)))
        if not searched:
            problems.append(Problem("", "hydra/sweeper=optuna: nothing to search", SEARCH_EXAMPLE))
        first = [parameter.values[0] for parameter in space.parameters]
        for index, parameter in enumerate(space.parameters):
            if settings and settings.sampler == "grid" and isinstance(parameter, Interval) and parameter.step is None:
                cause = f"{parameter.key}: hydra.sweeper.sampler=grid cannot try every value of an interval"
                remedy = f"list the values: {parameter.key}=choice(...) or range(...)"
                problems.append(Problem(parameter.key, cause, remedy))
            for value in parameter.values:
                try:
                    combination = space.combination([*first[:index], value, *first[index + 1 :]])
                except ConfigError as error:
                    problems += [_explain_interval(problem, searched) for problem in error.problems]
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
        raise_problems([*self._composer.shadowed(), *(problem for _, unparsed in parsed for problem in unparsed), *problems])
        return experiments

    @cached_property
    def _with_hydra(self) -> tuple[DictConfig, list[Problem]]:
        """The configuration of all overrides with one value, including Hydra's own section, and problems in that."""
        return self._assembler.with_hydra([override for override in self._overrides if not override.is_sweep_override()])

    @cached_property
    def _configured_sweep(self) -> list[Override]:
        """The overrides of a sweep that the configuration itself defines (`hydra.sweeper.params`)."""
        try:
            params = OmegaConf.select(self._with_hydra[0], "hydra.sweeper.params") or {}
            return self._composer.parse([f"{key}={value}" for key, value in params.items()])[0]
        except (*COMPOSITION_ERRORS, ConfigError):
            return []  # `combinations` reports the problem

    def _valid_overrides(self, multirun: bool, search: bool = False) -> tuple[list[Override], list[Problem]]:
        """Return the overrides whose sweeps are allowed, and the problems of the others."""
        problems = [*self._composer.shadowed(), *self._unparsed]
        valid = []
        for override in [*(self._configured_sweep if multirun else []), *self._overrides]:
            found = sweep_problems(override, multirun, search)
            problems += found
            valid += [] if found else [override]
        return valid, problems

    def _single_values(self, override: Override) -> list[Override]:
        """Return an override for each value of a sweep."""
        if not override.is_sweep_override():
            return [override]
        key = override.get_key_element()
        return self._composer.parse([f"{key}={value}" for value in override.sweep_string_iterator()])[0]


def _lines(overrides: Iterable[Override]) -> tuple[str, ...]:
    return tuple(str(override.input_line) for override in overrides)


def _parameter(override: Override) -> Parameter:
    """Return the parameter of a search for a sweep in Hydra's grammar."""
    key, value = override.get_key_element(), override.value()
    if isinstance(value, IntervalSweep):
        is_integer = isinstance(value.start, int) and isinstance(value.end, int)
        return Interval(key, float(value.start or 0), float(value.end or 0), None, "log" in value.tags, is_integer)
    values = tuple(override.sweep_string_iterator())
    if isinstance(value, RangeSweep) and len(values) > 1:
        is_integer = all(isinstance(number, int) for number in (value.start, value.stop, value.step))
        step = None if "log" in value.tags else float(value.step)
        return Interval(key, float(values[0]), float(values[-1]), step, "log" in value.tags, is_integer)
    return Choices(key, values)


def _explain_interval(problem: Problem, searched: Sequence[Override]) -> Problem:
    """Return the problem with another remedy if an interval contains fractions, but its setting must be an integer."""
    for override in searched:
        line = str(override.input_line)
        if problem.key == override.key_or_group and "an integer" in problem.remedy and FLOAT_INTERVAL.search(line):
            integers = FLOAT_INTERVAL.sub(r"int(\g<0>)", line)
            return Problem(problem.key, f"{line}: contains fractions, but the setting is an integer", f"write {integers}")
    return problem
