"""The variance of a difference over seeds and images, its p-value and its interval, against slow, obvious computations."""

import numpy as np
import pytest
import scipy.stats

from mnist_exp.comparison import crossed
from mnist_exp.comparison.crossed import LEAST_VARIANCE, UNSEEN, Prior, Spread, half_width, p_value, prior
from mnist_exp.comparison.repetitions import Repetitions
from mnist_exp.comparison.statistics import over_seeds

NO_PRIOR = Prior(1.0, 0.0)


def repetitions(wrong: np.ndarray) -> Repetitions:
    """Of a matrix of seeds × images."""
    return Repetitions(np.packbits(wrong, axis=1), wrong.shape[1])


def random_errors(generator: np.random.Generator, seeds: int, images: int, luck: float = 0.0) -> np.ndarray:
    """Errors with difficult images and, if wanted, lucky seeds."""
    difficulty = generator.beta(0.3, 1.2, images)
    return generator.random((seeds, images)) < difficulty * (1 + luck * generator.uniform(-1, 1, (seeds, 1)))


def one_shot(differences: np.ndarray) -> float:
    """The variance of the sum over images of the mean over seeds as a U-statistic (Gallas 2006), with explicit loops."""
    seeds, images = differences.shape
    equal_image = [differences[s] @ differences[t] / images for s in range(seeds) for t in range(seeds) if s != t]
    other_images = (images * (images - 1)) ** -1.0
    sums = differences.sum(1)
    equal_seed = [(sums[s] ** 2 - differences[s] @ differences[s]) * other_images for s in range(seeds)]
    neither = [
        (sums[s] * sums[t] - differences[s] @ differences[t]) * other_images
        for s in range(seeds)
        for t in range(seeds)
        if s != t
    ]
    first, second, third, fourth = (float(np.mean(m)) for m in ((differences**2).mean(1), equal_image, equal_seed, neither))
    weights = np.array([1, seeds - 1, images - 1, (seeds - 1) * (images - 1)]) / (seeds * images)
    return float(weights @ [first, second, third, fourth] - fourth) * images**2


def unsmoothed(spread: Spread, size: float) -> float:
    """The variance without what is added for few images and whole numbers."""
    seeds = sum(value / size for value, size in zip(spread.per_seed, spread.sizes, strict=True))
    added = sum(LEAST_VARIANCE / size for size in spread.sizes)
    return spread.images - UNSEEN * size - (spread.residual - added) + seeds - added


def observed_size(a: np.ndarray, b: np.ndarray) -> float:
    squares = (a.mean(0) - b.mean(0)) ** 2
    return float(squares @ squares / squares.sum())


@pytest.mark.parametrize("seeds", [2, 3, 6])
def test_paired_seeds_have_the_variance_of_the_one_shot_estimate(seeds: int) -> None:
    generator = np.random.default_rng(seeds)
    a, b = (random_errors(generator, seeds, 203, luck=0.5) for _ in range(2))
    order = generator.permutation(seeds), generator.permutation(seeds)
    value, spread = crossed.pair(repetitions(a), repetitions(b), order, NO_PRIOR, 0)
    differences = a[order[0]].astype(float) - b[order[1]]
    assert value == pytest.approx(differences.sum() / seeds)
    assert unsmoothed(spread, observed_size(a, b)) == pytest.approx(one_shot(differences))


@pytest.mark.parametrize(("seeds", "others"), [(2, 2), (3, 7)])
def test_the_variance_is_unbiased(seeds: int, others: int) -> None:
    generator = np.random.default_rng(0)
    values, variances = [], []
    for _ in range(1500):
        difficulty = generator.beta(0.3, 1.2, 120)
        a, b = (
            generator.random((n, 120)) < difficulty**power * (1 + generator.uniform(-0.5, 0.5, (n, 1)))
            for n, power in ((seeds, 1.0), (others, 1.5))
        )
        value, spread = crossed.independent(repetitions(a), repetitions(b), NO_PRIOR, 0)
        values.append(value)
        variances.append(unsmoothed(spread, observed_size(a, b)))
    assert np.mean(variances) == pytest.approx(np.var(values), rel=0.12)


def test_the_variance_agrees_with_a_bootstrap_of_seeds_and_images() -> None:
    generator = np.random.default_rng(1)
    a, b = (random_errors(generator, 40, 400, luck=0.4) for _ in range(2))
    _, spread = crossed.independent(repetitions(a), repetitions(b), NO_PRIOR, 0)
    drawn = []
    for _ in range(1000):
        images = generator.integers(400, size=400)
        means = (wrong[generator.integers(40, size=40)][:, images].sum() / 40 for wrong in (a, b))
        drawn.append(next(means) - next(means))
    # Resampling both counts the residual about twice (Owen 2007), which 40 seeds make small.
    assert unsmoothed(spread, observed_size(a, b)) == pytest.approx(np.var(drawn), rel=0.2)


def test_the_spread_over_seeds_has_two_parts() -> None:
    generator = np.random.default_rng(2)
    difficulty = generator.beta(0.3, 1.2, 5000)
    equal = repetitions(generator.random((200, 5000)) < difficulty)
    assert equal.residual == pytest.approx((difficulty * (1 - difficulty)).sum(), rel=0.03)
    assert equal.variance == pytest.approx(equal.residual, rel=0.3)
    lucky = repetitions(generator.random((200, 5000)) < difficulty * (1 + 0.2 * generator.uniform(-1, 1, (200, 1))))
    assert lucky.variance - lucky.residual == pytest.approx((0.2 * difficulty.sum()) ** 2 / 3, rel=0.3)
    same = np.tile(generator.random(5000) < difficulty, (3, 1))
    assert (repetitions(same).variance, repetitions(same).residual) == (0, 0)


@pytest.mark.parametrize("degrees", [1, 2, 7, 40])
@pytest.mark.parametrize("t", [0.0, 1.0, 3.0, 40.0])
def test_without_images_the_p_value_is_that_of_student(degrees: int, t: float) -> None:
    spread = Spread(1e-12, 0.0, (4.0,), (degrees + 1,))
    expected = 2 * scipy.stats.t.sf(t, degrees)
    found = p_value(t * np.sqrt(4.0 / (degrees + 1)), spread)
    assert found == pytest.approx(expected, rel=2e-3, abs=1e-12)


def test_with_many_seeds_the_p_value_is_that_of_the_normal_distribution() -> None:
    spread = Spread(9.0, 2.0, (400.0, 500.0), (100, 100), 1e5)
    expected = 2 * scipy.stats.norm.sf(8 / np.sqrt(9 - 2 + 4 + 5))
    assert p_value(8.0, spread) == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("level", [0.05, 0.1, 1e-5])
def test_half_the_interval_is_the_difference_with_this_p_value(level: float) -> None:
    for spread in (
        Spread(9.0, 2.0, (40.0, 50.0), (3, 5)),
        Spread(2.0, 0.0, (0.5,), (2,)),
        Spread(50.0, 50.0, (80.0,), (9,)),
    ):
        assert p_value(half_width(level, spread), spread) == pytest.approx(level, rel=0.01)


def test_the_variance_is_never_below_that_of_the_images() -> None:
    for per_seed in (0.5, 5.0, 50.0):
        spread = Spread(9.0, 8.0, (per_seed,), (4,))
        assert p_value(6.0, spread) >= 2 * scipy.stats.norm.sf(6 / 3)


def test_networks_that_never_disagree_have_an_interval() -> None:
    same = repetitions(np.zeros((2, 1000), bool))
    value, spread = crossed.pair(same, same, (np.arange(2), np.arange(2)), NO_PRIOR, 0)
    assert (value, p_value(value, spread)) == (0, 1)
    assert half_width(0.05, spread) > 1


def test_the_prior_pools_groups_that_are_equal_and_not_those_that_differ() -> None:
    generator = np.random.default_rng(5)
    equal = [repetitions(random_errors(generator, 5, 2000)) for _ in range(30)]
    pooled = prior(equal)
    assert pooled.degrees > 8
    assert pooled.ratio == pytest.approx(1, abs=0.3)
    lucks = (0.0, 0.0, 0.0, 0.5, 0.9)
    different = [repetitions(random_errors(generator, 10, 2000, luck)) for luck in lucks for _ in range(5)]
    assert prior(different).degrees < 5
    assert prior(equal[:2]) == Prior(1.0, 0.0)
    assert Prior(2.0, np.inf).limited_to(8, 1e12).degrees == pytest.approx(4)
    assert Prior(2.0, 3.0).limited_to(8, 1e12).degrees == pytest.approx(3)
    assert Prior(2.0, np.inf).limited_to(200, 5).degrees == pytest.approx(1 / (1 / 100 + 1 / 10))  # five errors say little
    assert Prior(2.0, np.inf).limited_to(0, 5).degrees == 0
    _, alone = crossed.independent(equal[0], equal[1], pooled, 0)
    _, together = crossed.independent(equal[0], equal[1], pooled, 28 * 4)
    assert alone.prior_degrees == 0
    assert together.prior_degrees == pytest.approx(min(pooled.degrees, 56), rel=0.01)
    assert alone.of_seeds()[1] <= 8 < together.of_seeds()[1] <= 8 + pooled.degrees


def test_the_example_of_the_manual() -> None:
    a, b = np.zeros((2, 2, 1000), bool)
    a[:, :4] = True  # both seeds of A
    a[0, 4:7] = a[1, 7:12] = True  # one seed of A
    b[0, 12:14] = b[1, 14:16] = True  # one seed of B
    for wrong, shared in ((a[0], 5), (a[1], 7), (b[0], 5), (b[1], 7)):
        wrong[20 + 10 * (shared == 7) :][:shared] = True
    assert (a.sum(1).tolist(), b.sum(1).tolist()) == ([12, 16], [7, 9])
    value, spread = crossed.pair(repetitions(a), repetitions(b), (np.arange(2), np.arange(2)), NO_PRIOR, 0)
    assert value == 6
    assert np.sqrt([spread.images, spread.of_seeds()[0]]) == pytest.approx([2.89, 1.12], abs=0.01)
    assert p_value(value, spread) == pytest.approx(0.156, abs=0.001)
    assert over_seeds("paired t", value, spread).p == pytest.approx(0.117, abs=0.001)  # type: ignore[union-attr]


def grouped(wrong: np.ndarray, groups: np.ndarray) -> Repetitions:
    """Of a matrix of seeds × images in groups."""
    return Repetitions(np.packbits(wrong, axis=1), wrong.shape[1], groups)


def test_groups_of_one_image_are_the_images() -> None:
    generator = np.random.default_rng(5)
    a, b = (random_errors(generator, 3, 203, luck=0.5) for _ in range(2))
    order, each = (np.arange(3), np.arange(3)), generator.permutation(203)
    value, spread = crossed.pair(repetitions(a), repetitions(b), order, NO_PRIOR, 0)
    same, by_group = crossed.pair(grouped(a, each), grouped(b, each), order, NO_PRIOR, 0)
    assert same == pytest.approx(value)
    assert by_group.images == pytest.approx(spread.images)
    assert by_group.residual == pytest.approx(spread.residual)
    assert p_value(value, by_group) == pytest.approx(p_value(value, spread), rel=0.1)  # 203 groups are nearly normal


def test_groups_are_drawn_as_in_a_bootstrap_of_groups() -> None:
    generator = np.random.default_rng(6)
    groups = np.repeat(np.arange(60), generator.integers(2, 30, 60))
    difficulty = generator.beta(0.3, 1.2, (2, 60))[:, groups]  # of a writer, for each configuration
    a, b = (generator.random((30, len(groups))) < one for one in difficulty)
    value, spread = crossed.independent(grouped(a, groups), grouped(b, groups), NO_PRIOR, 0)
    each = np.bincount(groups, a.mean(0) - b.mean(0))
    drawn = []
    for _ in range(4000):
        chosen = generator.integers(60, size=60)
        images = np.bincount(groups)[chosen].sum()
        drawn.append(each[chosen].sum() * len(groups) / images)
    assert spread.images == pytest.approx(np.var(drawn), rel=0.2)
    _, by_image = crossed.independent(repetitions(a), repetitions(b), NO_PRIOR, 0)
    assert spread.images > 3 * by_image.images
    assert p_value(value, spread) > p_value(value, by_image)


def test_the_variance_over_few_groups_is_uncertain() -> None:
    many, few = (Spread(9.0, 0.0, (1e-9,), (1000,), 1e6, image_groups=n) for n in (100_000, 5))
    assert p_value(6.0, many) == pytest.approx(2 * scipy.stats.norm.sf(2), rel=1e-2)
    assert p_value(6.0, few) == pytest.approx(2 * scipy.stats.t.sf(2, 4), rel=1e-2)
    assert p_value(half_width(0.05, few), few) == pytest.approx(0.05, rel=0.02)
