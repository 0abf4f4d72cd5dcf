"""A command line → the experiments it describes: parsed once, composed once, and every problem found at once.

Hydra stops at the first thing that it cannot compose, accepts `+typo=1`, and would run code that a configuration names.
So everything is composed through its compose API and checked here, without TensorFlow.
"""

import argparse
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from omegaconf import DictConfig, OmegaConf
from pydantic import ValidationError

from mnist_exp.config import checks
from mnist_exp.config.assembly import Assembler
from mnist_exp.config.composer import COMPOSITION_ERRORS, Composer
from mnist_exp.config.execution import Choices, Combination, Execution, HydraConfig, Interval, OptunaSweeperConfig, Parameter
from mnist_exp.config.overrides import sweep_problems
from mnist_exp.config.problems import composition_problem, from_validation
from mnist_exp.config.schema import Experiment
from mnist_exp.config.security import OPEN_TO_USERS, override_problems
from mnist_exp.errors import ConfigError, Problem

SEARCH_EXAMPLE = "such as: 'optimizer.learning_rate=tag(log, interval(1e-4,1e-1))' 'model.units=choice([64],[128])'"


@dataclass(frozen=True)
class SearchSpace:
    """The search space of a search."""

    composition: "Composition"
    fixed: tuple[str, ...]  # overrides that all trials share
    parameters: tuple[Parameter, ...]

    def example(self) -> Experiment:
        """Return the experiment at one corner, for the settings that all trials share."""
        ends = [each.values[0] if isinstance(each, Choices) else each.bounds[0] for each in self.parameters]
        return self.combination(ends).experiment

    def combination(self, values: Sequence[str]) -> Combination:
        """Return the point at which the parameters have these values.

        Raises:
            ConfigError: they do not fit together.
        """
        chosen = [f"{parameter.key}={value}" for parameter, value in zip(self.parameters, values, strict=True)]
        lines = (*self.fixed, *chosen)
        return Combination(lines, tuple(chosen), self.experiment(lines))

    def experiment(self, overrides: Sequence[str]) -> Experiment:
        """Return the experiment of a trial.

        Raises:
            ConfigError: everything that is wrong with its overrides.
        """
        return self.composition.experiments([overrides], {each.key for each in self.parameters})[0]


class Composition:
    """The overrides of one command line, and what they compose to."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        """Prepare Hydra's compose API.

        Args:
            arguments: from `parse_arguments`.
        """
        self._multirun: bool = arguments.multirun
        self._composer = Composer(arguments.config_dir, arguments.config_name)
        self._assembler = Assembler(self._composer)
        self._overrides, self._unparsed = self._composer.parse(arguments.overrides)

    @cached_property
    def execution(self) -> HydraConfig:
        """How points are found and where jobs run.

        Raises:
            ConfigError: everything that is wrong with these settings.
        """
        try:
            tree = self._settled
        except COMPOSITION_ERRORS as error:
            raise ConfigError([composition_problem(error)]) from None
        settings = {part: OmegaConf.to_container(tree.hydra[part], resolve=True) for part in sorted(OPEN_TO_USERS)}
        try:
            return Execution.model_validate({"hydra": settings}).hydra
        except ValidationError as error:
            raise ConfigError(from_validation(error, Execution)) from None

    def single(self) -> Experiment:
        """Return the experiment of a command that trains once.

        Raises:
            ConfigError: everything that is wrong with it; also a configuration that is a sweep (`hydra.sweeper.params`)
                some of whose keys the overrides leave open.
        """
        (point,) = self.combinations()
        settled = {override.get_key_element() for override in self._overrides}
        if left := [override for override in self._sweep_of_configuration if override.get_key_element() not in settled]:
            lines = " ".join(str(override.input_line) for override in left)
            cause = f"hydra.sweeper.params: {lines}: the configuration is a sweep, but the command is not"
            values = " ".join(f"{override.key_or_group}=..." for override in left)
            remedy = f"sweep with: mnist-exp -m ..., or give one value{' for each' if left[1:] else ''}: {values}"
            raise ConfigError([Problem(left[0].key_or_group, cause, remedy)])
        return point.experiment

    def combinations(self) -> list[Combination]:
        """Return every point of the command line: one, or with `-m` one for each combination of the values.

        Their order is that of `itertools.product`, as in Hydra's own sweeper; of several overrides of a key the last counts.

        Raises:
            ConfigError: every problem of every point.
        """
        overrides, problems = self._sound(self._multirun)
        combinations = [overrides]
        swept: set[str] = set()
        if self._multirun:
            by_key = {override.get_key_element(): override for override in overrides}
            swept = {key for key, override in by_key.items() if override.is_sweep_override()}
            combinations = [list(each) for each in itertools.product(*map(self._values, by_key.values()))]
        experiments, found = self._assembler.experiments(combinations)
        _raise([*problems, *found])
        return [
            Combination(_lines(each), _lines(one for one in each if one.get_key_element() in swept), experiment)
            for each, experiment in zip(combinations, experiments, strict=True)
        ]

    def space(self, settings: OptunaSweeperConfig) -> SearchSpace:
        """Return the search space; every choice and both ends of every interval have been checked.

        Raises:
            ConfigError: everything that is wrong with it.
        """
        overrides, problems = self._sound(multirun=True, search=True)
        by_key = {override.get_key_element(): override for override in overrides}
        searched = [override for override in by_key.values() if override.is_sweep_override()]
        fixed = _lines(override for override in by_key.values() if not override.is_sweep_override())
        found = SearchSpace(self, fixed, tuple(_parameter(override) for override in searched))
        if not searched:
            problems.append(Problem("", "hydra/sweeper=optuna: nothing to search", SEARCH_EXAMPLE))
        for parameter in found.parameters:
            if settings.sampler == "grid" and isinstance(parameter, Interval) and parameter.step is None:
                cause = f"{parameter.key}: hydra.sweeper.sampler=grid cannot try every value of an interval"
                remedy = f"list the values: {parameter.key}=choice(...) or range(...)"
                problems.append(Problem(parameter.key, cause, remedy))
        ends = [parameter.values if isinstance(parameter, Choices) else parameter.bounds for parameter in found.parameters]
        for index, values in enumerate(ends):
            for value in values:
                try:
                    point = found.combination([value if other == index else first[0] for other, first in enumerate(ends)])
                except ConfigError as error:
                    problems += error.problems
                else:
                    problems += checks.check_search(point.experiment, settings)
        _raise(problems)
        return found

    def experiments(self, points: Sequence[Sequence[str]], varying: Iterable[str] = ()) -> list[Experiment]:
        """Return the experiments of given overrides.

        Args:
            points: the overrides of each experiment, each with one value.
            varying: keys of settings that differ in later calls.

        Raises:
            ConfigError: every problem of every experiment.
        """
        parsed = [self._composer.parse(lines) for lines in points]
        experiments, problems = self._assembler.experiments([overrides for overrides, _ in parsed], varying)
        _raise([*self._composer.shadowed(), *(problem for _, unparsed in parsed for problem in unparsed), *problems])
        return experiments

    @cached_property
    def _settled(self) -> DictConfig:
        """The tree of all overrides with one value, Hydra's own section included."""
        return self._assembler.settled([override for override in self._overrides if not override.is_sweep_override()])

    @cached_property
    def _sweep_of_configuration(self) -> list[Override]:
        """The sweep that the configuration itself defines (`hydra.sweeper.params`)."""
        try:
            params = OmegaConf.select(self._settled, "hydra.sweeper.params") or {}
            return self._composer.parse([f"{key}={value}" for key, value in params.items()])[0]
        except (*COMPOSITION_ERRORS, ConfigError):
            return []  # the check of the points reports it

    def _sound(self, multirun: bool, search: bool = False) -> tuple[list[Override], list[Problem]]:
        """The overrides that are right by themselves, and the problems of all others.

        The others are left aside, so that the rest can be composed and its problems reported too.
        """
        problems = [*self._composer.shadowed(), *self._unparsed]
        sound = []
        for override in [*(self._sweep_of_configuration if multirun else []), *self._overrides]:
            found = override_problems(override) or sweep_problems(override, multirun, search)
            problems += found
            sound += [] if found else [override]
        return sound, problems

    def _values(self, override: Override) -> list[Override]:
        """An override with one value for each value of a sweep."""
        if not override.is_sweep_override():
            return [override]
        key = override.get_key_element()
        return self._composer.parse([f"{key}={value}" for value in override.sweep_string_iterator()])[0]


def _lines(overrides: Iterable[Override]) -> tuple[str, ...]:
    return tuple(str(override.input_line) for override in overrides)


def _raise(problems: Sequence[Problem]) -> None:
    """Raise the problems, each once."""
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))


def _parameter(override: Override) -> Parameter:
    """A sweep of Hydra's grammar as a parameter of a search."""
    key, value = override.get_key_element(), override.value()
    if isinstance(value, IntervalSweep):
        whole = isinstance(value.start, int) and isinstance(value.end, int)
        return Interval(key, float(value.start or 0), float(value.end or 0), None, "log" in value.tags, whole)
    if isinstance(value, RangeSweep) and len(values := list(override.sweep_string_iterator())) > 1:
        whole = all(isinstance(number, int) for number in (value.start, value.stop, value.step))
        step = None if "log" in value.tags else float(value.step)
        return Interval(key, float(values[0]), float(values[-1]), step, "log" in value.tags, whole)
    return Choices(key, tuple(override.sweep_string_iterator()))
