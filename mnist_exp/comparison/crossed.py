"""The difference of two mean errors over seeds and test images: its variance, its p-value and its interval.

Seeds and images are crossed random factors: every seed is tested on every image. In this module an error is a number of
images, not a percentage. With y = 1 where a seed of a configuration is wrong on an image, the variance of the mean over S
seeds and N images is that of a two-way random model: seeds / S + images + residual / S (Gallas 2006, "One-shot estimate of
MRMC variance: AUC", Academic Radiology 13:353; for binary data Gallas, Pennello & Myers 2007, JOSA A 24:B70).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import digamma, gammaincinv, ndtr, polygamma

from mnist_exp.comparison.repetitions import Repetitions, residual_variance, variance_of

LEAST_VARIANCE = 0.5  # added to a variance of whole numbers: two seeds with equal errors can differ by almost one image
UNSEEN = 2.0  # images with a difference, one in each direction, that are added to those that are observed
SHARE_OF_PRIOR = 0.5  # of the degrees of freedom of the other groups: their seeds need not vary in the same way
MAX_DEGREES = 1e6

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
_SIXTH = (_NODES + 1) / 2
PROBABILITIES, WEIGHTS = _SIXTH**6, 3 * _WEIGHTS * _SIXTH**5  # of an integral over 0 to 1, with more nodes near 0


@dataclass(frozen=True)
class Prior:
    """How much more the errors of seeds vary than finite images explain, in all groups of a comparison."""

    ratio: float  # of variance to residual, at least 1
    degrees: float  # of freedom, as if this ratio had been measured with that many

    def limited_to(self, degrees: float, errors: float) -> "Prior":
        """Return what these groups say of another group, if they have that many degrees of freedom.

        Args:
            errors: the number of errors from which its residual is computed. A count is as certain as a variance with twice
                as many degrees of freedom, and the relative variances of ratio and residual add up.
        """
        limit = min(self.degrees, SHARE_OF_PRIOR * degrees)
        return Prior(self.ratio, 2 * errors * limit / (2 * errors + limit) if limit else 0.0)

    def moderated(self, variance: float, residual: float, degrees: int) -> float:
        """Return the mean of a group's own variance over seeds and of the expected one, by their degrees of freedom."""
        return (self.degrees * self.ratio * residual + degrees * variance) / (self.degrees + degrees)


NO_PRIOR = Prior(1.0, 0.0)  # each group is taken by itself


def prior(groups: Sequence[Repetitions]) -> Prior:
    """Estimate the common ratio of the variance over seeds to its residual, and how equal the groups are in it.

    An empirical Bayes estimate, since a few seeds alone say little about their variance: Smyth 2004, "Linear models and
    empirical Bayes methods for assessing differential expression in microarray experiments", Statistical Applications in
    Genetics and Molecular Biology 3:3, section 6.2. Its prior has few degrees of freedom where the groups differ.
    """
    if len(groups) < 3:
        return NO_PRIOR
    ratios = np.array([_smooth(group.variance) / _smooth(group.residual) for group in groups])
    degrees = np.array([group.seeds - 1.0 for group in groups])
    logarithms = np.log(ratios) - digamma(degrees / 2) + np.log(degrees / 2)
    excess = float(logarithms.var(ddof=1) - polygamma(1, degrees / 2).mean())
    if excess <= 0:
        return Prior(max(float(ratios @ degrees / degrees.sum()), 1.0), np.inf)
    half = _inverse_trigamma(excess)
    return Prior(max(float(np.exp(logarithms.mean() + digamma(half) - np.log(half))), 1.0), 2 * half)


def _smooth(variance: float) -> float:
    return variance + LEAST_VARIANCE


def _inverse_trigamma(value: float) -> float:
    """Solve trigamma(x) = value by Newton's method (Smyth 2004, appendix)."""
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-8 * x:
            break
    return x


@dataclass(frozen=True)
class Spread:
    """The estimated variance of a difference of two means, and where it comes from.

    `per_seed` and `sizes` contain a number for each of the two sets or, for pairs, one number.
    """

    images: float  # the variance that images alone make: of the difference of the means of these very networks
    residual: float  # the part of both `images` and `per_seed` that is neither of the images nor of the seeds
    per_seed: tuple[float, ...]  # the variance of one seed on these images
    sizes: tuple[int, ...]  # numbers of seeds
    prior_degrees: float = 0.0
    max_degrees: float = MAX_DEGREES
    image_groups: int | None = None  # number of groups of images, if images are not drawn one by one

    def of_seeds(self, sizes: Sequence[int] | None = None) -> tuple[float, float]:
        """Return the variance of the difference on these images, and its degrees of freedom, for numbers of seeds.

        Welch 1947 and Satterthwaite 1946, "An approximate distribution of estimates of variance components", Biometrics
        Bulletin 2:110.
        """
        parts = [value / size for value, size in zip(self.per_seed, sizes or self.sizes, strict=True)]
        degrees = [self.prior_degrees + size - 1 for size in sizes or self.sizes]
        total = sum(parts)
        satterthwaite = total**2 / sum(part**2 / degree for part, degree in zip(parts, degrees, strict=True))
        limit = self.max_degrees if sizes is None else self.prior_degrees + sum(sizes) - len(sizes)
        return total, min(satterthwaite, limit)

    @property
    def of_images(self) -> float:
        """The variance that would remain with infinitely many seeds."""
        return max(self.images - self.residual, 0.0)


def pair(a: Repetitions, b: Repetitions, order: Sequence[np.ndarray], common: Prior, others: float) -> tuple[float, Spread]:
    """Return the difference of two mean errors whose seeds are paired, and its spread.

    Args:
        order: the indices of the seeds of each, by which they are paired.
        others: the degrees of freedom of the other groups of the comparison.
    """
    seeds, (value, images, squares) = a.seeds, _over_images(a, b)
    first, second = order
    variance = variance_of(a.errors[first] - b.errors[second])
    if a.counts is None or b.counts is None:
        each = float(np.bitwise_count(a.packed[first] ^ b.packed[second]).sum(dtype=np.int64))
    else:
        each = float(np.square(a.counts[first] - b.counts[second]).sum())
    residual = _smooth(residual_variance(each - seeds * squares, variance, seeds, a.units))
    known = common.limited_to(others, each)
    moderated = known.moderated(_smooth(variance), residual, seeds - 1)
    return value, Spread(
        images, residual / seeds, (moderated,), (seeds,), known.degrees, known.degrees + seeds - 1, a.image_groups
    )


def independent(a: Repetitions, b: Repetitions, common: Prior, others: float) -> tuple[float, Spread]:
    """As `pair`, for other seeds: the images are the same, the seeds are not."""
    value, images, _ = _over_images(a, b)
    known = common.limited_to(others, min(a.squares, b.squares))
    moderated, residual = [], 0.0
    for group in (a, b):
        moderated.append(known.moderated(_smooth(group.variance), _smooth(group.residual), group.seeds - 1))
        residual += _smooth(group.residual) / group.seeds
    limit = known.degrees + a.seeds + b.seeds - 2
    return value, Spread(images, residual, tuple(moderated), (a.seeds, b.seeds), known.degrees, limit, a.image_groups)


def networks(a: Repetitions, b: Repetitions) -> tuple[float, float]:
    """Return the difference of the errors of two networks, and its variance over images or groups of images."""
    return _over_images(a, b)[:2]


def _over_images(a: Repetitions, b: Repetitions) -> tuple[float, float, float]:
    """Return the difference of the mean errors, its variance over images, and the sum of its squares over images.

    A few images with a difference say little about the variance: two more are added, one in each direction, of the size of
    those that are observed. For two single networks this is the interval of Bonett & Price 2012.
    """
    differences = a.per_unit / a.seeds - b.per_unit / b.seeds
    squared = np.square(differences)
    value, squares = float(differences.sum()), float(squared.sum())
    size = float(squared @ squared) / squares if squares else 1.0
    if a.sizes is None:
        deviations = squares - value**2 / a.n
    else:  # a large group has a larger difference
        deviations = float(np.square(differences - value / a.n * a.sizes).sum())
    return value, deviations * a.units / (a.units - 1) + UNSEEN * size, squares


def p_value(value: float, spread: Spread) -> float:
    """Return the two-sided p-value of a difference, for new seeds and new images.

    The difference is normal with the variance of the images plus that of the seeds. The latter is estimated from few seeds:
    the p-value is the mean over its fiducial distribution, estimate · degrees / χ² (Fisher 1935, "The fiducial argument in
    statistical inference", Annals of Eugenics 6:391). Without a variance of the images this is Student's t-test. The
    degrees of freedom of Satterthwaite, as in Hillis 2007, Statistics in Medicine 26:596, would give too many false alarms
    with two seeds. The variance is never smaller than that of the images alone.
    """
    return min(float(_tails(np.array([abs(value)]), spread)[0]), 1.0)


def _tails(values: np.ndarray, spread: Spread) -> np.ndarray:
    """Return the two-sided p-values of differences."""
    seeds, degrees = spread.of_seeds()
    of_seeds = np.maximum(seeds * _plausible(min(degrees, MAX_DEGREES)) - spread.residual, 0)
    variance, weights = spread.images + of_seeds, WEIGHTS
    if spread.image_groups is not None:  # so few that the variance over them is uncertain too
        of_images = spread.images * _plausible(spread.image_groups - 1.0)
        variance, weights = np.add.outer(of_images, of_seeds).ravel(), np.outer(WEIGHTS, WEIGHTS).ravel()
    tails: np.ndarray = 2 * ndtr(-values[:, None] / np.sqrt(variance)) @ weights
    return tails


@lru_cache(1000)
def _plausible(degrees: float) -> np.ndarray:
    """Return the quantiles of degrees / χ² for `PROBABILITIES`: a variance over its estimate."""
    plausible: np.ndarray = degrees / np.maximum(2 * gammaincinv(degrees / 2, PROBABILITIES), np.finfo(float).tiny)
    return plausible


def half_width(level: float, spread: Spread) -> float:
    """Return the difference whose p-value is `level`: half the width of the interval."""
    high = np.sqrt(spread.images)
    while _tails(np.array([high]), spread)[0] > level:
        high *= 2
    low = 0.0
    for _ in range(3):  # each time, the interval that contains the solution is divided by 64
        values = np.linspace(low, high, 65)
        index = int(np.searchsorted(-_tails(values, spread), -level))
        low, high = values[max(index - 1, 0)], values[min(index, 64)]
    return float(high)
