"""The number of seeds that would decide a comparison, compared with statsmodels and with simulations."""

import math

import numpy as np
import pytest
from scipy.special import ndtr

from mnist_exp.comparison import planning, statistics
from mnist_exp.comparison.crossed import Spread
from mnist_exp.comparison.planning import Plan, best_power, plan, power
from mnist_exp.comparison.statistics import LEVEL, Difference


def difference(value: float, spread: Spread, level: float = LEVEL) -> Difference:
    """A difference with this spread."""
    return Difference("Welch", value, 0.5, lambda _: (0.0, 0.0), level, spread)


def over_seeds(value: float, *sizes: int, variance: float = 1.0) -> Difference:
    """A difference over seeds, without a variance of the images."""
    return difference(value, Spread(0.0, 0.0, (variance,) * len(sizes), sizes))


@pytest.mark.parametrize("effect", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("comparisons", [1, 5])
def test_without_images_the_plan_equals_statsmodels(effect: float, comparisons: int) -> None:
    solver = pytest.importorskip("statsmodels.stats.power", reason="statsmodels is not installed")
    level = LEVEL / comparisons
    pairs = difference(effect, Spread(0.0, 0.0, (1.0,), (5,)), level)
    expected = math.ceil(solver.TTestPower().solve_power(effect, alpha=level, power=planning.POWER) - 1e-6)
    assert plan(pairs, level) == Plan(max(expected - 5, 1), max(expected - 5, 1))
    independent = difference(effect, Spread(0.0, 0.0, (1.0, 1.0), (5, 5)), level)
    expected = math.ceil(solver.TTestIndPower().solve_power(effect, alpha=level, power=planning.POWER) - 1e-6)
    assert plan(independent, level) == Plan(max(expected - 5, 1), max(expected - 5, 1))


def test_unequal_groups_are_planned_as_such() -> None:
    found = plan(over_seeds(0.5, 5, 50), LEVEL)
    assert found is not None
    assert found.group is not None
    assert 30 < found.group < 64 < 2 * (found.group + 5)
    assert found.reference == max(found.group + 5 - 50, 0)
    text = Plan(9, 0).text
    assert text == "about 9 more seeds here for 80 % power, if the difference seen is real"
    assert Plan(9, 2).text.startswith("about 9 more seeds here and 2 more seeds of the reference for")
    assert Plan(1, 1).text.startswith("about 1 more seed of each for")


def test_no_number_of_seeds_decides_with_too_few_images() -> None:
    images = 100.0  # the standard error of infinitely many seeds is 10 images
    for value in (20.0, 30.0):
        limit = best_power(difference(value, Spread(images + 5, 5.0, (10.0,), (2,))), LEVEL)
        assert limit == pytest.approx(ndtr(value / 10 - 1.96), abs=1e-4)
    larger = best_power(difference(10.0, Spread(images + 5, 5.0, (50.0,), (2,))), LEVEL, 2.0)  # 10 + 2 √(50/2 − 5) images
    assert larger == pytest.approx(ndtr((10 + 2 * math.sqrt(20)) / 10 - 1.96), abs=1e-4)
    assert best_power(over_seeds(0.0, 5, 5), LEVEL) == 1  # without images, enough seeds find any difference
    few = plan(difference(20.0, Spread(images + 5, 5.0, (10.0,), (2,))), LEVEL)
    assert few == Plan(None, None, "the test images are too few to decide, with any number of seeds")
    assert ndtr(20 / 10 - 1.96) < planning.POWER < ndtr(30 / 10 - 1.96)
    enough = plan(difference(30.0, Spread(images + 50, 50.0, (200.0,), (2,))), LEVEL)
    assert enough is not None
    assert enough.group is not None


def test_no_number_of_seeds_detects_a_tiny_difference() -> None:
    assert plan(over_seeds(1e-6, 5, 5), LEVEL) == Plan(None, None, "not even 10,000 seeds would detect it")
    assert plan(over_seeds(0.0, 5, 5), LEVEL) is None
    assert plan(statistics.mcnemar(3, 5, 100), LEVEL) is None


def test_power_far_from_zero_is_one() -> None:
    assert power(1e6, 3, 0.05) == 1
    assert power(0, 10, 0.05) == pytest.approx(0.05)


def test_planned_seeds_reach_the_power() -> None:
    found = plan(over_seeds(0.1, 3, 3, variance=0.08**2), LEVEL)
    assert found is not None
    assert found.group is not None
    n, generator = 3 + found.group, np.random.default_rng(4)
    tests = [statistics.welch(generator.normal(1.1, 0.08, n), generator.normal(1, 0.08, n)) for _ in range(1000)]
    assert sum(test is not None and test.p < LEVEL for test in tests) / 1000 >= planning.POWER - 0.04
