"""The number of CPU cores that this process may use."""

import os

from mnist_exp.errors import InputError
from mnist_exp.machine import cgroups

CORES = "MNIST_EXP_CORES"  # environment variable: the number of cores assigned to this process


def usable_cores() -> int:
    """Return the number of cores that this process may run on: by its affinity, its control group and its cluster.

    Raises:
        InputError: MNIST_EXP_CORES is not a positive integer.
    """
    present = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(present, cgroups.cpu_limit() or present, assigned_cores() or present)


def assigned_cores() -> int | None:
    """Return the number of cores in MNIST_EXP_CORES; None if it is not set.

    Raises:
        InputError: it is not a positive integer.
    """
    text = os.environ.get(CORES)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise InputError(f"{CORES}={text[:60]!r}: not a number of cores", f"set it to an integer from 1, or: unset {CORES}")
    return int(text)
