"""Learning rates against the formulas of their papers, step by step."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_exp.config.schema import ConstantConfig, CosineConfig, ExponentialConfig, OneCycleConfig
from mnist_exp.config.settings import SMALLEST
from mnist_exp.training.schedules import learning_rates


def test_constant() -> None:
    rates = learning_rates(ConstantConfig(name="constant", warmup_epochs=0.0), 0.01, steps_per_epoch=5, epochs=3)
    assert rates.dtype == np.float32
    assert rates.tolist() == [np.float32(0.01)] * 15


def test_cosine() -> None:
    config = CosineConfig(name="cosine", warmup_epochs=0.0, final_fraction=0.1)
    rates = learning_rates(config, 2.0, steps_per_epoch=10, epochs=4)
    for step, rate in enumerate(rates):
        expected = 0.2 + 0.5 * (2.0 - 0.2) * (1 + math.cos(math.pi * step / 40))
        assert rate == pytest.approx(expected, rel=1e-6)


def test_exponential() -> None:
    config = ExponentialConfig(name="exponential", warmup_epochs=0.0, decay_rate=0.5)
    rates = learning_rates(config, 1.0, steps_per_epoch=4, epochs=3)
    assert rates[[0, 4, 8]].tolist() == [1.0, 0.5, 0.25]
    assert rates[2] == pytest.approx(0.5**0.5)


def test_one_cycle_is_pytorchs() -> None:
    """OneCycleLR(max_lr=1, total_steps=40, pct_start=0.3, div_factor=25, final_div_factor=1e4), its formula written out."""
    config = OneCycleConfig(name="one_cycle", warmup_epochs=1.2, start_fraction=0.04, final_fraction=4e-6)
    rates = learning_rates(config, 1.0, steps_per_epoch=10, epochs=4)
    top = 0.3 * 40 - 1  # the step at which PyTorch reaches the maximum
    for step, rate in enumerate(rates):
        start, end, share = (1 / 25, 1.0, step / top) if step <= top else (1.0, 1 / 25 / 1e4, (step - top) / (39 - top))
        assert rate == pytest.approx(end + (start - end) / 2 * (1 + math.cos(math.pi * share)), rel=1e-5, abs=1e-7)


def test_warmup_rises_linearly_and_the_decay_starts_after_it() -> None:
    config = CosineConfig(name="cosine", warmup_epochs=0.5, final_fraction=0.0)
    rates = learning_rates(config, 1.0, steps_per_epoch=8, epochs=2)
    assert rates[:5].tolist() == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert all(np.diff(rates[4:]) < 0)


def _floats(largest: float) -> st.SearchStrategy[float]:
    """Numbers that settings accept: 0, or large enough for float32."""
    return st.just(0.0) | st.floats(SMALLEST, largest)


CONFIGS = (
    st.builds(ConstantConfig, name=st.just("constant"), warmup_epochs=_floats(50))
    | st.builds(CosineConfig, name=st.just("cosine"), warmup_epochs=_floats(50), final_fraction=_floats(1))
    | st.builds(
        OneCycleConfig,
        name=st.just("one_cycle"),
        warmup_epochs=_floats(50),
        start_fraction=_floats(1),
        final_fraction=_floats(1),
    )
    | st.builds(ExponentialConfig, name=st.just("exponential"), warmup_epochs=_floats(50), decay_rate=st.floats(0.01, 1))
)


@given(CONFIGS, st.floats(1e-6, 10), st.integers(1, 50), st.integers(1, 20))
def test_every_schedule_has_a_rate_for_every_step(config, peak: float, steps_per_epoch: int, epochs: int) -> None:
    rates = learning_rates(config, peak, steps_per_epoch, epochs)
    assert rates.shape == (steps_per_epoch * epochs,)
    assert np.all(rates >= 0)
    assert np.all(rates <= np.float32(peak))
