"""False alarms, coverage and power of `mnist-exp compare`, in simulated tables of runs.

Run with `make statistics`; --manual writes the table into the manual. The runs of a table are not written into files, since
this would take days: a test checks that `compare --format json` gives the same for the same runs in files. The reference is
chosen by the validation error of the same runs, whose seeds are lucky on both kinds of images.
"""

import argparse
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import bdtrik, ndtr, ndtri

from mnist_exp.comparison.crossed import Repetitions
from mnist_exp.comparison.fields import METRICS, TEST, VALIDATION, Metric
from mnist_exp.comparison.groups import Group
from mnist_exp.comparison.rows import Row, read_rows
from mnist_exp.comparison.significance import Question, Tests, compare_with
from mnist_exp.comparison.statistics import LEVEL, Difference
from tests.benchmarks.manual import TABLES, replace_between

CONFIGURATIONS = (2, 5, 20, 100)
SEEDS = (2, 3, 5, 10, 20)
ERRORS = (0.003, 0.01, 0.05)
IMAGES = (1_000, 10_000)
EFFECTS = (0.1, 0.3, 1.0)  # points, of one configuration
VALIDATION_IMAGES = 5_000
HARDEST = 0.4  # the largest probability of an error
CONCENTRATION = 0.6  # of the beta distribution of the images: few are often wrong, most never
LUCK = 2.0  # the variance of the errors over seeds with infinitely many images, over that of finite images
LEAST = 2e-4  # a smaller probability counts as 0
QUESTIONS: tuple[Question, ...] = ("new images", "these images")
LEAST_COVERAGE = 0.94


@dataclass(frozen=True)
class Cell:
    """One kind of table."""

    configurations: int
    seeds: int
    error: float
    images: int
    effect: float = 0.0  # of the last configuration: its error minus that of the others, in points
    unequal: float = 1.0  # of the last configuration: how much more its seeds vary than those of the others


@dataclass
class Result:
    """Counts over the tables of a cell, by question and reference."""

    tables: int = 0
    alarms: Counter[tuple[str, str]] = field(default_factory=Counter)  # tables with a wrong verdict
    found: Counter[tuple[str, str]] = field(default_factory=Counter)  # tables in which the effect is found
    intervals: Counter[tuple[str, str]] = field(default_factory=Counter)
    covering: Counter[tuple[str, str]] = field(default_factory=Counter)
    effects: list[float] = field(default_factory=list)  # measured, in points


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
    def repetitions(self) -> Repetitions:
        return Repetitions(self.packed, self.images)

    def values(self, metric: Metric) -> np.ndarray:
        return 100 * self.errors / self.images if metric.key == TEST else 100 * self.validation / VALIDATION_IMAGES


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
    beta = CONCENTRATION * cell.error / hardest, CONCENTRATION * (1 - cell.error / hardest)
    difficulty = np.tile(generator.beta(*beta, cell.images) * hardest, (cell.configurations, 1))
    if question == "new images":
        difficulty[:, ::2] = generator.beta(*beta, difficulty[:, ::2].shape) * hardest
    difficulty = difficulty[:, difficulty.max(0) > LEAST].astype(np.float32)
    residual = CONCENTRATION / (CONCENTRATION + 1) * cell.error * cell.images
    spread = min(math.sqrt(LUCK * residual) / (cell.error * cell.images), 0.5)
    luck = 1 + np.clip(spread * spreads * generator.standard_normal((cell.configurations, cell.seeds)), -1, 1)
    shape = (*luck.shape, difficulty.shape[1])
    wrong = generator.random(shape, np.float32) < difficulty[:, None] * (luck * factors)[..., None].astype(np.float32)
    return wrong, generator.poisson(cell.error * VALIDATION_IMAGES * luck * factors)


@dataclass(frozen=True)
class Resampled:
    """Draw seeds and images of real runs, with replacement."""

    wrong: np.ndarray  # bool (runs, images)
    validation: np.ndarray  # numbers of validation errors, (runs,)

    def __call__(self, cell: Cell, _question: Question, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        images = generator.integers(self.wrong.shape[1], size=cell.images)
        runs = generator.integers(len(self.wrong), size=(cell.configurations, cell.seeds))
        columns = self.wrong[:, images]
        return columns[:, columns.any(0)][runs], self.validation[runs]


def to_groups(wrong: np.ndarray, validation: np.ndarray, images: int) -> list[Group]:
    """Return the groups of a table, as `compare` makes them of the runs in files."""
    packed, errors = np.packbits(wrong, axis=-1), wrong.sum(-1)
    parts = zip(packed, errors, validation, strict=True)
    return [SimulatedGroup(packed=bits, errors=e, validation=v, images=images) for bits, e, v in parts]


def compare_groups(groups: Sequence[Group], question: Question, reference: str) -> tuple[Tests, int]:
    """Test all groups against the first, or against the best by validation; also return the index of the reference."""
    means = [group.mean(METRICS[VALIDATION]) for group in groups]
    index = 0 if reference == "baseline" else means.index(min(means))
    return compare_with(groups[index], groups, METRICS[VALIDATION], question, reference == "baseline"), index


def simulate(cell: Cell, tables: int, draw: Draw, number: int = 0) -> Result:
    """Compare the runs of many tables."""
    seed = [number, *map(int, (cell.configurations, cell.seeds, cell.images, 1e4 * cell.error))]
    generator = np.random.Generator(np.random.SFC64(seed))
    result = Result()
    for _ in range(tables):
        result.tables += 1
        for question in QUESTIONS:
            wrong, validation = draw(cell, question, generator)
            if question == "new images":
                means = wrong.sum((1, 2)) / cell.seeds
                result.effects.append(100 * float(means[-1] - means[0]) / cell.images)
            groups = to_groups(wrong, validation, cell.images)
            for reference in ("best", "baseline"):
                _count(result, cell, groups, question, reference)
    return result


def _count(result: Result, cell: Cell, groups: Sequence[Group], question: Question, reference: str) -> None:
    """Count the wrong verdicts and the intervals of one comparison."""
    key, last = (question, reference), cell.configurations - 1
    tests, reference_index = compare_groups(groups, question, reference)
    is_wrong = is_found = False
    for index, significance in enumerate(tests.results):
        if significance is None or not isinstance(difference := significance.result, Difference):
            continue
        truth = cell.effect * ((index == last) - (reference_index == last))
        if question == "new images" or not truth:  # the effect on these very images is another one
            result.intervals[key] += 1
            # An interval contains 0 if and only if p > level; its ends take longer.
            result.covering[key] += (
                difference.interval[0] <= truth <= difference.interval[1] if truth else difference.p > difference.level
            )
        verdict = significance.verdict
        is_wrong |= verdict in {"better", "worse"} and verdict != ("better" if truth < 0 else "worse" if truth > 0 else None)
        is_found |= bool(truth) and verdict == ("better" if truth < 0 else "worse")
    result.alarms[key] += is_wrong
    result.found[key] += is_found


def upper_bound(tables: int) -> float:
    """Return the share of false alarms that a procedure with 5 % exceeds in one of 40 simulations."""
    return math.ceil(float(bdtrik(0.975, tables, LEVEL))) / tables


def rows_of(results: dict[Cell, Result]) -> Iterator[str]:
    """The table of false alarms."""
    yield "| configurations | seeds | error % | images | new images: best, baseline | these images | coverage % |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for cell, result in results.items():
        shares = [[f"{100 * result.alarms[q, r] / result.tables:.1f}" for r in ("best", "baseline")] for q in QUESTIONS]
        coverage = min(result.covering[key] / n for key, n in result.intervals.items())
        texts = [cell.configurations, cell.seeds, f"{100 * cell.error:g}", f"{cell.images:,}", *map(", ".join, shares)]
        yield "| " + " | ".join(map(str, [*texts, f"{100 * coverage:.1f}"])) + " |"


def power_rows(results: dict[Cell, Result]) -> Iterator[str]:
    """The table of power, beside that of a normal test that knows the variance."""
    yield "| configurations | seeds | error % | images | difference | found % | with known variances % |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for cell, result in results.items():
        comparisons = cell.configurations - 1
        distance = cell.effect / float(np.std(result.effects))
        oracle = float(ndtr(distance + ndtri(LEVEL / comparisons / 2)))
        found = result.found["new images", "baseline"] / result.tables
        texts = [cell.configurations, cell.seeds, f"{100 * cell.error:g}", f"{cell.images:,}", cell.effect]
        yield "| " + " | ".join(map(str, [*texts, f"{100 * found:.0f}", f"{100 * oracle:.0f}"])) + " |"


def read_real_runs(places: Sequence[Path]) -> tuple[Draw, float]:
    """Return a function that draws from completed runs, which count as one configuration, and their mean error."""
    group = Group([row for row in read_rows(places) if row.record.summary is not None], {})
    if isinstance(group.wrong_images, str):
        raise SystemExit(group.wrong_images)
    wrong = np.unpackbits(group.wrong_images, axis=1, count=group.summaries[0].test.n).astype(bool)
    validation = [0 if summary.validation is None else summary.validation.errors for summary in group.summaries]
    return Resampled(wrong, np.array(validation)), round(float(wrong.mean()), 4)


def main() -> int:
    """Simulate, print, and return 1 if a cell has too many false alarms or its intervals cover too rarely."""
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="*", type=Path, help="completed runs of one configuration to draw from")
    parser.add_argument("--tables", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--configurations", type=int, nargs="*", default=CONFIGURATIONS)
    parser.add_argument("--seeds", type=int, nargs="*", default=SEEDS)
    parser.add_argument("--power", action="store_true", help="one configuration differs")
    parser.add_argument("--unequal", type=float, default=1.0, help="the seeds of one vary more, by this factor")
    parser.add_argument("--manual", action="store_true")
    arguments = parser.parse_args()
    draw: Draw = beta_binomial
    errors: tuple[float, ...] = ERRORS
    if arguments.runs:
        draw, error = read_real_runs(arguments.runs)
        errors = (error,)
    effects = EFFECTS if arguments.power else (0.0,)
    grid = product(arguments.configurations, arguments.seeds, errors, IMAGES, effects, [arguments.unequal])
    cells = [Cell(*values) for values in grid]
    results: dict[Cell, Result] = {}
    with ProcessPoolExecutor(arguments.jobs) as pool:
        simulated = pool.map(simulate, cells, *([one] * len(cells) for one in (arguments.tables, draw)))
        for cell, result in zip(cells, simulated, strict=True):
            results[cell] = result
            print(*list((power_rows if arguments.power else rows_of)({cell: result}))[2:], sep="\n", flush=True)
    if arguments.manual:
        replace_between(*TABLES["statistics"], "\n".join(rows_of(results)))
    bound = upper_bound(arguments.tables)
    met = all(
        result.alarms[key] / result.tables <= bound and result.covering[key] / n >= LEAST_COVERAGE
        for result in results.values()
        for key, n in result.intervals.items()
    )
    print("every bar is met" if met else "A BAR IS MISSED", file=sys.stderr)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
