"""What a few repetitions say of their mean."""

import math

import numpy as np
from scipy.special import stdtrit


def mean_interval(values: np.ndarray) -> tuple[float, float] | None:
    """The 95 % interval of a mean percentage, by Student's t; None for a single value, which says nothing of the spread.

    Student 1908, "The probable error of a mean", Biometrika 6:1; cut off at 0 and 100.

    Args:
        values: of the repetitions, in percent, float64 (n,).
    """
    n = len(values)
    if n < 2:
        return None
    half = float(stdtrit(n - 1, 0.975)) * float(values.std(ddof=1)) / math.sqrt(n)
    return max(float(values.mean()) - half, 0.0), min(float(values.mean()) + half, 100.0)
