"""Planned looks at a comparison whose configurations get further seeds until it is decided.

A test at 5 % that is repeated whenever there are new seeds has more than 5 % false alarms. So the 5 % are divided among
looks that are planned beforehand, and each look has a smaller level: a group sequential design (Jennison & Turnbull 2000,
"Group Sequential Methods with Applications to Clinical Trials").
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from scipy.special import log_ndtr

from mnist_exp.comparison.rows import Row
from mnist_exp.errors import IntegrityError
from mnist_exp.machine.plain_data import UNREADABLE, describe, read_bytes
from mnist_exp.runs.status import first_fault

FILE = "looks.json"  # in the directory of a sweep
FIRST = 3  # seeds, at least, at the first look: two say little about their own spread
GROWTH = 1.6  # of the number of seeds from look to look, about
MAX_SEEDS = 1000
MAX_LOOKS = 20  # in a file; their levels take time, and `plan` plans 13 at most
RESTORE = "restore the file; without it, the levels of the tests are unknown"

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
_GRID = np.concatenate([np.arange(-300.0, -12, 24), np.arange(-12.0, -2, 0.5), np.arange(-2.0, 0, 0.05), [-1e-9]])  # log10
SPENDING_EXPONENT = 3


class Looks(BaseModel):
    """The content of looks.json: the numbers of seeds of a configuration at which the results are compared."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    layout: Annotated[Literal[1], Field(alias="schema")] = 1
    sizes: Annotated[
        tuple[Annotated[int, Field(ge=2, le=MAX_SEEDS)], ...], Field(min_length=1, max_length=MAX_LOOKS, strict=False)
    ]

    @model_validator(mode="after")
    def _is_ascending(self) -> "Looks":
        if list(self.sizes) != sorted(set(self.sizes)):
            raise ValueError("sizes: must increase")
        return self

    @property
    def max_seeds(self) -> int:
        return self.sizes[-1]

    def look(self, seeds: int) -> int:
        """Return the number of the look, from 1, when the largest group has that many seeds."""
        return min(bisect_left(self.sizes, seeds), len(self.sizes) - 1) + 1

    def level(self, look: int, level: float) -> float:
        """Return the level of the test at a look, for a level of all looks together."""
        alphas, levels = self._table
        return math.exp(float(np.interp(math.log(level), alphas, levels[look - 1])))

    def corrected(self, look: int, p: float) -> float:
        """Return the p-value of all looks together: the smallest level at which this look would find the difference.

        Jennison & Turnbull 1984, "Repeated confidence intervals for group sequential clinical trials", Controlled Clinical
        Trials 5:33. It is valid at every look, whether the comparison stops there or not.
        """
        alphas, levels = self._table
        return math.exp(float(np.interp(math.log(p), levels[look - 1], alphas)))

    @cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        return _table(self.sizes)


def plan(first: int, max_seeds: int) -> Looks:
    """Plan looks from a first number of seeds to a last one, in about equal ratios."""
    first = min(max(first, FIRST), max_seeds)
    steps = max(round(math.log(max_seeds / first) / math.log(GROWTH)), 1)
    sizes = {round(first * (max_seeds / first) ** (step / steps)) for step in range(steps + 1)}
    return Looks(sizes=tuple(sorted(sizes)))


def read(path: Path) -> Looks | None:
    """Read looks.json; None if there is none.

    Raises:
        IntegrityError: it is damaged.
    """
    try:
        return Looks.model_validate_json(read_bytes(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError as error:
        raise IntegrityError(f"{path}: {first_fault(error)}", RESTORE) from None
    except UNREADABLE as error:
        raise IntegrityError(f"{path}: {describe(error)}", RESTORE) from None


def of_sweeps(rows: Iterable[Row]) -> Looks | None:
    """Return the looks that were planned for the sweeps of some runs: those with the most looks; None if there are none.

    Raises:
        IntegrityError: a file with the planned looks is damaged.
    """
    found = [read(directory / FILE) for directory in {row.record.directory.parent for row in rows}]
    return max(
        (looks for looks in found if looks is not None), key=lambda looks: (len(looks.sizes), looks.sizes), default=None
    )


@cache
def _table(sizes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return logarithms of levels of all looks together, ascending, and those of the levels of each look, (looks, levels).

    With the share t of the seeds, t³ of the level is spent (Kim & DeMets 1987, "Design and analysis of group sequential
    tests based on the type I error spending rate function", Biometrika 74:149), nearly as with the boundaries of O'Brien and
    Fleming: most is left for the last look. The estimated difference times the number of seeds is taken as a Brownian motion
    whose time is the number of seeds, with two-sided boundaries (Armitage, McPherson & Rowe 1969, "Repeated significance
    tests on accumulating data", Journal of the Royal Statistical Society A 132:235). Images make a part of the variance that
    is the same at all looks: then the looks are more similar to each other, and there are fewer false alarms. The boundaries
    are used as levels of tests with few degrees of freedom (Jennison & Turnbull 2000, section 3.8).
    """
    shares = np.array(sizes) / sizes[-1]
    parts = np.diff(shares**SPENDING_EXPONENT, prepend=0)
    result = np.empty((len(sizes), len(_GRID)))
    for column, level in enumerate(10.0**_GRID):
        nodes, density, before = np.zeros(1), np.ones(1), 0.0  # of the paths that no look has stopped, with their weights
        for look, (share, spent) in enumerate(zip(shares, level * parts, strict=True)):
            deviation = math.sqrt(share - before)
            low, high = 0.0, 40 * math.sqrt(share)
            for _ in range(50):  # find the boundary that as many of these paths cross as may be spent
                middle = (low + high) / 2
                tails = np.logaddexp(log_ndtr((nodes - middle) / deviation), log_ndtr((-nodes - middle) / deviation))
                crossing = math.log(density @ np.exp(tails - tails.max())) + tails.max()
                low, high = (middle, high) if crossing > math.log(spent) else (low, middle)
            result[look, column] = math.log(2) + float(log_ndtr(-high / math.sqrt(share)))
            ends = high * _NODES
            kernel = np.exp(-0.5 * ((ends[:, None] - nodes) / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))
            nodes, density, before = ends, high * _WEIGHTS * (kernel @ density), share
    return _GRID * math.log(10), result
