"""Hydra parses a quoted text to the same text."""

from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import assume, example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from mnist_exp.config.problems import quote


@given(st.text(st.sampled_from("ab/\\'\"$ {}[](),=: é~*"), min_size=1, max_size=12) | st.text(min_size=1))
@example("\\'")
@example("a\\")
def test_hydra_parses_any_quoted_path_to_itself(path: str) -> None:
    assume("${" not in path)
    (override,) = OverridesParser.create().parse_overrides([f"hydra.run.dir={quote(path)}"])
    config = OmegaConf.create({"dir": override.value()})
    assert config.dir == path
