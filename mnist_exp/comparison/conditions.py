"""`--where`: which runs to compare, such as `model.name=cnn_large and test.error_percent<1`.

    condition  = term { "or" term }
    term       = factor { "and" factor }
    factor     = "not" factor | "(" condition ")" | field operator value
    operator   = "=" | "!=" | "<" | "<=" | ">" | ">=" | "~"

A value is a word, a number, a list such as [512,128], or text in quotes; `~` is a pattern with * and ?.
"""

import fnmatch
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mnist_exp.comparison.fields import value as field_of
from mnist_exp.comparison.rows import Row
from mnist_exp.config.problems import show as typed
from mnist_exp.errors import InputError

TOKEN = re.compile(
    r"\s*(?:(?P<sign>[()]|<=|>=|!=|==|=|<|>|~)"
    r"|(?P<quoted>\"[^\"]*\"|'[^']*')"
    r"|(?P<word>\[[^\[\]]*\]|[^\s()=<>!~\"'\[\]]+))"
)
ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
OPERATORS = frozenset({"=", "==", "!=", "~", *ORDER})
EXAMPLE = "such as: --where 'model.name=cnn_large and test.error_percent<1'"
DEEPEST = 50  # parentheses within each other

Test = Callable[[Row], bool]


@dataclass(frozen=True)
class Condition:
    """Which rows to take."""

    holds: Test
    fields: frozenset[str]


@dataclass(frozen=True)
class _Token:
    text: str
    kind: str  # sign, quoted or word


def parse(text: str) -> Condition:
    """Read a condition.

    Raises:
        InputError: it is none; where it ends to be one.
    """
    parser = _Parser(text, _tokens(text))
    holds = parser.condition(0)
    if parser.rest:
        raise parser.error(f"{parser.rest[0].text} is not expected there")
    return Condition(holds, frozenset(parser.fields))


def _tokens(text: str) -> list[_Token]:
    tokens, place = [], 0
    while text[place:].strip():
        found = TOKEN.match(text, place)
        if found is None:
            raise InputError(f"--where {text}: {text[place:].strip()[0]} is not expected there", EXAMPLE)
        kind = str(found.lastgroup)
        tokens.append(_Token(found[kind][1:-1] if kind == "quoted" else found[kind], kind))
        place = found.end()
    return tokens


class _Parser:
    """Tokens from left to right; each method takes what it reads."""

    def __init__(self, text: str, tokens: Sequence[_Token]) -> None:
        self._text = text
        self.rest = list(tokens)
        self.fields: set[str] = set()

    def condition(self, depth: int) -> Test:
        if depth > DEEPEST:
            raise self.error("it is nested too deeply")
        terms = [self._term(depth)]
        while self._taken("or"):
            terms.append(self._term(depth))
        return lambda row: any(term(row) for term in terms)

    def error(self, cause: str) -> InputError:
        return InputError(f"--where {self._text}: {cause}", EXAMPLE)

    def _term(self, depth: int) -> Test:
        factors = [self._factor(depth)]
        while self._taken("and"):
            factors.append(self._factor(depth))
        return lambda row: all(factor(row) for factor in factors)

    def _factor(self, depth: int) -> Test:
        if depth > DEEPEST:
            raise self.error("it is nested too deeply")
        if self._taken("not"):
            inner = self._factor(depth + 1)
            return lambda row: not inner(row)
        if self._taken("("):
            condition = self.condition(depth + 1)
            if not self._taken(")"):
                raise self.error("a parenthesis is not closed")
            return condition
        return self._comparison()

    def _comparison(self) -> Test:
        if not self.rest or self.rest[0].kind == "sign":
            raise self.error(f"a field is expected {self._where()}")
        key = self.rest.pop(0).text
        if not self.rest or self.rest[0].text not in OPERATORS or self.rest[0].kind != "sign":
            raise self.error(f"{key} is compared with nothing; one of {' '.join(sorted(OPERATORS))} is expected after it")
        sign = self.rest.pop(0).text
        if not self.rest or self.rest[0].kind == "sign":
            raise self.error(f"a value is expected after {key}{sign}")
        given = self.rest.pop(0)
        self.fields.add(key)
        if sign == "~":
            return lambda row: fnmatch.fnmatchcase(typed(field_of(row, key)), given.text)
        wanted = given.text if given.kind == "quoted" else literal(given.text)
        if sign in ORDER:
            if not _is_number(wanted):
                raise self.error(f"{key}{sign}{given.text}: only numbers can be less or more")
            return lambda row: _is_number(found := field_of(row, key)) and ORDER[sign](found, wanted)
        same = sign != "!="
        return lambda row: equal(field_of(row, key), wanted) == same

    def _taken(self, word: str) -> bool:
        if self.rest and self.rest[0].text.lower() == word and self.rest[0].kind != "quoted":
            self.rest.pop(0)
            return True
        return False

    def _where(self) -> str:
        return f"before {self.rest[0].text}" if self.rest else "at its end"


def literal(text: str) -> Any:
    """A value as it is typed on the command line: null, true, a number, a list, or a word."""
    words: dict[str, Any] = {"null": None, "true": True, "false": False}
    if text.startswith("[") and text.endswith("]"):
        inner = text[1:-1].strip()
        return [literal(part.strip()) for part in inner.split(",")] if inner else []
    if text in words:
        return words[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def equal(found: Any, wanted: Any) -> bool:
    """Whether a setting is what was typed: 1e-3 is 0.001, but true is not 1."""
    if isinstance(found, list) and isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(equal, found, wanted))
    if _is_number(found) and _is_number(wanted):
        return bool(found == wanted)
    return type(found) is type(wanted) and bool(found == wanted)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
