"""The number of CPU cores that this process may use."""

import os

CORES = "MNIST_EXP_CORES"  # environment variable: the number of cores assigned to this process


def usable_cores() -> int:
    """Return the number of cores that this process may run on, or that a cluster assigned to it."""
    present = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(present, int(os.environ.get(CORES, present)))
