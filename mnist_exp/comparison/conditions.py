"""The condition of `--where`, such as `model.name=cnn_large and test.error_percent<1`.

    condition  = term { "or" term }
    term       = factor { "and" factor }
    factor     = "not" factor | "(" condition ")" | field operator value
    operator   = "=" | "!=" | "<" | "<=" | ">" | ">=" | "~"

A value is a word, a number, a list such as [512,128], or quoted text; `~` matches a pattern with * and ?.
"""

import contextlib
import fnmatch
import json
import operator
import re
from collections.abc import Callable, Iterable
from typing import Any

from mnist_exp.comparison.fields import field_value
from mnist_exp.comparison.rows import Row
from mnist_exp.config.conversions import format_value
from mnist_exp.errors import InputError

NAME = r"\"[^\"]*\"|'[^']*'|\[[^\[\]]*\]|[^\s()=<>!~\"'\[\]]+"
COMPARISON = rf"(?P<field>{NAME})\s*(?:(?P<operator>[<>!=]=|[=<>~])\s*(?P<value>{NAME})?)?"
OR, AND, NOT = (rf"{keyword}(?![^\s()])" for keyword in ("or", "and", "not"))
ORDER = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
MAX_DEPTH = 50  # nested parentheses

Test = Callable[[Row], bool]


class Condition:
    """A parsed condition: `matches` tests a row, and `fields` are those that it reads.

    Each private method parses a rule of the grammar and removes its text from `_remaining`.

    Raises:
        InputError: the text does not follow the grammar; the message says where.
    """

    def __init__(self, text: str) -> None:
        self._text, self._remaining = text, text.strip()
        self.fields: set[str] = set()
        self.matches = self._condition()
        if self._remaining:
            raise self._error(f"unexpected {self._remaining}")

    def _condition(self, depth: int = 0) -> Test:
        return self._joined(OR, any, lambda: self._joined(AND, all, lambda: self._factor(depth)))

    def _joined(self, keyword: str, combine: Callable[[Iterable[bool]], bool], parse_operand: Callable[[], Test]) -> Test:
        operands = [parse_operand()]
        while self._accept(keyword):
            operands.append(parse_operand())
        return lambda row: combine(operand(row) for operand in operands)

    def _factor(self, depth: int) -> Test:
        if depth > MAX_DEPTH:
            raise self._error("nested too deeply")
        if self._accept(NOT):
            inner = self._factor(depth + 1)
            return lambda row: not inner(row)
        if not self._accept(r"\("):
            return self._comparison()
        condition = self._condition(depth + 1)
        if not self._accept(r"\)"):
            raise self._expected(")")
        return condition

    def _comparison(self) -> Test:
        match = self._accept(COMPARISON)
        if match is None:
            raise self._expected("a field")
        key, symbol, given = _unquoted(match["field"]), match["operator"], match["value"]
        if symbol is None:
            raise self._error(f"expected an operator after {key}: = != < <= > >= ~")
        if given is None:
            raise self._error(f"expected a value after {key}{symbol}")
        self.fields.add(key)
        if symbol == "~":
            return lambda row: fnmatch.fnmatchcase(format_value(field_value(row, key)), _unquoted(given))
        value = parse_value(given) if given == _unquoted(given) else _unquoted(given)
        if symbol in ORDER:
            if not _is_number(value):
                raise self._error(f"{key}{symbol}{given}: {symbol} needs a number")
            return lambda row: _is_number(found := field_value(row, key)) and ORDER[symbol](found, value)
        return lambda row: is_equal(field_value(row, key), value) != (symbol == "!=")

    def _accept(self, pattern: str) -> re.Match[str] | None:
        match = re.match(pattern, self._remaining, re.IGNORECASE)
        if match is not None:
            self._remaining = self._remaining[match.end() :].lstrip()
        return match

    def _error(self, cause: str) -> InputError:
        return InputError(
            f"--where {self._text}: {cause}", "for example: --where 'model.name=cnn_large and test.error_percent<1'"
        )

    def _expected(self, what: str) -> InputError:
        return self._error(f"expected {what} {f'before {self._remaining}' if self._remaining else 'at the end'}")


def _unquoted(text: str) -> str:
    return text[1:-1] if text.startswith(('"', "'")) else text


def parse_value(text: str) -> Any:
    """Parse a value as on the command line: null, true, false, a number, a list, or a word."""
    if text.startswith("["):
        return [parse_value(item.strip()) for item in text[1:-1].split(",") if item.strip()]
    for parse_word in (json.loads, float):  # JSON does not know numbers such as .5
        with contextlib.suppress(ValueError):
            return parse_word(text)
    return text


def is_equal(found: Any, value: Any) -> bool:
    """Return whether a setting equals a parsed value: 1e-3 equals 0.001, but true does not equal 1."""
    if isinstance(found, list) and isinstance(value, list):
        return len(found) == len(value) and all(map(is_equal, found, value))
    return isinstance(found, bool) == isinstance(value, bool) and bool(found == value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
