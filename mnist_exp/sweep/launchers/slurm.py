"""The launcher of a Slurm cluster: arrays of jobs, submitted with sbatch and followed with squeue."""

import hashlib
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence

from mnist_exp.config.hydra_settings import SlurmLauncherConfig
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import EXIT_FAILED, EnvironmentFailure
from mnist_exp.machine import files
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import read_record, write_status
from mnist_exp.sweep.launchers.launcher import Launcher
from mnist_exp.sweep.plan import Sweep
from mnist_exp.terminal import messages

POLL_SECONDS = 2.0
COMMAND_SECONDS = 60.0  # for a busy controller; an unreachable one is reported after 9
MAX_ARRAY = 1000  # jobs; Slurm's limit unless its MaxArraySize is raised
SIGNAL_SECONDS = 60  # before its time limit, a job is signalled to write a checkpoint
CANCEL_SECONDS = 40.0  # KillWait, by default 30, and the time until Slurm notices
ENDED = frozenset(
    {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY"}
    | {"PREEMPTED", "REVOKED", "SPECIAL_EXIT", "TIMEOUT"}
)


class Slurm(Launcher):
    """The jobs of one sweep in Slurm's queue, named after the sweep."""

    def __init__(self, sweep: Sweep, settings: SlurmLauncherConfig, experiment: Experiment) -> None:
        """Cancel the jobs of this sweep that a killed driver left in the queue.

        Raises:
            EnvironmentFailure: Slurm does not answer.
        """
        self.parallel_jobs = settings.array_parallelism
        self.queue_limit = MAX_ARRAY
        self._directory = sweep.slurm.resolve()
        self._settings = settings
        self._timeout = experiment.sweep.job_timeout
        self._name = f"mnist-exp-{hashlib.sha256(os.fsencode(sweep.directory.resolve())).hexdigest()[:16]}"
        self._queued: dict[str, Run] = {}  # by job number and array index, as in 12_3
        self._held: list[Run] = []  # not submitted to Slurm yet
        self._cancelled: list[Run] = []  # never submitted
        self._polled = 0.0
        if not set(self._states().values()) <= ENDED:
            messages.note("cancelling jobs of this sweep that an earlier process left in Slurm's queue")
            self._cancel_all()
        with files.writing(self._directory):
            self._directory.mkdir(exist_ok=True)

    def submit(self, runs: Sequence[Run]) -> None:
        """Queue these runs, or hold them back until there is room; raise EnvironmentFailure if Slurm refuses them."""
        self._held += runs
        self._submit_held()

    def wait(self, seconds: float) -> dict[Run, str | None]:
        """Wait for that many seconds; return the runs that left the queue."""
        time.sleep(seconds)
        ended: dict[Run, str | None] = dict.fromkeys(self._cancelled)
        self._cancelled = []
        if time.monotonic() - self._polled < POLL_SECONDS:
            return ended
        try:
            states = self._states()
        except EnvironmentFailure as failure:
            messages.warning(f"{failure.cause}; asking again")
            return ended
        finally:
            self._polled = time.monotonic()
        for element in list(self._queued):
            state = states.get(element, "COMPLETED")  # squeue no longer lists it
            if state in ENDED:
                run = self._queued.pop(element)
                record = read_record(run.directory)
                if state == "CANCELLED" and record.summary is None and record.status != "waiting":
                    write_status(run, "failed", EXIT_FAILED, "was cancelled in Slurm", "train it again with --retry-failed")
                ended[run] = None if state == "COMPLETED" else f"its job in Slurm ended as {state}"
        self._submit_held()
        return ended

    def cancel_waiting(self) -> None:
        """Remove from the queue what Slurm has not started, and submit nothing more."""
        self._cancelled, self._held = self._held, []
        _output("scancel", "--me", "--state=PENDING", f"--name={self._name}")

    def close(self) -> None:
        """Cancel all jobs of this sweep, and wait for the checkpoints of those in training."""
        if self._queued:
            self._cancel_all()

    def _submit_held(self) -> None:
        """Submit an array; while another is queued, whose limit is its own, only as many jobs as may still start."""
        room = max(self.parallel_jobs - len(self._queued), 0) if self._queued else MAX_ARRAY
        runs, self._held = self._held[:room], self._held[room:]
        if not runs:
            return
        program = [sys.executable, "-P", "-m", "mnist_exp.sweep.node"]
        arguments = [str(self._timeout or 0), str(self._settings.cpus_per_task)]
        directories = [str(run.directory.resolve()) for run in runs]
        script = f"#!/bin/sh\nexec {shlex.join([*program, *arguments, *directories])}\n"
        number = _output("sbatch", "--parsable", *self._options(len(runs)), stdin=script).partition(";")[0]
        self._queued |= {f"{number}_{index}": run for index, run in enumerate(runs)}

    def _options(self, count: int) -> list[str]:
        settings = self._settings
        options = {
            "job-name": self._name,
            "array": f"0-{count - 1}%{settings.array_parallelism}",
            "output": f"{str(self._directory).replace('%', '%%')}/%A_%a.log",
            "signal": f"B:TERM@{SIGNAL_SECONDS}",
            "cpus-per-task": settings.cpus_per_task,
            "time": settings.timeout_min,
            "gpus-per-node": settings.gpus_per_node,
            "mem": None if settings.mem_gb is None else f"{round(settings.mem_gb * 1024)}M",
        }
        options |= settings.model_dump(include={"partition", "account", "qos", "constraint"})
        return [f"--{name}={value}" for name, value in options.items() if value is not None]

    def _states(self) -> dict[str, str]:
        """Return the states of this sweep's jobs that Slurm still lists, by job number and array index."""
        lines = _output("squeue", "--me", "--states=all", "--array", "--noheader", f"--name={self._name}", "--format=%i %T")
        return dict(line.split() for line in lines.splitlines())

    def _cancel_all(self) -> None:
        _output("scancel", "--me", f"--name={self._name}")
        deadline = time.monotonic() + CANCEL_SECONDS
        while time.monotonic() < deadline and not set(self._states().values()) <= ENDED:
            time.sleep(POLL_SECONDS / 4)


def _output(*command: str, stdin: str = "") -> str:
    """Run a command of Slurm and return its output; raise EnvironmentFailure if it fails."""
    try:
        done = subprocess.run(  # noqa: S603  (Slurm's own)
            command, input=stdin, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFailure(f"{command[0]}: {error}", "check that Slurm answers here: sinfo") from None
    if done.returncode:
        cause = f"{command[0]}: {' '.join(done.stderr.split()) or f'exit code {done.returncode}'}"
        raise EnvironmentFailure(cause, "correct the settings of hydra.launcher, or check that Slurm answers here: sinfo")
    return done.stdout.strip()
