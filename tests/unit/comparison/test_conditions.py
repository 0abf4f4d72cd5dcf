"""`--where`: the grammar, its meaning and its errors."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_exp.comparison import fields
from mnist_exp.comparison.conditions import Condition, is_equal, parse_value
from mnist_exp.comparison.rows import Row
from mnist_exp.errors import InputError
from mnist_exp.runs.status import Record


def make_row(settings: dict[str, Any]) -> Row:
    row = Row("a run", Record(Path("a run"), "failed", None, None, None))
    row.__dict__["settings"] = settings
    return row


ROW = make_row({
    "model.name": "cnn_large", "optimizer.learning_rate": 0.001, "model.units": [512, 128], "seed": 1,
    "flag": True, "none": None,
})  # fmt: skip


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("model.name=cnn_large", True),
        ("model.name==mlp", False),
        ("model.name!=mlp", True),
        ("model.name~cnn_*", True),
        ("model.name~CNN_*", False),
        ("optimizer.learning_rate=1e-3", True),
        ("optimizer.learning_rate<=0.001", True),
        ("optimizer.learning_rate<0.001", False),
        ("optimizer.learning_rate > 1e-4 and optimizer.learning_rate < 1", True),
        ("model.units=[512,128]", True),
        ("model.units=[512, 128.0]", True),
        ("model.units=[512]", False),
        ("seed=1", True),
        ("flag=true", True),
        ("flag=1", False),
        ("seed=true", False),
        ("none=null", True),
        ("none<1", False),
        ("not none<1", True),
        ("model.name<1", False),
        ("run='a run'", True),
        ('run="a run" and status=failed', True),
        ("test.error_percent<100", False),
        ("seed='1'", False),
        ("seed=2 or seed=1", True),
        ("seed=2 or seed=1 and flag=false", False),
        ("(seed=2 or seed=1) and flag=true", True),
        ("not (seed=2 or seed=1)", False),
        ("NOT seed=2 AND flag=true", True),
        ("not not seed=1", True),
    ],
)
def test_a_condition_matches_a_run(text: str, matches: bool) -> None:
    assert Condition(text).matches(ROW) is matches


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "expected a field at the end"),
        ("seed", "expected an operator after seed: = != < <= > >= ~"),
        ("seed=", "expected a value after seed="),
        ("seed=1 and", "expected a field at the end"),
        ("seed=1 seed=2", "unexpected seed=2"),
        ("(seed=1 seed=2)", "expected ) before seed=2)"),
        ("(seed=1", "expected ) at the end"),
        ("seed=1)", "unexpected )"),
        ("model.name<mlp", "model.name<mlp: < needs a number"),
        ("=1", "expected a field before =1"),
        ("seed='1", "expected a value after seed="),
        ("seed=[1,[2]]", "expected a value after seed="),
        ("seed=1 & flag=true", "unexpected & flag=true"),
        ("(" * 1000 + "seed=1" + ")" * 1000, "nested too deeply"),
        ("not " * 1000 + "seed=1", "nested too deeply"),
    ],
)
def test_an_invalid_condition_is_an_error(text: str, cause: str) -> None:
    with pytest.raises(InputError) as caught:
        Condition(text)
    assert cause in caught.value.cause
    assert "--where 'model.name=cnn_large" in caught.value.remedy


def test_an_unknown_field_is_an_error_with_a_suggestion() -> None:
    condition = Condition("modle.name=mlp and status=failed and test.loss<1")
    with pytest.raises(InputError, match=r"--where modle.name: unknown field\ndid you mean model.name\?"):
        fields.check_fields(condition.fields, [ROW], "--where")


@given(st.text(max_size=60))
def test_any_text_is_a_condition_or_an_input_error(text: str) -> None:
    try:
        condition = Condition(text)
    except InputError:
        return
    assert condition.matches(ROW) in {True, False}
    assert condition.fields


WORDS = st.sampled_from(["a", "b.c", "d_e"])
LEAVES = st.tuples(WORDS, st.sampled_from(["=", "!=", "<", ">="]), st.integers(-3, 3)).map(
    lambda leaf: (f"{leaf[0]}{leaf[1]}{leaf[2]}", leaf)
)


def _combined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    pairs = st.tuples(inner, st.sampled_from(["and", "or"]), inner)
    return st.one_of(
        pairs.map(lambda pair: (f"({pair[0][0]}) {pair[1]} ({pair[2][0]})", pair)),
        inner.map(lambda one: (f"not ({one[0]})", ("not", one))),
    )


def _expected(tree: Any, values: dict[str, int]) -> bool:
    _, node = tree
    if node[0] == "not":
        return not _expected(node[1], values)
    if isinstance(node[0], str):
        key, sign, number = node
        found = values[key]
        return {"=": found == number, "!=": found != number, "<": found < number, ">=": found >= number}[sign]
    left, word, right = node
    first, second = _expected(left, values), _expected(right, values)
    return (first and second) if word == "and" else (first or second)


@given(st.recursive(LEAVES, _combined, max_leaves=8), st.tuples(*[st.integers(-3, 3)] * 3))
def test_nested_conditions(tree: Any, numbers: tuple[int, int, int]) -> None:
    values = dict(zip(("a", "b.c", "d_e"), numbers, strict=True))
    assert Condition(tree[0]).matches(make_row(values)) is _expected(tree, values)


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none()))
def test_a_typed_value_equals_the_setting(value: Any) -> None:
    text = {True: "true", False: "false", None: "null"}[value] if value is None or isinstance(value, bool) else repr(value)
    assert is_equal(value, parse_value(text))
