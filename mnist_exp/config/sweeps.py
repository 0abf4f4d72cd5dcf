"""Overrides with several values: which are allowed, how many values they have, and the parameters of a search."""

import math
import shlex
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from omegaconf import DictConfig, ListConfig, OmegaConf

from mnist_exp.config.conversions import format_value
from mnist_exp.config.identity import is_execution_setting
from mnist_exp.config.problems import is_list_setting, not_allowed
from mnist_exp.config.search_space import Choices, Interval, Parameter
from mnist_exp.errors import Problem

PARAMS = "hydra.sweeper.params"  # the sweep that a configuration itself defines
MAX_VALUES = 100_000  # of one setting, and combinations of a sweep


def sweep_problems(override: Override, search: bool) -> list[Problem]:
    """Return the problem of an override with several values in a sweep or search, if it has one.

    Args:
        override: any override.
        search: whether the command is a search, which allows intervals.
    """
    key, value = override.key_or_group, override.value()
    if not override.is_sweep_override():
        return []
    if _is_shared(key):
        reason = "does not change the experiment; all jobs of a sweep share one value"
        instead = "give one value, or start one sweep for each"
    elif search and key == "seed":
        reason = "a search compares settings at one seed"
        instead = f"write {key}=7; repeat the best configurations with other seeds afterwards"
    elif isinstance(value, IntervalSweep) and not search:
        reason = "a sweep needs a list of values, not an interval"
        instead = f"list them: {_with_value(override, '0.1,0.2')}; or search the interval with hydra/sweeper=optuna"
    elif isinstance(value, IntervalSweep | RangeSweep) and (found := _number_problem(override, value, search)):
        reason, instead = found
    elif not isinstance(value, IntervalSweep) and not count_values(override):
        reason, instead = "contains no value", "give at least one value: range(3) is 0, 1 and 2"
    else:
        return []
    return [Problem(key, f"{override.input_line}: {reason}", instead)]


def configured_lines(params: Any) -> tuple[list[str], list[Problem]]:
    """Return the overrides of the sweep that a configuration itself defines, and its problems."""
    lines, problems = [], []
    for name, value in params.items() if isinstance(params, DictConfig) else ():
        key = str(name)
        if isinstance(value, DictConfig | ListConfig):
            text = format_value(OmegaConf.to_container(value))
            instead = f"write text, as on the command line: {key}: {text[1:-1]}"
            instead += f"; or, for one list, {key}: '{text}'" if is_list_setting(key) else ""
            problems.append(not_allowed(f"{PARAMS}.{key}", text, "not allowed", instead))
        else:
            lines.append(f"{key}={value if isinstance(value, float) else format_value(value)}")
    return lines, problems


def not_a_sweep(override: Override, command: str) -> Problem:
    """Return the problem of an override with several values in a command that trains once.

    Args:
        override: has several values.
        command: the same command as a sweep.
    """
    value, instead = override.value(), f"sweep with: {command}"
    if _is_shared(override.key_or_group):
        instead = "give one value"
    if is_list_setting(override.key_or_group) and isinstance(value, ChoiceSweep) and not isinstance(value.list[0], list):
        instead = f"write one list: {_with_value(override, f'[{_value_text(override)}]')}"
    return Problem(override.key_or_group, f"{override.input_line}: several values, but the command is not a sweep", instead)


def too_many(swept: Sequence[Override]) -> list[Problem]:
    """Return a problem if a sweep has too many combinations."""
    count = math.prod(map(count_values, swept))
    if count <= MAX_VALUES:
        return []
    cause = f"{' '.join(str(override.input_line) for override in swept)}: {count:,} combinations"
    return [Problem(swept[0].key_or_group, cause, f"allowed: at most {MAX_VALUES:,} in one sweep; list fewer values")]


def count_values(override: Override) -> int:
    """Return the number of values of a list or a valid range, without making them."""
    value = override.value()
    if isinstance(value, RangeSweep):
        start, stop, step = (Fraction(Decimal(number)) for number in _numbers(value))
        return max(math.ceil((stop - start) / step), 0)
    return sum(1 for _ in override.sweep_iterator())


def parameter(override: Override) -> Parameter:
    """Return the parameter of a search for an override with several values that has no problem."""
    key, value = override.get_key_element(), override.value()
    if isinstance(value, IntervalSweep):
        low, high = _numbers(value)
        is_integer = isinstance(low, int) and isinstance(high, int)
        return Interval(key, float(low), float(high), None, "log" in value.tags, is_integer)
    values = tuple(dict.fromkeys(override.sweep_string_iterator()))
    if isinstance(value, RangeSweep) and len(values) > 1:
        ascending = sorted(map(float, values))
        is_integer = all(isinstance(number, int) for number in _numbers(value))
        step = None if "log" in value.tags else abs(float(value.step))
        return Interval(key, ascending[0], ascending[-1], step, "log" in value.tags, is_integer)
    return Choices(key, values)


def explain_interval(problem: Problem, searched: Iterable[Override]) -> Problem:
    """Return the problem with another remedy if an interval contains fractions, but its setting must be an integer."""
    for override in searched:
        if problem.key == override.key_or_group and "an integer" in problem.remedy:
            value = override.value()
            if isinstance(value, IntervalSweep) and any(isinstance(number, float) for number in _numbers(value)):
                low, high = _numbers(value)
                whole = IntervalSweep(value.tags, math.ceil(low), max(math.floor(high), math.ceil(low)))
                cause = f"{override.input_line}: an interval contains fractions, but the setting is an integer"
                return Problem(problem.key, cause, f"write {_with_value(override, _interval(whole))}")
    return problem


def _is_shared(key: str) -> bool:
    """Return whether all jobs of a sweep share one value of a setting or group."""
    return key.startswith("hydra") or is_execution_setting(key)


def _number_problem(override: Override, value: IntervalSweep | RangeSweep, search: bool) -> tuple[str, str] | None:
    """Return why the numbers of an interval or a range cannot be used, and what to write instead."""
    numbers = _numbers(value)
    if not all(map(math.isfinite, numbers)):
        return "infinite, or not a number", "give finite numbers, such as range(1,5)"
    if isinstance(value, IntervalSweep):
        low, high = numbers
        if low > high:
            swapped = IntervalSweep(value.tags, high, low)
            return "the first bound is larger than the second", f"write {_with_value(override, _interval(swapped))}"
    else:
        if value.step == 0:
            return "a step of 0", "give a step that is not 0: range(0,10,2) is 0, 2, 4, 6 and 8"
        if (count := count_values(override)) > MAX_VALUES:
            return f"{count:.4g} values", f"allowed: at most {MAX_VALUES:,}; use a larger step, or fewer values"
        low = min(map(float, override.sweep_string_iterator()), default=1)
    if search and "log" in value.tags and low <= 0:
        return "a logarithm needs numbers above 0", "start above 0, such as tag(log, interval(1e-4,1e-1))"
    return None


def _numbers(value: IntervalSweep | RangeSweep) -> tuple[float, ...]:
    """Return the bounds and, for a range, the step; integers stay integers."""
    numbers = (value.start, value.end) if isinstance(value, IntervalSweep) else (value.start, value.stop, value.step)
    return tuple(0 if number is None else number for number in numbers)


def _interval(value: IntervalSweep) -> str:
    """Return an interval in Hydra's grammar."""
    low, high = _numbers(value)
    text = f"interval({low!r},{high!r})"
    if isinstance(low, int) and isinstance(high, int):
        text = f"int({text})"
    return f"tag(log, {text})" if "log" in value.tags else text


def _value_text(override: Override) -> str:
    return str(override.input_line).partition("=")[2]


def _with_value(override: Override, value: str) -> str:
    """Return the override with another value, as an argument in a shell."""
    return shlex.quote(f"{str(override.input_line).partition('=')[0]}={value}")
