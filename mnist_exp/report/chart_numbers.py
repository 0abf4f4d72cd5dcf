"""Numbers of a chart: round numbers along an axis, and fewer points for a long curve."""

import math
from itertools import pairwise

import numpy as np

SMALLEST, LARGEST = 1e-300, 1e300  # spans beyond them cannot be divided
LOGARITHMIC_RATIO = 6.0  # a logarithmic axis shows more of numbers that differ by a larger factor


def nice_step(span: float, most: int = 5) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that fits into a span at most `most` times.

    Args:
        span: at least SMALLEST.
        most: the largest number of steps.
    """
    exponent = math.floor(math.log10(span / most))
    sizes = (float(f"{factor}e{exponent}") for factor in (1, 2, 5, 10))
    return next(size for size in sizes if span / size <= most * (1 + 1e-6))  # 0.1 is larger in float32


def needs_log_scale(least: float, greatest: float) -> bool:
    """Return whether an axis with these numbers is logarithmic."""
    return least > 0 and greatest / least > LOGARITHMIC_RATIO


def round_numbers(least: float, greatest: float, log: bool = False) -> list[float]:
    """Return a few round numbers between two values, in ascending order.

    Args:
        least: greater than 0 if `log`.
        greatest: not below `least`.
        log: for a logarithmic axis, fewer of each decade the more decades there are; else at equal distances.
    """
    if log:
        ratio = greatest / least
        factors = (1, 1.5, 2, 3, 5, 7) if ratio < 20 else (1, 2, 5) if ratio < 500 else (1,)
        decades = range(math.floor(math.log10(least)), math.ceil(math.log10(greatest)) + 1)
        numbers = (float(f"{factor}e{decade}") for decade in decades for factor in factors)
        return [number for number in numbers if least <= number <= greatest]
    if greatest - least < SMALLEST:
        return []
    step = nice_step(greatest - least)
    return [float(f"{n * step:.12g}") for n in range(math.ceil(least / step), math.floor(greatest / step) + 1)]


def thin_out(values: np.ndarray, most: int) -> np.ndarray:
    """Select points of a curve that keep its ends and its peaks: the lowest and the highest of each section.

    Args:
        values: float (n,), n ≥ 1.
        most: the largest number of points, at least 4.

    Returns:
        Ascending positions, int64; all of them if n ≤ `most`.
    """
    if len(values) <= most:
        return np.arange(len(values))
    kept = {0, len(values) - 1}
    for low, high in pairwise(np.linspace(0, len(values), most // 2).astype(int).tolist()):
        section = values[low:high]
        kept |= {low + int(section.argmin()), low + int(section.argmax())}
    return np.array(sorted(kept))
