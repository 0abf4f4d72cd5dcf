"""`python -m mnist_exp.sweep.node RUN...`: one job of a sweep on a machine of a cluster.

As an element of an array job it trains the run with its number. SIGTERM, with which a cluster ends a job, brings the run to
a state from which it can be resumed.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from mnist_exp.machine.cores import CORES
from mnist_exp.run.names import Run
from mnist_exp.sweep.supervisor import Worker


def main(arguments: list[str]) -> int:
    """Train one of the runs; how that went stands in its directory."""
    timeout, cores, *directories = arguments
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    train(Path(directories[int(os.environ.get("SLURM_ARRAY_TASK_ID", "0"))]), float(timeout) or None, int(cores), stop)
    return 0


def train(directory: Path, timeout: float | None, cores: int, stop: threading.Event) -> None:
    """Train a run in a process of its own, on so many cores.

    Raises:
        KeyboardInterrupt: by the cluster; the run has kept its state.
    """
    worker = Worker({CORES: str(cores)})
    try:
        worker.train(Run(directory), timeout, stop, needs_parent=True)
    finally:
        worker.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
