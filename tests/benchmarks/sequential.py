"""False alarms, power and trained seeds of sweeps that continue until they are decided, in simulated tables.

Run with `make statistics ARGS=--sequential`. At each look, the configurations that are open get further seeds, as in
`mnist-exp resume SWEEP --until-decided`; a false verdict at any look counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mnist_exp.comparison import looks
from mnist_exp.comparison.looks import Looks
from mnist_exp.comparison.ranking import Comparison, compare
from mnist_exp.comparison.rows import Row
from mnist_exp.comparison.significance import Question
from mnist_exp.run.summary import Summary
from tests.benchmarks.statistics import Cell, Draw, to_rows

FIRST, MAX_SEEDS = 3, 20


@dataclass
class Procedure:
    """Counts over the tables of a cell."""

    tables: int = 0
    alarms: int = 0  # tables with a wrong verdict at any look
    found: int = 0  # tables in which the last configuration is decided, at the last look
    found_fixed: int = 0  # the same if all configurations have all seeds from the start
    seeds: list[float] = field(default_factory=list)  # trained for a configuration, mean of a table


def simulate(cell: Cell, tables: int, draw: Draw, template: Summary, question: Question = "new images") -> Procedure:
    """Continue many tables until they are decided or have all seeds; `cell.seeds` is the largest number of seeds."""
    generator = np.random.default_rng([1, cell.configurations, cell.images, int(1e4 * cell.error)])
    planned, result = looks.plan(FIRST, cell.seeds), Procedure()
    for _ in range(tables):
        wrong, validation = draw(cell, question, generator)
        rows = np.array(to_rows(wrong, validation, cell.images, template), object).reshape(wrong.shape[:2])
        alarm, seeds, board = until_decided(cell, rows, planned, question)
        result.tables += 1
        result.alarms += alarm
        result.seeds.append(float(np.mean(seeds)))
        if cell.effect:
            result.found += _found(cell, board)
            result.found_fixed += _found(cell, compare(rows.ravel().tolist(), question=question))
    return result


def until_decided(
    cell: Cell, rows: np.ndarray, planned: Looks, question: Question
) -> tuple[bool, Sequence[int], Comparison]:
    """Return whether a verdict at any look is wrong, the trained seeds of each configuration, and the last comparison.

    Args:
        rows: runs, (configurations, seeds).
    """
    seeds = [planned.sizes[0]] * len(rows)
    alarm = False
    for next_size in (*planned.sizes[1:], None):
        trained: list[Row] = [row for configuration, n in zip(rows, seeds, strict=True) for row in configuration[:n]]
        board = compare(trained, question=question, planned=planned)
        alarm |= has_wrong_verdict(cell, board)
        if not board.open_groups or next_size is None:
            break
        for group in board.open_groups:
            seeds[_number(group.rows[0])] = next_size
    return alarm, seeds, board


def has_wrong_verdict(cell: Cell, board: Comparison) -> bool:
    """Return whether a configuration is called better or worse that is not."""
    last = cell.configurations - 1
    for line in board.lines:
        if line.significance is None or line.significance.verdict not in {"better", "worse"} or board.reference is None:
            continue
        truth = cell.effect * ((_number(line.group.rows[0]) == last) - (_number(board.reference.rows[0]) == last))
        if not truth or (truth < 0) != (line.significance.verdict == "better"):
            return True
    return False


def _found(cell: Cell, board: Comparison) -> bool:
    last = cell.configurations - 1
    lines = [line for line in board.lines if line.significance and line.significance.significant]
    return any(_number(line.group.rows[0]) == last for line in lines)


def _number(row: Row) -> int:
    return int(row.name.partition("_")[0])
