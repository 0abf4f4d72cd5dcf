"""A Ray cluster: one task for each job, watched on the node it runs on."""

import importlib.util
import os
import signal
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mnist_exp.config.execution import RayLauncherConfig
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import EnvironmentFailure
from mnist_exp.run.names import Run
from mnist_exp.run.status import read_record
from mnist_exp.sweep import node

MOST_AT_ONCE = 1000  # tasks that wait in the cluster; it may grow when there are many
KNOCK_SECONDS = 5.0
CANCEL_SECONDS = 15.0  # for runs in training to keep their states


def check() -> None:
    """See that Ray is installed.

    Raises:
        EnvironmentFailure: it is not.
    """
    if importlib.util.find_spec("ray") is None:
        raise EnvironmentFailure("hydra/launcher=ray: Ray is not installed", "pip install 'mnist-exp[ray]'")


class Ray:
    """Tasks of one sweep in a Ray cluster that is running."""

    def __init__(self, settings: RayLauncherConfig, experiment: Experiment) -> None:
        """Join the cluster.

        Raises:
            EnvironmentFailure: Ray is not installed, or there is no cluster at the address.
        """
        # Ray prints what it thinks of lost workers; the sweep tells of them in its own way.
        os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS_SKIP_REGEX": "."}
        check()
        import ray

        handler = signal.getsignal(signal.SIGTERM)
        address = os.environ.get("RAY_ADDRESS", settings.address) if settings.address == "auto" else settings.address
        try:
            _knock(address)
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (OSError, ValueError, RuntimeError) as error:
            cause = f"hydra.launcher.address={address}: {' '.join(str(error).split())}"
            raise EnvironmentFailure(cause, "start a cluster with: ray start --head") from None
        finally:
            signal.signal(signal.SIGTERM, handler)  # Ray's own would print a stack
        self._ray = ray
        if not any(_suits(node["Resources"], settings) for node in ray.nodes() if node["Alive"]):
            ray.shutdown()
            cause = f"hydra/launcher=ray: no node has {settings.num_cpus} cores and {settings.num_gpus:g} GPUs for a job"
            raise EnvironmentFailure(cause, "ask for less: hydra.launcher.num_cpus=1, or start a larger node")
        self.parallel_jobs = max(int(ray.cluster_resources().get("CPU", 1)) // settings.num_cpus, 1)
        self.queue_limit = MOST_AT_ONCE
        self.peak_memory: int | None = None
        self._timeout = experiment.sweep.job_timeout
        self._cores = settings.num_cpus
        self._train = ray.remote(num_cpus=settings.num_cpus, num_gpus=settings.num_gpus, max_retries=0)(_train)
        self._runs: dict[Any, Run] = {}
        # Ray is asked in a thread of its own: a signal must not raise an exception in the midst of its C++.
        self._asking = ThreadPoolExecutor(1)

    def submit(self, jobs: Sequence[Run]) -> None:
        """Have these trained."""
        for run in jobs:
            self._runs[self._train.remote(str(run.directory.resolve()), self._timeout, self._cores)] = run

    def wait(self, seconds: float) -> dict[Run, str | None]:
        """What ended, as soon as something has or after so many seconds; why it was lost, if it was."""
        if not self._runs:
            return {}
        lost = self._asking.submit(self._wait, seconds).result()
        return {self._runs.pop(task): cause for task, cause in lost.items()}

    def cancel_waiting(self) -> None:
        """Cancel what no node has begun."""
        for task, run in self._runs.items():
            if read_record(run.directory).status == "waiting":
                self._ray.cancel(task)

    def close(self) -> None:
        """Cancel what is left, and leave the cluster when runs in training have kept their states."""
        for task in self._runs:
            self._ray.cancel(task)
        deadline = time.monotonic() + CANCEL_SECONDS
        while self._runs and time.monotonic() < deadline:
            self.wait(deadline - time.monotonic())
        self._asking.shutdown()
        self._ray.shutdown()

    def _wait(self, seconds: float) -> dict[Any, str | None]:
        """The tasks that ended within so many seconds, and why they were lost if they were."""
        done, _ = self._ray.wait(list(self._runs), num_returns=1, timeout=seconds)
        found: dict[Any, str | None] = {}
        for task in done:
            try:
                self._ray.get(task)
                found[task] = None
            except self._ray.exceptions.RayError as error:
                found[task] = f"Ray: {str(error).partition(chr(10))[0]}"
        return found


def _suits(resources: Mapping[str, float], settings: RayLauncherConfig) -> bool:
    return resources.get("CPU", 0) >= settings.num_cpus and resources.get("GPU", 0) >= settings.num_gpus


def _knock(address: str) -> None:
    """See that somebody listens there: Ray itself would go on trying for minutes.

    Raises:
        OSError: nobody does.
    """
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.rpartition("/")[2], int(port)), KNOCK_SECONDS).close()


def _train(directory: str, timeout: float | None, cores: int) -> None:
    """On the node: train a run; how that went stands in its directory."""
    node.train(Path(directory), timeout, cores, threading.Event())
