"""The command line before Hydra runs it: every problem of every point, found at once and without TensorFlow.

Hydra stops at the first thing it cannot compose, lets `+typo=1` through, and would run code that a configuration names. So
everything is first composed and checked here; `@hydra.main` then meets no error.
"""

import argparse
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from mnist_exp.config import checks
from mnist_exp.config.composer import Composer
from mnist_exp.config.execution import Choices, HydraConfig, Interval, OptunaSweeperConfig, Parameter, Point
from mnist_exp.config.identity import not_identity
from mnist_exp.config.schema import Experiment
from mnist_exp.config.security import override_problems
from mnist_exp.errors import ConfigError, InputError, Problem

SEARCH_EXAMPLE = "such as: 'optimizer.learning_rate=tag(log, interval(1e-4,1e-1))' 'model.units=choice([64],[128])'"


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
    if (parsed.resolve or parsed.package) and not parsed.cfg:
        raise InputError("--resolve and --package say how --cfg prints", "add --cfg job")
    if parsed.config_dir is not None and not Path(parsed.config_dir).is_dir():
        raise InputError(f"--config-dir {parsed.config_dir}: no such directory", "name a directory of YAML files")
    return parsed


@dataclass(frozen=True)
class Space:
    """What a search chooses from."""

    composer: Composer
    fixed: tuple[str, ...]  # overrides that all points share
    parameters: tuple[Parameter, ...]

    def point(self, values: Sequence[str]) -> Point:
        """The point where the parameters have these values.

        Raises:
            ConfigError: they do not go together.
        """
        chosen = [f"{parameter.key}={value}" for parameter, value in zip(self.parameters, values, strict=True)]
        return Point((*self.fixed, *chosen), tuple(chosen), self.composed([*self.fixed, *chosen]))

    def composed(self, lines: Sequence[str]) -> Experiment:
        """The experiment of these overrides.

        Raises:
            ConfigError: everything that is wrong with them.
        """
        experiment, problems = self.composer.check(lines)
        if experiment is None or problems:
            raise ConfigError(problems)
        return experiment


def space(arguments: argparse.Namespace, settings: OptunaSweeperConfig) -> Space:
    """What the overrides let a search choose from; every choice and both ends of every interval have been composed.

    Raises:
        ConfigError: everything that is wrong with it.
    """
    composer = Composer(arguments.config_dir, arguments.config_name)
    problems = composer.shadowed()
    overrides = _sound(composer, arguments.overrides, True, problems, search=True)
    overrides = _sound(composer, composer.sweeper_params(overrides), True, problems, search=True) + overrides
    by_key = {override.get_key_element(): override for override in overrides}
    searched = [override for override in by_key.values() if override.is_sweep_override()]
    fixed = tuple(str(override.input_line) for override in by_key.values() if not override.is_sweep_override())
    found = Space(composer, fixed, tuple(_parameter(override) for override in searched))
    if not searched:
        problems.append(Problem("", "hydra/sweeper=optuna: there is nothing to choose", SEARCH_EXAMPLE))
    for parameter in found.parameters:
        if settings.sampler == "grid" and isinstance(parameter, Interval) and parameter.step is None:
            cause = f"{parameter.key}: hydra.sweeper.sampler=grid cannot try every value of an interval"
            problems.append(Problem(parameter.key, cause, f"name the values: {parameter.key}=choice(...) or range(...)"))
    ends = [parameter.values if isinstance(parameter, Choices) else parameter.ends for parameter in found.parameters]
    for index, values in enumerate(ends):
        for value in values:
            try:
                point = found.point([value if other == index else first[0] for other, first in enumerate(ends)])
            except ConfigError as error:
                problems += error.problems
            else:
                problems += checks.searchable(point.experiment, settings)
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return found


def _parameter(override: Override) -> Parameter:
    """A sweep of Hydra's grammar as what a search chooses from."""
    key, value = override.get_key_element(), override.value()
    if isinstance(value, IntervalSweep):
        whole = isinstance(value.start, int) and isinstance(value.end, int)
        return Interval(key, float(value.start or 0), float(value.end or 0), None, "log" in value.tags, whole)
    if isinstance(value, RangeSweep) and len(values := list(override.sweep_string_iterator())) > 1:
        whole = all(isinstance(number, int) for number in (value.start, value.stop, value.step))
        step = None if "log" in value.tags else float(value.step)
        return Interval(key, float(values[0]), float(values[-1]), step, "log" in value.tags, whole)
    return Choices(key, tuple(override.sweep_string_iterator()))


def points(arguments: argparse.Namespace) -> list[Point]:
    """Every point that the overrides span: one, or with `-m` their product.

    Raises:
        ConfigError: every problem of every point, each told once.
    """
    return _points(Composer(arguments.config_dir, arguments.config_name), arguments)


def single(arguments: argparse.Namespace) -> Experiment:
    """The experiment that is trained once.

    Raises:
        ConfigError: everything that is wrong with it; or it is a sweep by itself (`hydra.sweeper.params`), and the overrides
            leave open what it sweeps over, which would be lost.
    """
    composer = Composer(arguments.config_dir, arguments.config_name)
    (point,) = _points(composer, arguments)
    overrides, _ = composer.parse(arguments.overrides)
    settled = {override.get_key_element() for override in overrides}
    params, _ = composer.parse(composer.sweeper_params(overrides))
    if left := [override for override in params if override.get_key_element() not in settled]:
        lines = " ".join(str(override.input_line) for override in left)
        cause = f"hydra.sweeper.params: {lines}: the configuration is a sweep, and this is none"
        values = " ".join(f"{override.key_or_group}=..." for override in left)
        remedy = f"sweep with: mnist-exp -m ..., or name one value{' of each' if left[1:] else ''}: {values}"
        raise ConfigError([Problem(left[0].key_or_group, cause, remedy)])
    return point.experiment


def _points(composer: Composer, arguments: argparse.Namespace) -> list[Point]:
    problems = composer.shadowed()
    overrides = _sound(composer, arguments.overrides, arguments.multirun, problems)
    if arguments.multirun:
        overrides = _sound(composer, composer.sweeper_params(overrides), True, problems) + overrides
    found = []
    for lines, swept in _product(overrides, arguments.multirun):
        experiment, faults = composer.check(lines)
        problems += faults
        if experiment is not None:
            found.append(Point(tuple(lines), tuple(swept), experiment))
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return found


def execution(arguments: argparse.Namespace) -> HydraConfig:
    """How the points are found and where they run.

    Raises:
        ConfigError: everything that is wrong with these settings.
    """
    composer = Composer(arguments.config_dir, arguments.config_name)
    return composer.execution(composer.parse(arguments.overrides)[0])


def recomposed(arguments: argparse.Namespace, points: Sequence[Sequence[str]]) -> list[Experiment]:
    """The experiments of points that were found earlier.

    Raises:
        ConfigError: every problem of every point, each told once.
    """
    composer = Composer(arguments.config_dir, arguments.config_name)
    found, problems = [], composer.shadowed()
    for lines in points:
        experiment, faults = composer.check(lines)
        problems += faults
        if experiment is not None:
            found.append(experiment)
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return found


def _sound(
    composer: Composer, lines: Sequence[str], multirun: bool, problems: list[Problem], search: bool = False
) -> list[Override]:
    """The overrides that nothing is wrong with in themselves; what is wrong with the others is added to `problems`.

    What is at fault already is left aside, so that the rest can be composed and its faults told too.
    """
    overrides, faults = composer.parse(lines)
    problems += faults
    found = [
        (override, override_problems(override) or _sweep_problems(override, multirun, search)) for override in overrides
    ]
    problems += [problem for _, listed in found for problem in listed]
    return [override for override, listed in found if not listed]


def _sweep_problems(override: Override, multirun: bool, search: bool) -> list[Problem]:
    key, line = override.key_or_group, override.input_line
    if not override.is_sweep_override():
        return []
    if not multirun:
        cause = f"{line}: several values, but this is no sweep"
        return [Problem(key, cause, f"sweep with: mnist-exp -m {line}; write a list as {key}=[1,2]")]
    if key.startswith("hydra") or not_identity(key):
        cause = f"{line}: makes no other experiment, so it is the same for all jobs of a sweep"
        return [Problem(key, cause, "name one value, or start a sweep for each")]
    if search and key == "seed":
        cause = f"{line}: a search compares settings, at one seed"
        return [Problem(key, cause, "repeat what it finds with other seeds: mnist-exp -m ... 'seed=range(5)'")]
    if not override.is_discrete_sweep():
        cause = f"{line}: an interval has no list of values to try"
        remedy = f"name the values, as {key}=0.1,0.2 or {key}=range(1,5), or search it with hydra/sweeper=optuna"
        return [] if search else [Problem(key, cause, remedy)]
    if not list(override.sweep_string_iterator()):
        return [Problem(key, f"{line}: holds no value", "name at least one: range(3) is 0, 1 and 2")]
    return []


def _product(overrides: Sequence[Override], multirun: bool) -> Iterator[tuple[list[str], list[str]]]:
    """Plain overrides and those of them that a sweep chose, for each point.

    The product of the sweeps as Hydra's own sweeper forms it, where a key's last override counts.
    """
    if not multirun:
        yield [str(override.input_line) for override in overrides], []
        return
    choices: dict[str, list[str]] = {}
    swept: set[str] = set()
    for override in overrides:
        key = override.get_key_element()
        swept.discard(key)
        if override.is_sweep_override():
            choices[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
            swept.add(key)
        else:
            choices[key] = [str(override.input_line)]
    for values in itertools.product(*choices.values()):
        yield list(values), [line for key, line in zip(choices, values, strict=True) if key in swept]
