"""A Slurm cluster: arrays of jobs through sbatch, followed through squeue.

Submitit is not used: where Slurm keeps no accounts it waits for ever for a job that was lost, and it hands over functions as
pickles. A job here is a directory that a node can see, and what became of it stands there.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence

from mnist_exp.config.execution import SlurmLauncherConfig
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import EXIT_FAILED, EnvironmentFailure
from mnist_exp.machine import files
from mnist_exp.run.names import Run
from mnist_exp.run.status import read_record, write_status
from mnist_exp.sweep.plan import Sweep
from mnist_exp.terminal import messages

POLL_SECONDS = 2.0
COMMAND_SECONDS = 60.0  # for a controller that is busy; one that is gone is told after 9
MOST_AT_ONCE = 1000  # Slurm's arrays end at 1,000 unless its MaxArraySize is raised
SIGNAL_SECONDS = 60  # before its time limit a job is told to keep its state
CANCEL_SECONDS = 40.0  # KillWait, by default 30, and what it takes Slurm to notice
ENDED = frozenset(
    {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY"}
    | {"PREEMPTED", "REVOKED", "SPECIAL_EXIT", "TIMEOUT"}
)
GONE = "GONE"  # what squeue does not name any more


def check() -> None:
    """See that Slurm's commands are there.

    Raises:
        EnvironmentFailure: one is not.
    """
    missing = [name for name in ("sbatch", "squeue", "scancel") if shutil.which(name) is None]
    if missing:
        cause = f"hydra/launcher=submitit_slurm: there is no {missing[0]} on the PATH"
        raise EnvironmentFailure(cause, "start the sweep where Slurm's commands are, such as a login node")


class Slurm:
    """Jobs of one sweep in Slurm's queue, named after the sweep."""

    def __init__(self, sweep: Sweep, settings: SlurmLauncherConfig, experiment: Experiment) -> None:
        """Clear the queue of what a driver that was killed left of this sweep.

        Raises:
            EnvironmentFailure: Slurm is not there, or does not answer.
        """
        check()
        self.parallel_jobs = settings.array_parallelism
        self.queue_limit = MOST_AT_ONCE
        self.peak_memory: int | None = None
        self._directory = sweep.directory.resolve() / "slurm"
        self._settings = settings
        self._timeout = experiment.sweep.job_timeout
        self._name = f"mnist-exp-{hashlib.sha256(os.fsencode(sweep.directory.resolve())).hexdigest()[:16]}"
        self._elements: dict[str, Run] = {}  # by their numbers in the queue, as 12_3
        self._held: list[Run] = []  # not in the queue yet
        self._recalled: list[Run] = []  # that never will be
        self._polled = 0.0
        if not set(self._states().values()) <= ENDED:
            messages.note("jobs that an earlier process of this sweep left in Slurm's queue are taken back")
            self._cancel()
        with files.writing(self._directory):
            self._directory.mkdir(exist_ok=True)

    def submit(self, jobs: Sequence[Run]) -> None:
        """Queue these, or hold them back until there is room.

        Raises:
            EnvironmentFailure: Slurm refuses them.
        """
        self._held += jobs
        self._queue()

    def _queue(self) -> None:
        """Queue what is held back as one array; beside another, whose limit is its own, no more than may run at once."""
        room = self.parallel_jobs - len(self._elements) if self._elements else MOST_AT_ONCE
        queued, self._held = self._held[: max(room, 0)], self._held[max(room, 0) :]
        if not queued:
            return
        directories = [str(run.directory.resolve()) for run in queued]
        node = [
            sys.executable,
            "-P",
            "-m",
            "mnist_exp.sweep.node",
            str(self._timeout or 0),
            str(self._settings.cpus_per_task),
        ]
        script = f"#!/bin/sh\nexec {shlex.join(node + directories)}\n"
        number = _told("sbatch", "--parsable", *self._options(len(queued)), given=script).partition(";")[0]
        self._elements |= {f"{number}_{index}": run for index, run in enumerate(queued)}

    def wait(self, seconds: float) -> dict[Run, str | None]:
        """What left the queue; why, if it was not by its own end."""
        time.sleep(seconds)
        if self._recalled:
            recalled, self._recalled = self._recalled, []
            return dict.fromkeys(recalled)
        if time.monotonic() - self._polled < POLL_SECONDS:
            return {}
        try:
            states = self._states()
        except EnvironmentFailure as failure:
            messages.warning(f"{failure.cause}; asking again")
            return {}
        finally:
            self._polled = time.monotonic()
        found: dict[Run, str | None] = {}
        for element in list(self._elements):
            state = states.get(element, GONE)
            if state in ENDED | {GONE}:
                run = self._elements.pop(element)
                if state == "CANCELLED":
                    _write_cancelled(run)
                found[run] = None if state in {"COMPLETED", GONE} else f"its job in Slurm ended as {state}"
        self._queue()
        return found

    def cancel_waiting(self) -> None:
        """Take out of the queue what Slurm has not started, and queue nothing more."""
        self._recalled, self._held = self._held, []
        _told("scancel", "--me", "--state=PENDING", f"--name={self._name}")

    def close(self) -> None:
        """Take everything of this sweep out of the queue, what is in training when it has kept its state."""
        if self._elements:
            self._cancel()

    def _options(self, count: int) -> list[str]:
        chosen = self._settings
        options = {
            "job-name": self._name,
            "array": f"0-{count - 1}%{chosen.array_parallelism}",
            "output": f"{str(self._directory).replace('%', '%%')}/%A_%a.log",
            "signal": f"B:TERM@{SIGNAL_SECONDS}",
            "cpus-per-task": chosen.cpus_per_task,
            "time": chosen.timeout_min,
            "gpus-per-node": chosen.gpus_per_node,
            "mem": None if chosen.mem_gb is None else f"{round(chosen.mem_gb * 1024)}M",
            "partition": chosen.partition,
            "account": chosen.account,
            "qos": chosen.qos,
            "constraint": chosen.constraint,
        }
        return [f"--{name}={value}" for name, value in options.items() if value is not None]

    def _states(self) -> dict[str, str]:
        """The states of this sweep's jobs that Slurm still knows, by their numbers in the queue."""
        told = _told("squeue", "--me", "--states=all", "--array", "--noheader", f"--name={self._name}", "--format=%i %T")
        return dict(line.split() for line in told.splitlines())

    def _cancel(self) -> None:
        _told("scancel", "--me", f"--name={self._name}")
        deadline = time.monotonic() + CANCEL_SECONDS
        while time.monotonic() < deadline and not set(self._states().values()) <= ENDED:
            time.sleep(POLL_SECONDS / 4)


def _told(*command: str, given: str = "") -> str:
    """What a command of Slurm's prints.

    Raises:
        EnvironmentFailure: it fails, with what it says of that.
    """
    try:
        done = subprocess.run(  # noqa: S603  (Slurm's own)
            command, input=given, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFailure(f"{command[0]}: {error}", "see that Slurm answers here: sinfo") from None
    if done.returncode:
        cause = f"{command[0]}: {' '.join(done.stderr.split()) or f'exit code {done.returncode}'}"
        raise EnvironmentFailure(cause, "mend the settings of hydra.launcher, or see that Slurm answers here: sinfo")
    return done.stdout.strip()


def _write_cancelled(run: Run) -> None:
    """A job that somebody took out of the queue is not to be queued again by itself."""
    record = read_record(run.directory)
    if record.summary is None and record.status != "waiting":
        write_status(run, "failed", EXIT_FAILED, "was cancelled in Slurm", "train it again with --retry-failed")
