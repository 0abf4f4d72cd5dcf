"""The number of CPU cores that this process may use."""

import os

CORES = "MNIST_EXP_CORES"  # environment variable: the number of cores assigned to this process, of those it can see


def usable_cores() -> int:
    """The processors that this process may run on, or fewer where a cluster gave it so many."""
    present = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(present, int(os.environ.get(CORES, present)))
