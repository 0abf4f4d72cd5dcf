"""A process that trains, and the one that watches over it: whatever happens to a run becomes its status.

A run that is killed by the system, ends its process, runs out of memory or hangs ends its worker, not the sweep; the next
run gets a new one.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from typing import Any

from mnist_exp import config
from mnist_exp.errors import EXIT_FAILED, UserError
from mnist_exp.machine import devices, files
from mnist_exp.machine.cores import usable_cores
from mnist_exp.run.directory import read_config
from mnist_exp.run.names import Run
from mnist_exp.run.status import now, read_record, write_status
from mnist_exp.sweep.worker import GRACE_SECONDS
from mnist_exp.training import threads
from mnist_exp.training.threads import Pools

TICK_SECONDS = 0.2  # how soon a timeout, an interruption or the end of the parent is noticed
SEE_LOG = "its log may say where"


class Worker:
    """A process that trains one run after the other; started when there is one, and again when it has ended."""

    def __init__(self, environment: Mapping[str, str] | None = None, cores: frozenset[int] = frozenset()) -> None:
        """Say where it will run.

        Args:
            environment: variables it has beside those of this process.
            cores: the only processors it may use; empty for those of this process.
        """
        self._environment = dict(environment or {})
        self._cores = cores
        self._child: Child | None = None
        self._killed = False

    def train(self, run: Run, timeout: float | None, stop: threading.Event, needs_parent: bool) -> int | None:
        """Train a run to its end, or until `stop` is set; its status says how it ended.

        Args:
            run: a prepared run.
            timeout: seconds after which it is ended and has failed; starting TensorFlow is part of them.
            stop: brings the run to a state from which it can be resumed.
            needs_parent: whether the end of the process that started this one does so too.

        Returns:
            The most memory that the run took, in bytes, where that can be told.
        """
        began, parent = time.monotonic(), os.getppid()
        child = self._suited(run)
        try:
            child.order(run)
            while (reply := child.reply()) is None and child.process.poll() is None:
                late = timeout is not None and time.monotonic() - began > timeout
                if late or stop.is_set() or (needs_parent and os.getppid() != parent):
                    self.end()
                    if late:
                        cause = f"took longer than sweep.job_timeout={timeout:g} s"
                        _write_failure(run, cause, "give it more time, or look in its log for where it hung")
                    return None
        except BaseException:
            self.end()
            raise
        if reply is None:
            if not self._killed:
                _write_failure(run, *child.obituary())
            self.end()
            return None
        return reply.get("peak_memory")

    def end(self) -> None:
        """End the process: with a run in training, when its state is kept; after a grace, at once."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def kill(self) -> None:
        """End the process at once; what it trained goes on from its last epoch."""
        self._killed = True
        if (child := self._child) is not None:
            child.process.kill()

    def _suited(self, run: Run) -> "Child":
        """The process, a new one if there is none or TensorFlow's thread pools in it do not suit the run."""
        pools = self._pools(run)
        if self._child is not None and (self._child.process.poll() is not None or self._child.pools != pools):
            self.end()
        if self._child is None:
            self._child = Child(self._environment, self._cores, pools)
        return self._child

    def _pools(self, run: Run) -> Pools | None:
        """What TensorFlow, which does so once, must set up; None if the configuration cannot be read."""
        try:
            experiment = config.validate(read_config(run))
        except (ValueError, UserError):
            return None  # the worker tells what is wrong
        is_cpu = experiment.device == "cpu" or (experiment.device == "auto" and devices.gpu_count() == 0)
        asked = threads.for_run(experiment, run)
        cores = len(self._cores) or usable_cores()
        return threads.pools(asked, experiment.training.batch_size, is_cpu, cores)


class Child:
    """One such process, alive or not."""

    def __init__(self, environment: Mapping[str, str], cores: frozenset[int], pools: Pools | None) -> None:
        self.pools = pools
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the process)
        self.process = subprocess.Popen(  # noqa: S603  (this very program)
            [sys.executable, "-P", "-m", "mnist_exp.sweep.worker", *map(str, sorted(cores))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | environment,
            start_new_session=True,  # Ctrl-C in a terminal reaches this process alone, which ends the other in its way
        )
        if self.process.stdin is None or self.process.stdout is None:
            raise ValueError("a process with pipes has none")
        self._orders, self._replies = self.process.stdin, self.process.stdout
        self._ready = selectors.DefaultSelector()
        self._ready.register(self._replies, selectors.EVENT_READ)

    def order(self, run: Run) -> None:
        """Have a run trained."""
        with contextlib.suppress(BrokenPipeError):  # it has ended: its exit code tells
            self._orders.write(json.dumps(str(run.directory.resolve())).encode() + b"\n")
            self._orders.flush()

    def reply(self) -> dict[str, Any] | None:
        """What was said within a tick."""
        line = self._replies.readline() if self._ready.select(TICK_SECONDS) else b""
        return dict(json.loads(line)) if line else None

    def obituary(self) -> tuple[str, str]:
        """Why the process ended before the run did, and what to do."""
        code = self.process.wait()
        if code < 0:
            name = signal.Signals(-code).name
            remedy = "if memory ran out, make the batch or the network smaller" if -code == signal.SIGKILL else SEE_LOG
            return f"its process was ended by {name}", remedy
        self._errors.seek(0)
        told = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"its process ended with exit code {code}" + (f": {told[-1]}" if told else ""), SEE_LOG

    def end(self) -> None:
        """Let it end, or end it."""
        with contextlib.suppress(OSError):
            self._orders.close()
        try:
            self.process.wait(GRACE_SECONDS + 1)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._ready.close()
        self._replies.close()
        self._errors.close()


def _write_failure(run: Run, cause: str, remedy: str) -> None:
    """Say for a process that could not that its run failed; unless it had completed it."""
    if read_record(run.directory).summary is not None:
        return
    with files.writing(run.log), run.log.open("a") as log:
        log.write(f"{now()} ERROR {__name__}: {cause}\n")
    write_status(run, "failed", EXIT_FAILED, cause, remedy)
