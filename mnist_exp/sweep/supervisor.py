"""The supervisor of a worker, the process that trains: whatever ends the worker becomes the status of its run.

A run that is killed, calls exit, runs out of memory or hangs ends its worker, not the sweep; the next run gets a new worker.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from multiprocessing import connection
from typing import IO, cast

from mnist_exp import config
from mnist_exp.errors import EXIT_FAILED, UserError
from mnist_exp.machine import devices, files
from mnist_exp.machine.cores import usable_cores
from mnist_exp.runs.directory import read_config
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import now, read_record, write_status
from mnist_exp.training import threads
from mnist_exp.training.threads import Pools

GRACE_SECONDS = 10.0  # for a run to write a checkpoint when its worker must end
POLL_SECONDS = 0.2  # between checks for a timeout, an interruption, or the end of the parent process


class Supervisor:
    """Trains one run after the other in a worker, which it starts when it is needed."""

    def __init__(self, environment: Mapping[str, str] | None = None, cores: frozenset[int] = frozenset()) -> None:
        """Set additional environment variables of the worker, and its CPU cores; empty for those of this process."""
        self._environment = environment or {}
        self._cores = cores
        self._worker: Worker | None = None

    def train(self, run: Run, timeout: float | None, must_stop: Callable[[], bool]) -> int:
        """Train a prepared run until it ends; its status is the result.

        Args:
            run: the run.
            timeout: seconds after which the run has failed, with the start of TensorFlow.
            must_stop: whether to end the training early, so that it can be resumed; called several times a second.

        Returns:
            The most memory that the run took, in bytes; 0 if unknown.
        """
        start, peak_memory, failure = time.monotonic(), None, None
        worker = self._worker_for(run)
        try:
            worker.send(run)
            while (peak_memory := worker.receive()) is None and not must_stop():
                if worker.process.poll() is not None:
                    failure = worker.failure()
                    break
                if timeout is not None and time.monotonic() - start > timeout:
                    cause = f"took longer than sweep.job_timeout={timeout:g} s"
                    failure = cause, "increase sweep.job_timeout, or see in the log where it hung"
                    break
        finally:
            if peak_memory is None:
                self.end()
        if failure is not None and not must_stop():  # if it must stop, the worker may have been killed for it
            _write_failure(run, *failure)
        return peak_memory or 0

    def end(self) -> None:
        """End the worker: a run in training first writes a checkpoint, within a grace period."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None

    def kill(self) -> None:
        """End the worker at once; its run can be resumed from the last checkpoint."""
        if (worker := self._worker) is not None:
            worker.process.kill()

    def _worker_for(self, run: Run) -> "Worker":
        """Return the worker; a new one if it has ended, or if its thread pools do not fit the run."""
        pools = self._pools(run)
        if self._worker is not None and (self._worker.process.poll() is not None or self._worker.pools != pools):
            self.end()
        if self._worker is None:
            files.provide_temporary_directory(run.directory)
            self._worker = Worker(self._environment, self._cores, pools)
        return self._worker

    def _pools(self, run: Run) -> set[Pools] | None:
        """Return the thread pools that TensorFlow may create, once per process; None if the configuration cannot be read.

        With `device=auto` on a machine with a GPU, only TensorFlow knows whether it has the libraries to use it.
        """
        try:
            experiment = config.validate(read_config(run))
        except (ValueError, UserError):
            return None  # the worker reports the error
        is_cpu = {experiment.device == "cpu"}
        if experiment.device == "auto":
            is_cpu = {True} if devices.gpu_count() == 0 else {True, False}
        cores, settings = len(self._cores) or usable_cores(), threads.for_run(experiment, run)
        return {threads.pools(settings, experiment.training.batch_size, either, cores) for either in is_cpu}


class Worker:
    """A process that trains."""

    def __init__(self, environment: Mapping[str, str], cores: frozenset[int], pools: set[Pools] | None) -> None:
        self.pools = pools
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the process)
        self.process = subprocess.Popen(  # noqa: S603  (this program)
            [sys.executable, "-P", "-m", "mnist_exp.sweep.worker", *map(str, sorted(cores))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | environment,
            start_new_session=True,  # Ctrl-C in a terminal reaches only this process, which ends the worker itself
        )
        self._requests = cast("IO[bytes]", self.process.stdin)
        self._replies = cast("IO[bytes]", self.process.stdout)

    def send(self, run: Run) -> None:
        """Have a run trained."""
        with contextlib.suppress(BrokenPipeError):  # it has ended; `failure` says why
            self._requests.write(json.dumps(str(run.directory.resolve())).encode() + b"\n")
            self._requests.flush()

    def receive(self) -> int | None:
        """Return the reply, the most memory of the run in bytes, if it comes within `POLL_SECONDS`."""
        line = self._replies.readline() if connection.wait([self._replies.fileno()], POLL_SECONDS) else b""
        return int(line) if line else None

    def failure(self) -> tuple[str, str]:
        """Return why the process ended before its run, and a remedy."""
        code = self.process.wait()
        remedy = "see the log for where it happened"
        if code < 0:
            if -code == signal.SIGKILL:
                remedy = "if memory ran out, reduce the batch size or the network"
            return f"its process was ended by {signal.Signals(-code).name}", remedy
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"its process ended with exit code {code}" + (f": {lines[-1]}" if lines else ""), remedy

    def end(self) -> None:
        """End the process; kill it after the grace period."""
        with contextlib.suppress(OSError):
            self._requests.close()
        try:
            self.process.wait(GRACE_SECONDS + 1)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._replies.close()
        self._errors.close()


def _write_failure(run: Run, cause: str, remedy: str) -> None:
    """Write the status "failed" for a run whose worker could not, unless the run had completed."""
    if read_record(run.directory).summary is not None:
        return
    with files.writing(run.log), run.log.open("a") as log:
        log.write(f"{now()} ERROR {__name__}: {cause}\n")
    write_status(run, "failed", EXIT_FAILED, cause, remedy)
