"""`python -m mnist_exp.sweep.node TIMEOUT CORES RUN...`: one job of a sweep on a node of a cluster.

In a Slurm array each element trains the run with its index. SIGTERM, with which a cluster ends a job, stops the training so
that it can be resumed.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from mnist_exp.machine.cores import CORES
from mnist_exp.runs.run import Run
from mnist_exp.sweep.supervisor import Supervisor


def main(arguments: list[str]) -> int:
    """Train one of the runs; its status is the result."""
    timeout, cores, *directories = arguments
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    train(directories[int(os.environ.get("SLURM_ARRAY_TASK_ID", "0"))], float(timeout) or None, int(cores), stop)
    return 0


def train(directory: str, timeout: float | None, cores: int, stop: threading.Event | None = None) -> None:
    """Train a run in a process of its own, until it ends, `stop` is set or the parent process exits."""
    supervisor, parent = Supervisor({CORES: str(cores)}), os.getppid()
    try:
        supervisor.train(
            Run(Path(directory)), timeout, lambda: os.getppid() != parent or (stop is not None and stop.is_set())
        )
    finally:
        supervisor.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
