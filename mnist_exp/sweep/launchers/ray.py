"""The launcher of a Ray cluster: one task for each job, supervised on its node."""

import os
import signal
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mnist_exp.config.hydra_settings import RayLauncherConfig
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import EnvironmentFailure
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import read_record
from mnist_exp.sweep import node
from mnist_exp.sweep.launchers.launcher import Launcher

MAX_TASKS = 1000  # submitted at once; a cluster may grow when many wait
CONNECT_SECONDS = 5.0
CANCEL_SECONDS = 15.0  # for runs in training to write a checkpoint


class Ray(Launcher):
    """The tasks of one sweep in a running Ray cluster."""

    def __init__(self, settings: RayLauncherConfig, experiment: Experiment) -> None:
        """Connect to the cluster.

        Raises:
            EnvironmentFailure: no cluster answers at the address, or no node is large enough.
        """
        # Ray would print messages about lost workers, which the sweep reports itself.
        os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS_SKIP_REGEX": "."}
        import ray

        handler = signal.getsignal(signal.SIGTERM)
        address = os.environ.get("RAY_ADDRESS", settings.address) if settings.address == "auto" else settings.address
        try:
            _check_listening(address)
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (OSError, ValueError, RuntimeError) as error:
            cause = f"hydra.launcher.address={address}: {' '.join(str(error).split())}"
            raise EnvironmentFailure(cause, "start a cluster with: ray start --head") from None
        finally:
            signal.signal(signal.SIGTERM, handler)  # Ray's handler would print a traceback
        cpus, gpus = settings.num_cpus, settings.num_gpus
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if not any(resources.get("CPU", 0) >= cpus and resources.get("GPU", 0) >= gpus for resources in nodes):
            ray.shutdown()
            cause = f"hydra/launcher=ray: no node has {cpus} cores and {gpus:g} GPUs for a job"
            raise EnvironmentFailure(cause, "request less, as in hydra.launcher.num_cpus=1, or start a larger node")
        self.parallel_jobs = max(int(ray.cluster_resources().get("CPU", 1)) // cpus, 1)
        self.queue_limit = MAX_TASKS
        self._ray = ray
        self._arguments = experiment.sweep.job_timeout, cpus
        self._train = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(node.train)
        self._runs: dict[Any, Run] = {}
        # Ray is called in a thread of its own: a signal must not raise an exception within its C++ code.
        self._thread = ThreadPoolExecutor(1)

    def submit(self, runs: Sequence[Run]) -> None:
        """Have these runs trained."""
        self._runs |= {self._train.remote(str(run.directory.resolve()), *self._arguments): run for run in runs}

    def wait(self, seconds: float) -> dict[Run, str | None]:
        """Wait until a run ends, or for that many seconds."""
        ended = self._thread.submit(self._wait, seconds).result() if self._runs else {}
        return {self._runs.pop(task): loss for task, loss in ended.items()}

    def cancel_waiting(self) -> None:
        """Cancel the tasks that no node has started."""
        for task, run in self._runs.items():
            if read_record(run.directory).status == "waiting":
                self._ray.cancel(task)

    def close(self) -> None:
        """Cancel the remaining tasks, wait for their checkpoints, and disconnect."""
        for task in self._runs:
            self._ray.cancel(task)
        deadline = time.monotonic() + CANCEL_SECONDS
        while self._runs and time.monotonic() < deadline:
            self.wait(deadline - time.monotonic())
        self._thread.shutdown()
        self._ray.shutdown()

    def _wait(self, seconds: float) -> dict[Any, str | None]:
        """Wait for a task to end; return the cause if it was lost."""
        done, _ = self._ray.wait(list(self._runs), num_returns=1, timeout=seconds)
        ended: dict[Any, str | None] = dict.fromkeys(done)
        for task in done:
            try:
                self._ray.get(task)
            except self._ray.exceptions.RayError as error:
                ended[task] = f"Ray: {str(error).partition(chr(10))[0]}"
        return ended


def _check_listening(address: str) -> None:
    """Raise OSError if no server listens at the address: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.rpartition("/")[2], int(port)), CONNECT_SECONDS).close()
