"""Overrides with several values: which are allowed, how many values they have, and the parameters of a search."""

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, Glob, IntervalSweep, Override, RangeSweep
from omegaconf import DictConfig, ListConfig, OmegaConf

from mnist_exp.config.conversions import format_value
from mnist_exp.config.identity import flatten, is_execution_setting
from mnist_exp.config.overrides import PARAMS, without_params
from mnist_exp.config.problems import is_integer_setting, is_list_setting, not_allowed
from mnist_exp.config.search_space import Choices, Interval, Parameter
from mnist_exp.errors import Problem

Command = Callable[[Mapping[str, str], Sequence[str]], str]
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
    if found := value_problems(override):
        return found
    if _is_shared(key):
        reason = "does not change the experiment; all jobs of a sweep share one value"
        instead = "give one value, or start one sweep for each"
    elif search and key == "seed":
        reason = "a search compares settings at one seed"
        instead = f"write {key}=7; repeat the best configurations with other seeds afterwards"
    elif isinstance(value, IntervalSweep) and not search:
        reason = "a sweep needs a list of values, not an interval"
        instead = f"list them: {_with_value(override, _bounds(value))}; or search the interval with hydra/sweeper=optuna"
    elif whole := _whole_interval(override):
        reason = "an interval contains fractions, but the setting is an integer"
        instead = f"write {_with_value(override, whole)}"
    elif search and isinstance(value, IntervalSweep | RangeSweep) and "log" in value.tags and _lowest(override) <= 0:
        reason = "a logarithm needs numbers above 0"
        instead = "start above 0, such as tag(log, interval(1e-4,1e-1))"
    else:
        return []
    return [Problem(key, f"{override.input_line}: {reason}", instead)]


def value_problems(override: Override) -> list[Problem]:
    """Return the problem of several values that no sweep and no search can use, without listing them, if they have one."""
    key, value = override.key_or_group, override.value()
    if key.startswith(PARAMS):
        reason, instead = "unknown key", f"write {without_params(override)}; for several values, sweep with -m"
    elif isinstance(value, IntervalSweep | RangeSweep) and not all(map(math.isfinite, _numbers(value))):
        reason = "infinite, or not a number"
        instead = f"give finite numbers, such as {'range' if isinstance(value, RangeSweep) else 'interval'}(1,5)"
    elif isinstance(value, IntervalSweep):
        low, high = _numbers(value)
        if low <= high:
            return []
        swapped = _interval(IntervalSweep(value.tags, high, low))
        reason, instead = "the first bound is larger than the second", f"write {_with_value(override, swapped)}"
    elif isinstance(value, RangeSweep) and value.step == 0:
        reason, instead = "a step of 0", "give a step that is not 0: range(0,10,2) is 0, 2, 4, 6 and 8"
    elif count := count_values(override):
        if count <= MAX_VALUES:
            return []
        reason = f"{count:.4g} values"
        instead = f"allowed: at most {MAX_VALUES:,}; use a larger step, or fewer values"
    elif isinstance(value, Glob):
        reason, instead = "no option has such a name", "glob chooses options of a group, such as 'model=glob(cnn*)'"
    else:
        reason, instead = "contains no value", "give at least one value: range(3) is 0, 1 and 2"
    return [Problem(key, f"{override.input_line}: {reason}", instead)]


def configured_lines(params: Any) -> tuple[list[str], list[Problem]]:
    """Return the overrides of the sweep that a configuration itself defines, and its problems."""
    lines, problems = [], []
    for name, value in params.items() if isinstance(params, DictConfig) else ():
        key = str(name)
        if isinstance(value, DictConfig | ListConfig):
            content: Any = OmegaConf.to_container(value)
            text = format_value(content)
            if isinstance(content, dict):
                below = next(iter(flatten(content, f"{key}.")), f"{key}.KEY")
                instead = f"write the whole key of a setting, such as {below}: 1,2"
            else:
                values = f"'{text[1:-1]}'" if text.startswith(("[[", "[{")) else text[1:-1]
                instead = f"write text, as on the command line: {key}: {values}"
                instead += f"; or, for one list, {key}: '{text}'" if is_list_setting(key) else ""
            problems.append(not_allowed(f"{PARAMS}{key}", text, "not allowed", instead))
        else:
            lines.append(f"{key}={value if isinstance(value, float) else format_value(value)}")
    return lines, problems


def not_a_sweep(override: Override, command: Command, can_sweep: bool) -> Problem:
    """Return the problem of an override with several values in a command that trains once.

    Args:
        override: has several values, without a problem of their own.
        command: returns the same command as a sweep, with some overrides replaced and others added.
        can_sweep: whether there is such a command.
    """
    key, line, value = override.key_or_group, str(override.input_line), override.value()
    if not can_sweep or _is_shared(key) or (key == "seed" and isinstance(value, IntervalSweep)):
        instead = "give one value"
    elif isinstance(value, IntervalSweep):
        whole = _whole_interval(override)
        replaced = {line: f"{line.partition('=')[0]}={whole}"} if whole else {}
        instead = f"give one value, or search with: {command(replaced, ['hydra/sweeper=optuna'])}"
    elif is_list_setting(key) and isinstance(value, ChoiceSweep) and not isinstance(value.list[0], list):
        instead = f"write one list: {_with_value(override, f'[{_value_text(override)}]')}"
    else:
        instead = f"sweep with: {command({}, [])}"
    return Problem(key, f"{line}: several values, but the command is not a sweep", instead)


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


def first_value(override: Override) -> str:
    """Return an override with the first of several values that have no problem."""
    if not override.is_sweep_override():
        return str(override.input_line)
    return f"{override.get_key_element()}={parameter(override).values[0]}"


def _is_shared(key: str) -> bool:
    """Return whether all jobs of a sweep share one value of a setting or group."""
    return key.startswith("hydra") or is_execution_setting(key)


def _numbers(value: IntervalSweep | RangeSweep) -> tuple[float, ...]:
    """Return the bounds and, for a range, the step; integers stay integers."""
    numbers = (value.start, value.end) if isinstance(value, IntervalSweep) else (value.start, value.stop, value.step)
    return tuple(0 if number is None else number for number in numbers)


def _lowest(override: Override) -> float:
    value = override.value()
    return _numbers(value)[0] if isinstance(value, IntervalSweep) else min(map(float, override.sweep_string_iterator()))


def _bounds(value: IntervalSweep) -> str:
    """Return both bounds of an interval as a list of values."""
    return ",".join(f"{int(number) if float(number).is_integer() else number!r}" for number in _numbers(value))


def _whole_interval(override: Override) -> str | None:
    """Return the integers of an interval with fractions, as an interval, if the setting is an integer."""
    value = override.value()
    if not isinstance(value, IntervalSweep) or not is_integer_setting(override.key_or_group):
        return None
    low, high = _numbers(value)
    if isinstance(low, int) and isinstance(high, int):
        return None
    return _interval(IntervalSweep(value.tags, math.ceil(low), max(math.floor(high), math.ceil(low))))


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
