"""False alarms, coverage and power of `mnist-exp compare`, in simulated tables of runs.

`make statistics` runs a part of the grid in minutes, `make statistics ARGS=--full` all of it in hours. With --results, the
counts of each cell are added to a file, and the cells in this file are not run again. --manual writes the table into the
manual.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import groupby, product
from pathlib import Path

import numpy as np
from scipy.special import bdtrik, ndtr, ndtri

from mnist_exp.comparison.significance import Question
from mnist_exp.comparison.statistics import LEVEL, Difference
from tests.benchmarks.manual import TABLES, replace_between
from tests.benchmarks.simulated_runs import (
    QUESTIONS,
    REFERENCES,
    Cell,
    Draw,
    SimulatedGroup,
    beta_binomial,
    compare_groups,
    read_real_runs,
    to_groups,
)

ERRORS = (0.003, 0.01, 0.05)
IMAGES = (1_000, 10_000)
EFFECTS = (0.1, 0.3, 1.0)  # points, of one configuration
SMALL = {"configurations": (2, 5, 20), "seeds": (2, 5), "tables": 500}
FULL = {"configurations": (2, 5, 20, 100), "seeds": (2, 3, 5, 10, 20), "tables": 2000}


@dataclass
class Result:
    """Counts over the tables of a cell, by question and reference as in "new images, best"."""

    tables: int = 0
    alarms: dict[str, int] = field(default_factory=dict)  # tables with a wrong verdict
    found: dict[str, int] = field(default_factory=dict)  # tables in which the effect is found
    intervals: dict[str, int] = field(default_factory=dict)
    covering: dict[str, int] = field(default_factory=dict)
    deviation: float = 0.0  # of the difference between the last and the first configuration on new images, in points

    @property
    def coverage(self) -> float:
        """The lowest share of intervals that contain the true difference."""
        return min(self.covering[key] / n for key, n in self.intervals.items() if n)


def simulate(cell: Cell, tables: int, draw: Draw, number: int = 0) -> Result:
    """Compare the runs of many tables."""
    seed = [number, *map(int, (cell.configurations, cell.seeds, cell.images, 1e4 * cell.error))]
    generator = np.random.Generator(np.random.SFC64(seed))
    keys = [f"{question}, {reference}" for question, reference in product(QUESTIONS, REFERENCES)]
    result = Result(tables, *(dict.fromkeys(keys, 0) for _ in range(4)))
    differences = []
    for _ in range(tables):
        for question in QUESTIONS:
            groups = to_groups(*draw(cell, question, generator), cell.images)
            if question == "new images":
                differences.append(float(groups[-1].errors.mean() - groups[0].errors.mean()))
            for reference in REFERENCES:
                _count(result, cell, groups, question, reference)
    result.deviation = float(np.std(differences)) * 100 / cell.images
    return result


def _count(result: Result, cell: Cell, groups: Sequence[SimulatedGroup], question: Question, reference: str) -> None:
    """Count the wrong verdicts and the intervals of one comparison."""
    key, last = f"{question}, {reference}", cell.configurations - 1
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
    """The table of false alarms: for each number of configurations and of seeds the worst of the errors and images.

    After it, each cell with more false alarms than a procedure with 5 % should show.
    """
    yield "| configurations | seeds | new images: best | baseline | these images: best | baseline | coverage % |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for size, cells in groupby(sorted(results, key=_size), _size):
        group = [results[cell] for cell in cells]
        worst = [max(100 * one.alarms[key] / one.tables for one in group) for key in group[0].alarms]
        coverage = 100 * min(one.coverage for one in group)
        yield "| " + " | ".join([*map(str, size), *(f"{share:.1f}" for share in worst), f"{coverage:.1f}"]) + " |"
    yield ""
    yield f"More than expected: {'; '.join(exceeding(results)) or 'none'}."


def _size(cell: Cell) -> tuple[int, int]:
    return cell.configurations, cell.seeds


def exceeding(results: dict[Cell, Result]) -> Iterator[str]:
    """Describe the cells with more false alarms than the bound, or whose intervals cover too rarely."""
    for cell, result in results.items():
        place = f"{cell.configurations} configurations, {cell.seeds} seeds, {100 * cell.error:g} % of {cell.images:,} images"
        for key, alarms in result.alarms.items():
            if alarms / result.tables > upper_bound(result.tables):
                yield f"{place}, {key}: {100 * alarms / result.tables:.1f} %"
        if result.coverage < 1 - upper_bound(result.tables):
            yield f"{place}: intervals cover in {100 * result.coverage:.1f} %"


def power_rows(results: dict[Cell, Result]) -> Iterator[str]:
    """The table of power on new images: with the best, with a baseline, and of a normal test that knows the variance."""
    effects = sorted({cell.effect for cell in results})
    yield (
        "| configurations | seeds | error % | images | " + " | ".join(f"difference {effect:g}" for effect in effects) + " |"
    )
    yield "| --- | --- | --- | --- |" + " --- |" * len(effects)
    lines: dict[tuple[int, int, float, int], list[str]] = {}
    for cell, result in results.items():
        distance = cell.effect / result.deviation
        oracle = float(ndtr(distance + ndtri(LEVEL / (cell.configurations - 1) / 2)))
        found = (result.found[f"new images, {reference}"] / result.tables for reference in REFERENCES)
        place = cell.configurations, cell.seeds, cell.error, cell.images
        lines.setdefault(place, []).append(", ".join(f"{100 * share:.0f}" for share in (*found, oracle)))
    for (configurations, seeds, error, images), shares in lines.items():
        yield "| " + " | ".join([f"{configurations}", f"{seeds}", f"{100 * error:g}", f"{images:,}", *shares]) + " |"


def read_results(path: Path | None, source: str) -> dict[Cell, Result]:
    """Read the cells that an earlier call has run with runs from this source."""
    if path is None or not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {Cell(**line["cell"]): Result(**line["result"]) for line in lines if line["source"] == source}


def run(cells: Iterable[Cell], tables: int, draw: Draw, jobs: int, path: Path | None, source: str) -> dict[Cell, Result]:
    """Simulate the cells that are not yet in the file, print each, and return all."""
    known = read_results(path, source)
    results = {cell: known[cell] for cell in cells if cell in known}
    missing = [cell for cell in cells if cell not in known]
    with ProcessPoolExecutor(jobs) as pool:
        for cell, result in zip(missing, pool.map(simulate, missing, *_repeat(missing, tables, draw)), strict=True):
            results[cell] = result
            print(cell, result.alarms, f"{100 * result.coverage:.1f} % covered", flush=True)
            if path is not None:
                line = json.dumps({"source": source, "cell": asdict(cell), "result": asdict(result)})
                with path.open("a") as file:
                    file.write(line + "\n")
    return {cell: results[cell] for cell in cells}


def _repeat(cells: Sequence[Cell], *values: object) -> Iterator[Iterable[object]]:
    return ([value] * len(cells) for value in values)


def main() -> int:
    """Simulate, print, and return 1 if a cell has too many false alarms or its intervals cover too rarely."""
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="*", type=Path, help="completed runs of one configuration to draw from")
    parser.add_argument("--full", action="store_true", help="all cells with 2,000 tables: hours")
    parser.add_argument("--tables", type=int)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--configurations", type=int, nargs="*")
    parser.add_argument("--seeds", type=int, nargs="*")
    parser.add_argument("--images", type=int, nargs="*", default=IMAGES)
    parser.add_argument("--power", action="store_true", help="one configuration differs")
    parser.add_argument("--unequal", type=float, default=1.0, help="the seeds of one vary more, by this factor")
    parser.add_argument("--results", type=Path, help="file to which the counts of each cell are added")
    parser.add_argument("--manual", action="store_true")
    arguments = parser.parse_args()
    size = FULL if arguments.full else SMALL
    draw, errors, source = (beta_binomial, ERRORS, "beta-binomial")
    if arguments.runs:
        draw, error = read_real_runs(arguments.runs)
        errors, source = (error,), " ".join(map(str, arguments.runs))
    effects = EFFECTS if arguments.power else (0.0,)
    configurations, seeds = (getattr(arguments, name) or size[name] for name in ("configurations", "seeds"))
    grid = product(configurations, seeds, errors, arguments.images, effects, [arguments.unequal])
    cells = [Cell(*values) for values in grid]
    results = run(cells, arguments.tables or size["tables"], draw, arguments.jobs, arguments.results, source)
    text = "\n".join((power_rows if arguments.power else rows_of)(results))
    print(text)
    if arguments.manual:
        replace_between(
            *TABLES["statistics-power" if arguments.power else "statistics-runs" if arguments.runs else "statistics"], text
        )
    missed = list(exceeding(results))
    print("every bar is met" if not missed else "A BAR IS MISSED", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
