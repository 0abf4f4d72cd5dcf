"""Hydra parses a quoted text to the same text."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from mnist_exp.config.conversions import quote
from tests.conftest import compose, shared_composer

COMPOSER = shared_composer()


@given(st.text(st.sampled_from("ab/\\'\"$ {}[](),=: é~*"), min_size=1, max_size=12) | st.text(min_size=1))
@example("\\'")
@example("a\\")
@example("x${y}")
@example("\\\\${oc.env:HOME}\\")
def test_hydra_parses_any_quoted_path_to_itself(path: str) -> None:
    (override,) = OverridesParser.create().parse_overrides([f"hydra.run.dir={quote(path)}"])
    config = OmegaConf.create({"dir": override.value()})
    assert config.dir == path


@given(st.text(st.sampled_from("ab1/\\'\"$ {}[](),=: é~*."), min_size=1, max_size=12))
def test_a_path_is_never_grammar(path: str) -> None:
    if len(path) > 1 and path[0] == path[-1] and path[0] in "'\"":  # as quoted text in Hydra's grammar
        return
    (override,), problems = COMPOSER.parse([f"runs_dir={path}"])
    assert problems == []
    assert OmegaConf.create({"runs_dir": override.value()}).runs_dir == path


@pytest.mark.parametrize("path", ["5", "null", "1e3", "d[1]", "x${oc.env:HOME}", "a=b,c", "~*", "\\'", "{a: 1}"])
def test_a_path_is_composed_as_text(path: str) -> None:
    assert compose(f"runs_dir={path}").runs_dir == path


@pytest.mark.parametrize("quoted", ["'x${y}'", '"x${y}"', "'x\\${y}'"])
def test_a_path_may_be_quoted(quoted: str) -> None:
    assert compose(f"runs_dir={quoted}").runs_dir == "x${y}"
