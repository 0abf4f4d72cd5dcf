"""False alarms, power and trained seeds of sweeps that continue until they are decided, in simulated tables.

Run with `make statistics-looks`. At each look, the configurations that are open get further seeds, as with `mnist-exp resume
SWEEP --until-decided`. A wrong verdict at any look counts, even if a later look withdraws it.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from mnist_exp.comparison import looks
from mnist_exp.comparison.fields import METRICS, VALIDATION
from mnist_exp.comparison.looks import Looks
from mnist_exp.comparison.significance import Question, Tests, compare_with
from tests.benchmarks.manual import TABLES, replace_between
from tests.benchmarks.simulated_runs import QUESTIONS, Cell, Draw, beta_binomial, to_groups
from tests.benchmarks.statistics import ERRORS, IMAGES, upper_bound

FIRST, MAX_SEEDS = 3, 20
CONFIGURATIONS = (2, 5, 20)
EFFECTS = {0.003: (0.1, 0.3), 0.01: (0.1, 0.3, 1.0), 0.05: (0.3, 1.0)}  # points, by the error


@dataclass
class Procedure:
    """Counts over the tables of a cell."""

    tables: int = 0
    alarms: int = 0  # tables with a wrong verdict at any look
    found: int = 0  # tables in which the last configuration, which differs, is decided at the end
    found_at_once: int = 0  # the same if all configurations have all seeds, and are compared once
    seeds: list[float] = field(default_factory=list)  # trained for a configuration, mean of a table


def simulate(cell: Cell, tables: int, draw: Draw, question: Question) -> Procedure:
    """Continue many tables until they are decided or have all seeds; `cell.seeds` is the largest number of seeds."""
    generator = np.random.default_rng([1, cell.configurations, cell.images, int(1e4 * cell.error)])
    planned, result = looks.plan(FIRST, cell.seeds), Procedure()
    last = cell.configurations - 1
    for _ in range(tables):
        wrong, validation = draw(cell, question, generator)
        alarm, seeds, tests = until_decided(cell, wrong, validation, planned, question)
        result.tables += 1
        result.alarms += alarm
        result.seeds.append(float(np.mean(seeds)))
        if cell.effect:
            result.found += _is_found(tests, last)
            at_once, _ = compare(cell, wrong, validation, [cell.seeds] * len(wrong), question, None)
            result.found_at_once += _is_found(at_once, last)
    return result


def until_decided(
    cell: Cell, wrong: np.ndarray, validation: np.ndarray, planned: Looks, question: Question
) -> tuple[bool, list[int], Tests]:
    """Return whether a verdict at any look is wrong, the trained seeds of each configuration, and the last tests.

    Args:
        wrong, validation: of all seeds, as a `Draw` returns them.
    """
    seeds = [planned.sizes[0]] * len(wrong)
    alarm = False
    while True:
        tests, reference = compare(cell, wrong, validation, seeds, question, planned)
        alarm |= _has_wrong_verdict(cell, tests, reference)
        undecided = [index for index, one in enumerate(tests.results) if one is not None and one.can_be_decided]
        next_size = planned.sizes[min(planned.look(max(seeds)), len(planned.sizes) - 1)]
        lacking = [index for index in (reference, *undecided) if undecided and seeds[index] < next_size]
        if not lacking:
            break
        for index in lacking:
            seeds[index] = next_size
    return alarm, seeds, tests


def compare(
    cell: Cell, wrong: np.ndarray, validation: np.ndarray, seeds: list[int], question: Question, planned: Looks | None
) -> tuple[Tests, int]:
    """Test the first seeds of each configuration against the best by validation; also return the index of the best."""
    parts = zip(wrong, validation, seeds, strict=True)
    groups = [group for w, v, n in parts for group in to_groups(w[None, :n], v[None, :n], cell.images)]
    means = [group.mean(METRICS[VALIDATION]) for group in groups]
    index = means.index(min(means))
    return compare_with(groups[index], groups, METRICS[VALIDATION], question, looks=planned), index


def _has_wrong_verdict(cell: Cell, tests: Tests, reference: int) -> bool:
    last = cell.configurations - 1
    for index, significance in enumerate(tests.results):
        if significance is not None and significance.verdict in {"better", "worse"}:
            truth = cell.effect * ((index == last) - (reference == last))
            if not truth or (truth < 0) != (significance.verdict == "better"):
                return True
    return False


def _is_found(tests: Tests, index: int) -> bool:
    """Return whether a configuration is called better or worse, or is the best and distinguished from all others."""
    significance = tests.results[index]
    if significance is not None:
        return significance.significant
    return all(one is None or one.significant for one in tests.results)


def rows_of(cells: dict[tuple[Cell, Question], Procedure]) -> Iterator[str]:
    """The lines of the table: for each number of configurations and question, over all cells without a difference."""
    yield "| configurations | question | false alarms %, worst cell | seeds, mean |"
    yield "| --- | --- | --- | --- |"
    groups: dict[tuple[int, Question], list[Procedure]] = {}
    for (cell, question), result in cells.items():
        if not cell.effect:
            groups.setdefault((cell.configurations, question), []).append(result)
    for (configurations, question), results in groups.items():
        worst = max(result.alarms / result.tables for result in results)
        seeds = np.mean([np.mean(result.seeds) for result in results])
        yield f"| {configurations} | {question} | {100 * worst:.1f} | {seeds:.1f} |"
    yield ""
    yield "| configurations | error % | difference | found % | seeds, mean | found % with all 20 seeds at once |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for (cell, _), result in cells.items():
        if cell.effect:
            shares = [f"{100 * count / result.tables:.0f}" for count in (result.found, result.found_at_once)]
            texts = [cell.configurations, f"{100 * cell.error:g}", cell.effect, shares[0], f"{np.mean(result.seeds):.1f}"]
            yield "| " + " | ".join(map(str, [*texts, shares[1]])) + " |"


def main() -> int:
    """Simulate, print, and return 1 if a cell has too many false alarms."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tables", type=int, default=2000)
    parser.add_argument("--configurations", type=int, nargs="*", default=CONFIGURATIONS)
    parser.add_argument("--manual", action="store_true")
    arguments = parser.parse_args()
    none = product(arguments.configurations, ERRORS, IMAGES, [0.0], QUESTIONS)
    some = [
        (k, error, IMAGES[-1], effect, QUESTIONS[0])
        for k, (error, effects) in product(arguments.configurations, EFFECTS.items())
        for effect in effects
    ]
    results: dict[tuple[Cell, Question], Procedure] = {}
    bound, met = upper_bound(arguments.tables), True
    for configurations, error, images, effect, question in [*none, *some]:
        cell = Cell(configurations, MAX_SEEDS, error, images, effect)
        tables = max(arguments.tables // 4, 1) if effect else arguments.tables
        found = results[cell, question] = simulate(cell, tables, beta_binomial, question)
        share = found.alarms / found.tables
        met &= share <= (bound if tables == arguments.tables else upper_bound(tables))
        print(cell, question, f"false alarms {100 * share:.1f} %, seeds {np.mean(found.seeds):.1f}", flush=True)
    print(*rows_of(results), sep="\n")
    if arguments.manual:
        replace_between(*TABLES["statistics-looks"], "\n".join(rows_of(results)))
    print("every bar is met" if met else "A BAR IS MISSED", file=sys.stderr)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
