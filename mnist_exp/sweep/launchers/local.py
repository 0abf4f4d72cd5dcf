"""This machine: one process, or several among which its cores or GPUs are divided."""

import os
import queue
import threading
from collections.abc import Sequence
from concurrent import futures
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor
from pathlib import Path

from mnist_exp.config.execution import BasicLauncherConfig, JoblibLauncherConfig
from mnist_exp.config.schema import Experiment, SweepConfig
from mnist_exp.errors import UserError
from mnist_exp.machine import devices
from mnist_exp.run.names import Run
from mnist_exp.sweep.supervisor import Worker
from mnist_exp.terminal import messages

MEMORY_OF_A_WORKER = 1_200_000_000  # bytes: TensorFlow, the digits and a model of millions of weights
MEMORY = Path("/proc/meminfo")


class Local:
    """Processes of this machine, each watched by a thread."""

    def __init__(self, workers: Sequence[Worker], settings: SweepConfig) -> None:
        """Take over the workers, which start when there is work.

        Args:
            workers: one for each run that is to be in training at once.
            settings: for the seconds that a run may take, and what a failure means for those that wait.
        """
        self.parallel_jobs = len(workers)
        # The next one is prepared already, so that no worker waits for it; unless a failure is to stop it.
        self.queue_limit = len(workers) + (settings.on_failure == "continue")
        self.peak_memory: int | None = None
        self._workers = workers
        self._timeout = settings.job_timeout
        self._stop = threading.Event()
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for worker in workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(len(workers))
        self._runs: dict[Future[int | None], Run] = {}

    def submit(self, jobs: Sequence[Run]) -> None:
        """Have these trained."""
        for run in jobs:
            self._runs[self._threads.submit(self._train, run)] = run

    def wait(self, seconds: float) -> dict[Run, str | None]:
        """What ended, as soon as something has or after so many seconds; a run of this machine is never lost."""
        done, _ = futures.wait(self._runs, seconds, FIRST_COMPLETED)
        found: dict[Run, str | None] = {}
        for future in done:
            run = self._runs.pop(future)
            found[run] = None
            try:
                self.peak_memory = max(self.peak_memory or 0, future.result() or 0)
            except CancelledError:
                continue
            except (UserError, OSError) as error:  # its directory is gone, or the machine has no room for a process
                found[run] = error.cause if isinstance(error, UserError) else str(error)
        return found

    def cancel_waiting(self) -> None:
        """Begin nothing more."""
        for future in self._runs:
            future.cancel()

    def close(self) -> None:
        """End the processes."""
        self._stop.set()
        try:
            self._threads.shutdown(wait=True, cancel_futures=True)
        except BaseException:  # a second signal
            for worker in self._workers:
                worker.kill()
            raise
        for worker in self._workers:
            worker.end()

    def _train(self, run: Run) -> int | None:
        if self._stop.is_set():
            return None
        worker = self._idle.get()
        try:
            return worker.train(run, self._timeout, self._stop, needs_parent=False)
        finally:
            self._idle.put(worker)


def build(config: BasicLauncherConfig | JoblibLauncherConfig, experiment: Experiment) -> Local:
    """One worker on all of the machine, or several, each on its part."""
    if isinstance(config, BasicLauncherConfig):
        return Local([Worker()], experiment.sweep)
    gpus = _gpus(experiment.device)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    per_gpu = experiment.sweep.jobs_per_gpu
    one = experiment.device.startswith("gpu:")  # which all processes then share
    wanted = config.n_jobs or (max(len(gpus), 1) * per_gpu if gpus or one else len(cores) or os.cpu_count() or 1)
    count = wanted if config.n_jobs else min(wanted, _fitting())
    if count < wanted:
        messages.note(f"memory for {count} of {wanted} processes; hydra.launcher.n_jobs={wanted} takes them all the same")
    return Local([_worker(index, count, cores, gpus, per_gpu) for index in range(count)], experiment.sweep)


def _worker(index: int, count: int, cores: Sequence[int], gpus: Sequence[str], per_gpu: int) -> Worker:
    """The worker with that index of so many: as many cores as every other, so that all compute alike, and a GPU if any."""
    each = max(len(cores) // count, 1)
    share = [cores[(index * each + offset) % len(cores)] for offset in range(each)] if cores else []
    environment = {"CUDA_VISIBLE_DEVICES": gpus[index // per_gpu % len(gpus)]} if gpus else {}
    return Worker(environment, frozenset(share))


def _gpus(device: str) -> list[str]:
    """The GPUs to hand out, as CUDA_VISIBLE_DEVICES names them; none where training is not to use them, or names its own."""
    count = devices.gpu_count() or 0
    if device not in {"auto", "gpu"}:
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return (visible.split(",") if visible is not None else [str(index) for index in range(count)])[:count]


def _fitting() -> int:
    """How many workers the memory that is free now has room for, at least one."""
    for line in MEMORY.read_text().splitlines() if MEMORY.exists() else []:
        name, _, amount = line.partition(":")
        if name == "MemAvailable":
            return max(1, int(amount.split()[0]) * 1024 // MEMORY_OF_A_WORKER)
    return os.cpu_count() or 1
