"""The launchers of this machine: one worker, or several that share its cores or GPUs."""

import os
import queue
import threading
from collections.abc import Sequence
from concurrent import futures

from mnist_exp.config.hydra_settings import BasicLauncherConfig, JoblibLauncherConfig
from mnist_exp.config.schema import Experiment, SweepConfig
from mnist_exp.errors import UserError
from mnist_exp.machine import devices, memory
from mnist_exp.machine.cores import usable_cores
from mnist_exp.runs.run import Run
from mnist_exp.sweep.launchers.launcher import Launcher
from mnist_exp.sweep.supervisor import Supervisor
from mnist_exp.terminal import messages

MEMORY_OF_A_WORKER = 1_200_000_000  # bytes: TensorFlow, the images and a model of millions of weights


class Local(Launcher):
    """Workers on this machine, each with a supervisor in a thread."""

    def __init__(self, supervisors: Sequence[Supervisor], settings: SweepConfig) -> None:
        self.parallel_jobs = len(supervisors)
        # One more job is prepared in advance, so that no worker waits for it; not if a failure must stop the sweep.
        self.queue_limit = len(supervisors) + (settings.on_failure == "continue")
        self._supervisors = supervisors
        self._timeout = settings.job_timeout
        self._stop = threading.Event()
        self._idle: queue.SimpleQueue[Supervisor] = queue.SimpleQueue()
        for supervisor in supervisors:
            self._idle.put(supervisor)
        self._threads = futures.ThreadPoolExecutor(len(supervisors))
        self._runs: dict[futures.Future[int], Run] = {}

    def submit(self, runs: Sequence[Run]) -> None:
        """Have these runs trained."""
        self._runs |= {self._threads.submit(self._train, run): run for run in runs}

    def wait(self, seconds: float) -> dict[Run, str | None]:
        """Wait until a run ends, or for that many seconds."""
        done, _ = futures.wait(self._runs, seconds, futures.FIRST_COMPLETED)
        ended: dict[Run, str | None] = {}
        for future in done:
            run = self._runs.pop(future)
            ended[run] = None
            try:
                self.peak_memory = max(self.peak_memory, future.result())
            except futures.CancelledError:
                continue
            except (UserError, OSError) as error:  # its directory is missing, or no process can be started
                ended[run] = error.cause if isinstance(error, UserError) else str(error)
        return ended

    def cancel_waiting(self) -> None:
        """Start no more runs."""
        for future in self._runs:
            future.cancel()

    def close(self) -> None:
        """End the workers."""
        self._stop.set()
        try:
            self._threads.shutdown(wait=True, cancel_futures=True)
        except BaseException:  # a second signal
            for supervisor in self._supervisors:
                supervisor.kill()
            raise
        for supervisor in self._supervisors:
            supervisor.end()

    def _train(self, run: Run) -> int:
        supervisor = self._idle.get()
        try:
            return supervisor.train(run, self._timeout, self._stop.is_set)
        finally:
            self._idle.put(supervisor)


def build(config: BasicLauncherConfig | JoblibLauncherConfig, experiment: Experiment) -> Local:
    """Create the launcher `basic`, with one worker, or `joblib`, with as many as cores or GPUs and memory allow."""
    if isinstance(config, BasicLauncherConfig):
        return Local([Supervisor()], experiment.sweep)
    gpus = _gpus(experiment.device)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    per_gpu = experiment.sweep.jobs_per_gpu
    uses_gpu = bool(gpus) or experiment.device.startswith("gpu:")  # one named GPU is shared by all workers
    wanted = config.n_jobs or (max(len(gpus), 1) * per_gpu if uses_gpu else usable_cores())
    count = wanted if config.n_jobs else _workers_that_fit(wanted)
    if count < wanted:
        messages.note(f"memory for {count} of {wanted} processes; use all with hydra.launcher.n_jobs={wanted}")
    share = max(usable_cores() // count, 1)  # the same for all workers, so that all compute alike
    supervisors = []
    for index in range(count):
        own_cores = {cores[(index * share + offset) % len(cores)] for offset in range(share)} if cores else set()
        environment = {"CUDA_VISIBLE_DEVICES": gpus[index // per_gpu % len(gpus)]} if gpus else {}
        supervisors.append(Supervisor(environment, frozenset(own_cores)))
    return Local(supervisors, experiment.sweep)


def _gpus(device: str) -> list[str]:
    """Return the GPUs to distribute, as in CUDA_VISIBLE_DEVICES; empty if training uses none, or one that is named."""
    if device not in {"auto", "gpu"}:
        return []
    count = devices.gpu_count() or 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return (visible.split(",") if visible is not None else [str(index) for index in range(count)])[:count]


def _workers_that_fit(wanted: int) -> int:
    """Return how many of these workers fit into the available memory, at least one."""
    available = memory.available_bytes()
    return wanted if available is None else min(wanted, max(1, available // MEMORY_OF_A_WORKER))
