"""Simulated tables of runs, compared as `mnist-exp compare` compares runs in files.

The runs of a table are not written into files, since this would take days: a test checks that `compare --format json` gives
the same for the same runs in files. The seeds are lucky on test and validation images alike.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import betainc

from mnist_exp.comparison.fields import METRICS, TEST, VALIDATION, Metric
from mnist_exp.comparison.groups import Group
from mnist_exp.comparison.repetitions import Repetitions
from mnist_exp.comparison.rows import Row, read_rows
from mnist_exp.comparison.significance import Question, Tests, compare_with

VALIDATION_IMAGES = 5_000
HARDEST = 0.4  # the largest probability of an error
CONCENTRATION = 0.6  # of the beta distribution of the images: few are often wrong, most never
LUCK = 2.0  # the variance of the errors over seeds with infinitely many images, over that of finite images
LEAST = 2e-4  # a smaller probability of an error counts as 0
QUESTIONS: tuple[Question, ...] = ("new images", "these images")
REFERENCES = ("best", "baseline")


@dataclass(frozen=True)
class Cell:
    """One kind of table."""

    configurations: int
    seeds: int
    error: float
    images: int
    effect: float = 0.0  # of the last configuration: its error minus that of the others, in points
    unequal: float = 1.0  # of the last configuration: how much more its seeds vary than those of the others


Draw = Callable[[Cell, Question, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def beta_binomial(cell: Cell, question: Question, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw errors with a probability for each image, and a luck of each seed on test and validation images.

    For new images, half of the images are difficult for other configurations than the rest: configurations with the same
    error on all images of this kind then differ on these. For these images, they have the same error on these.

    Returns:
        Errors on the images that can be wrong at all, bool (configurations, seeds, n), and numbers of validation errors.
    """
    factors, spreads = np.ones((2, cell.configurations, 1))
    factors[-1] += cell.effect / 100 / cell.error
    spreads[-1] *= cell.unequal
    hardest = HARDEST / factors.max()
    probabilities, quantiles = _difficulties(cell.error, hardest)

    def draw_difficulty(*shape: int) -> np.ndarray:
        """Draw from the beta distribution; most images are never wrong."""
        uniform, values = generator.random(shape, np.float32), np.zeros(shape, np.float32)
        is_difficult = uniform > quantiles[0]
        values[is_difficult] = np.interp(uniform[is_difficult], quantiles, probabilities)
        return values

    difficulty = np.tile(draw_difficulty(cell.images), (cell.configurations, 1))
    if question == "new images":
        difficulty[:, ::2] = draw_difficulty(*difficulty[:, ::2].shape)
    difficulty = difficulty[:, difficulty.any(0)]
    residual = CONCENTRATION / (CONCENTRATION + 1) * cell.error * cell.images
    spread = min(math.sqrt(LUCK * residual) / (cell.error * cell.images), 0.5)
    luck = 1 + np.clip(spread * spreads * generator.standard_normal((cell.configurations, cell.seeds)), -1, 1)
    wrong = np.zeros((*luck.shape, difficulty.shape[1]), bool)
    for errors, probability, factor in zip(wrong, difficulty, (luck * factors).astype(np.float32), strict=True):
        images = np.flatnonzero(probability)
        errors[:, images] = generator.random((len(factor), len(images)), np.float32) < probability[images] * factor[:, None]
    return wrong, generator.poisson(cell.error * VALIDATION_IMAGES * luck * factors)


@cache
def _difficulties(error: float, hardest: float) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities of an error, ascending, and the share of images that have at most these."""
    probabilities = np.geomspace(LEAST, hardest, 2000)
    beta = CONCENTRATION * error / hardest, CONCENTRATION * (1 - error / hardest)
    return probabilities, betainc(*beta, probabilities / hardest)


MANY_MORE = 6  # runs for each seed


@dataclass(frozen=True)
class Resampled:
    """Draw seeds and images of real runs.

    Images are drawn with replacement. So are seeds, except within one configuration if there are many more runs: two seeds
    never give the same network, but the mean of half of the runs would hardly vary.
    """

    wrong: np.ndarray  # bool (runs, images)
    validation: np.ndarray  # numbers of validation errors, (runs,)

    def __call__(self, cell: Cell, _question: Question, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        images = generator.integers(self.wrong.shape[1], size=cell.images)
        if MANY_MORE * cell.seeds <= len(self.wrong):
            runs = generator.random((cell.configurations, len(self.wrong))).argsort(1)[:, : cell.seeds]
        else:
            runs = generator.integers(len(self.wrong), size=(cell.configurations, cell.seeds))
        columns = self.wrong[:, images]
        return columns[:, columns.any(0)][runs], self.validation[runs]


def read_real_runs(places: Sequence[Path]) -> tuple[Draw, float]:
    """Return a function that draws from completed runs, which count as one configuration, and their mean error."""
    group = Group([row for row in read_rows(places) if row.record.summary is not None], {})
    if isinstance(group.wrong_images, str):
        raise SystemExit(group.wrong_images)
    wrong = np.unpackbits(group.wrong_images, axis=1, count=group.summaries[0].test.n).astype(bool)
    validation = [0 if summary.validation is None else summary.validation.errors for summary in group.summaries]
    return Resampled(wrong, np.array(validation)), round(float(wrong.mean()), 4)


@dataclass(frozen=True)
class SimulatedGroup(Group):
    """The runs of a configuration without their files: what `compare` computes from them is known."""

    rows: Sequence[Row] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    packed: np.ndarray = field(kw_only=True)  # as `wrong_images`; the images that are missing at the end are right
    errors: np.ndarray = field(kw_only=True)  # of test images, (n,)
    validation: np.ndarray = field(kw_only=True)  # errors of validation images, (n,)
    images: int = field(kw_only=True)

    @property
    def n(self) -> int:
        return len(self.packed)

    @property
    def seeds(self) -> list[int | None]:
        return list(range(self.n))

    @cached_property
    def wrong_images(self) -> np.ndarray | str:
        return self.packed

    @cached_property
    def image_groups(self) -> np.ndarray | str | None:
        return None

    @cached_property
    def repetitions(self) -> Repetitions:
        return Repetitions(self.packed, self.images)

    def values(self, metric: Metric) -> np.ndarray:
        return 100 * self.errors / self.images if metric.key == TEST else 100 * self.validation / VALIDATION_IMAGES


def to_groups(wrong: np.ndarray, validation: np.ndarray, images: int) -> list[SimulatedGroup]:
    """Return the groups of a table, as `compare` makes them of the runs in files."""
    packed, errors = np.packbits(wrong, axis=-1), wrong.sum(-1)
    parts = zip(packed, errors, validation, strict=True)
    return [SimulatedGroup(packed=bits, errors=e, validation=v, images=images) for bits, e, v in parts]


def compare_groups(groups: Sequence[SimulatedGroup], question: Question, reference: str) -> tuple[Tests, int]:
    """Test all groups against the first, or against the best by validation; also return the index of the reference."""
    means = [group.mean(METRICS[VALIDATION]) for group in groups]
    index = 0 if reference == "baseline" else means.index(min(means))
    return compare_with(groups[index], groups, METRICS[VALIDATION], question, reference == "baseline"), index
