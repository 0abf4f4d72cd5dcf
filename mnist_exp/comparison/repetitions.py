"""The wrong test images of several seeds of one configuration, counted by image or by group of images."""

from functools import cached_property

import numpy as np

BLOCK = 256  # runs that are unpacked at once


class Repetitions:
    """The wrong test images of several seeds of one configuration.

    Args:
        packed: for each seed a bit for each image, uint8 (S, ⌈N / 8⌉), S ≥ 2; images that are missing at the end are right.
        n: number of images N.
        image_groups: the group of each image from 0 to U − 1, int (N,), such as its writer. Then groups are drawn instead of
            images, and the errors of a group are one observation (Obuchowski 1998, "On the comparison of correlated
            proportions for clustered data", Statistics in Medicine 17:1495). None: each image is a group, and U is N.
    """

    def __init__(self, packed: np.ndarray, n: int, image_groups: np.ndarray | None = None) -> None:
        self.packed, self.n, self.seeds = packed, n, len(packed)
        self.counts: np.ndarray | None = None
        """The errors of each seed in each group of images, int64 (S, U); None without groups."""
        self.sizes: np.ndarray | None = None
        """The number of images of each group, int64 (U,)."""
        if image_groups is None:
            self.units = n
        else:
            self.sizes = np.bincount(image_groups)
            self.units = len(self.sizes)
            wrong = (np.unpackbits(bits, count=n).astype(bool) for bits in packed)
            self.counts = np.stack([np.bincount(image_groups[bits], minlength=self.units) for bits in wrong])

    @cached_property
    def errors(self) -> np.ndarray:
        """The errors of each seed, int64 (S,)."""
        return np.bitwise_count(self.packed).sum(1, dtype=np.int64)  # type: ignore[no-any-return]

    @cached_property
    def squares(self) -> float:
        """The sum of the squares of the errors of each seed on each image or group."""
        return float(self.errors.sum() if self.counts is None else np.square(self.counts).sum())

    @cached_property
    def per_unit(self) -> np.ndarray:
        """The number of errors of all seeds on each image or group, (U,); two single networks are compared without it."""
        if self.counts is not None:
            return self.counts.sum(0)  # type: ignore[no-any-return]
        known = min(self.n, 8 * self.packed.shape[1])
        per_unit = np.zeros(known, np.uint32)
        for start in range(0, self.seeds, BLOCK):
            per_unit += np.unpackbits(self.packed[start : start + BLOCK], axis=1, count=known).sum(0, dtype=np.uint32)
        return per_unit.astype(np.min_scalar_type(self.seeds))

    @property
    def image_groups(self) -> int | None:
        """The number of groups of images; None if each image is one."""
        return None if self.sizes is None else self.units

    @cached_property
    def variance(self) -> float:
        """The variance of the errors over seeds."""
        return variance_of(self.errors)

    @cached_property
    def residual(self) -> float:
        """The part of the variance over seeds that finite test images make.

        With infinitely many images, only the rest would remain: Jordan 2023, "Calibrated chaos: variance between runs of
        neural network training is harmless and inevitable", arXiv:2304.01910.
        """
        within = self.squares - float(np.square(self.per_unit, dtype=np.float64).sum()) / self.seeds
        return residual_variance(within, self.variance, self.seeds, self.units)


def variance_of(errors: np.ndarray) -> float:
    """Return the unbiased variance of whole numbers, without rounding errors but the last."""
    n, total = len(errors), int(errors.sum())
    return (n * int(errors @ errors) - total * total) / (n * (n - 1))


def residual_variance(within: float, variance: float, seeds: int, units: int) -> float:
    """Return U times the mean square of the residual, from the sum of squares within images or groups of images."""
    return max(within - (seeds - 1) * variance / units, 0.0) / ((seeds - 1) * (units - 1)) * units
