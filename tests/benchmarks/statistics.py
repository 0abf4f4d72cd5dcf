"""False alarms, coverage and power of `mnist-exp compare`, in simulated tables of runs.

Run with `make statistics`; --manual writes the table into the manual. Each table goes through the functions that `compare
--format json` calls, from the summaries on; a test checks that the command gives the same for the same runs in files. The
reference is chosen by the validation error of the same runs, whose seeds are lucky on both kinds of images.
"""

import argparse
import base64
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
from scipy.special import bdtrik, ndtr, ndtri

from mnist_exp.comparison.groups import Group
from mnist_exp.comparison.ranking import compare
from mnist_exp.comparison.rows import Row, read_rows
from mnist_exp.comparison.significance import Question
from mnist_exp.comparison.statistics import LEVEL, Difference
from mnist_exp.run.evaluation import error_rate
from mnist_exp.run.status import Record
from mnist_exp.run.summary import Score, Summary
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
    difficulty = difficulty[:, difficulty.max(0) > LEAST]
    residual = CONCENTRATION / (CONCENTRATION + 1) * cell.error * cell.images
    spread = min(math.sqrt(LUCK * residual) / (cell.error * cell.images), 0.5)
    luck = 1 + np.clip(spread * spreads * generator.standard_normal((cell.configurations, cell.seeds)), -1, 1)
    wrong = generator.random((*luck.shape, difficulty.shape[1])) < difficulty[:, None] * (luck * factors)[..., None]
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


def to_rows(wrong: np.ndarray, validation: np.ndarray, images: int, template: Summary) -> list[Row]:
    """Return the runs of a table, as they are read from their directories."""
    bits = np.zeros((*wrong.shape[:2], images), bool)
    bits[..., : wrong.shape[2]] = wrong
    packed, errors = np.packbits(bits, axis=-1), wrong.sum(-1)
    rows = []
    for configuration, seed in np.ndindex(*errors.shape):
        changes = {
            "seed": seed,
            "config_hash": f"{configuration:016x}",
            "test": _score(int(errors[configuration, seed]), images),
            "validation": _score(int(validation[configuration, seed]), VALIDATION_IMAGES),
            "wrong_images": base64.b64encode(packed[configuration, seed].tobytes()).decode(),
            "settings": {"seed": seed, "optimizer.learning_rate": 1e-6 * (configuration + 1)},
        }
        name = f"{configuration:03d}_{seed:02d}"
        rows.append(Row(name, Record(Path(name), "completed", None, None, template.model_copy(update=changes))))
    for row in rows:
        row.__dict__["time"] = 0.0  # a directory that does not exist has none
    return rows


def _score(errors: int, n: int) -> Score:
    return Score(**error_rate(min(errors, n), n), loss=0.1)


def simulate(cell: Cell, tables: int, draw: Draw, template: Summary, number: int = 0) -> Result:
    """Compare the runs of many tables."""
    generator = np.random.default_rng([number, *map(int, (cell.configurations, cell.seeds, cell.images, 1e4 * cell.error))])
    result = Result()
    for _ in range(tables):
        result.tables += 1
        for question in QUESTIONS:
            wrong, validation = draw(cell, question, generator)
            rows = to_rows(wrong, validation, cell.images, template)
            if question == "new images":
                means = wrong.sum((1, 2)) / cell.seeds
                result.effects.append(100 * float(means[-1] - means[0]) / cell.images)
            for reference in ("best", "baseline"):
                _count(result, cell, rows, question, reference)
    return result


def _count(result: Result, cell: Cell, rows: Sequence[Row], question: Question, reference: str) -> None:
    """Count the wrong verdicts and the intervals of one comparison."""
    key, last = (question, reference), f"{cell.configurations - 1:03d}"
    board = compare(rows, baseline=rows[0] if reference == "baseline" else None, question=question)
    is_wrong = is_found = False
    for line in board.lines:
        if line.significance is None or not isinstance(line.significance.result, Difference) or board.reference is None:
            continue
        is_last, is_against_last = (group.rows[0].name.startswith(last) for group in (line.group, board.reference))
        truth = cell.effect * (is_last - is_against_last)
        low, high = line.significance.result.interval
        if question == "new images" or not truth:  # the effect on these very images is another one
            result.intervals[key] += 1
            result.covering[key] += low <= truth <= high
        verdict = line.significance.verdict
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


def make_template() -> Summary:
    """A summary of a completed run, which the runs of the tables change."""
    dataset = {"name": "mnist", "sha256": "a", "labels_sha256": "b", "split_sha256": "c"}
    return Summary.model_validate({
        "schema": 4, "name": "simulated", "status": "completed", "seed": 0, "config_hash": "", "members": None,
        "dataset": dataset | {"train": 1, "validation": VALIDATION_IMAGES, "test": 1}, "wrong_images": None,
        "model": {"name": "simulated", "parameters": 1}, "test": _score(0, 1).model_dump(), "validation": None,
        "epochs": 1, "best_epoch": None, "train_seconds": 1.0, "wall_seconds": 1.0, "images_per_second": 1.0, "settings": {},
    })  # fmt: skip


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
    template = make_template()
    results: dict[Cell, Result] = {}
    with ProcessPoolExecutor(arguments.jobs) as pool:
        simulated = pool.map(simulate, cells, *([one] * len(cells) for one in (arguments.tables, draw, template)))
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
