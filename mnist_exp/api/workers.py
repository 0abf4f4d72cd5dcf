"""Trains runs for Python: each in a process of its own, as the jobs of a sweep, so that the result is that of the command.

TensorFlow accepts thread pools, deterministic operations and a data type once in a process, for everything that it computes
there. A user's process may have used it already, with other settings, and must keep them.
"""

import contextlib
import io
import os
import shlex
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from mnist_exp.api.names import checked_overrides
from mnist_exp.api.progress import Follower
from mnist_exp.commands import extension
from mnist_exp.commands import resume as resume_command
from mnist_exp.commands import resume_sweep as resume_sweep_command
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import EXIT_DONE, Interrupted, RunInterrupted, UserError, class_of
from mnist_exp.machine import files
from mnist_exp.runs.lock import lock_run
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import FAILED, read_record, write_status
from mnist_exp.sweep import leaderboard, plan
from mnist_exp.sweep.plan import Sweep
from mnist_exp.sweep.supervisor import Supervisor
from mnist_exp.terminal.messages import pluralize
from mnist_exp.tracking.uploader_process import upload_in_background
from mnist_exp.training.progress import STEPS_FILE


def train(directory: Path, experiment: Experiment) -> None:
    """Train a prepared run in a new process, and raise an error unless it is completed.

    Raises:
        UserError: the run failed; the class says why.
        RunInterrupted: by KeyboardInterrupt, or the process was ended from outside.
    """
    run = Run(directory)
    files.provide_temporary_directory(directory)
    try:
        with (
            tempfile.TemporaryDirectory() as temporary,
            upload_in_background(directory, run.log, experiment.tracker),
            Follower(run, experiment, steps := Path(temporary) / "steps.json") as follower,
        ):
            supervisor = Supervisor({STEPS_FILE: str(steps)})
            try:
                supervisor.train(run, None, follower.follow)
            finally:
                supervisor.end()
    except (KeyboardInterrupt, Interrupted):
        raise _interruption(directory, "load") from None
    record = read_record(directory)
    if record.summary is not None:
        return
    if record.status == "interrupted":
        raise _interruption(directory, "load")
    remedy = [record.remedy, f"log: {run.log}" if files.exists(run.log) else None]
    cause = f"{directory}: {record.status}: {record.cause}"
    raise class_of(record.exit_code)(cause, "\n".join(line for line in remedy if line))


def resume(directory: Path) -> None:
    """Train the remaining epochs of a run."""
    experiment = resume_command.prepare(Run(directory))
    with lock_run(Run(directory)):  # another process that trains it is reported at once
        pass
    train(directory, experiment)


def extend(directory: Path, overrides: Sequence[str]) -> Path:
    """Train a completed run longer, as a new run; return its directory."""
    experiment, run = extension.prepare(Run(directory), checked_overrides(overrides))
    write_status(run, "waiting")  # until another process trains it
    train(run.directory.absolute(), experiment)
    return run.directory.absolute()


def train_jobs(directory: Path, train_all: Callable[[], int]) -> None:
    """Train the jobs of a sweep without printing their leaderboard, and raise an error unless all are completed.

    Args:
        directory: of the sweep.
        train_all: returns the exit code of the command.

    Raises:
        UserError: a job failed.
        RunInterrupted: by KeyboardInterrupt.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            code = train_all()
    except (KeyboardInterrupt, Interrupted):
        raise _interruption(directory, "load_sweep") from None
    if code == EXIT_DONE:
        return
    sweep = Sweep(directory)
    rows = leaderboard.job_rows(sweep, plan.read(sweep))
    failed = sum(row.record.status in FAILED for row in rows)
    again = f"mx.load_sweep({str(directory)!r})"
    cause = f"{directory}: {failed:,} of {pluralize(len(rows), 'job')} failed"
    raise UserError(cause, f"the others: {again}.comparison; train them again: {again}.resume(retry_failed=True)")


def resume_jobs(directory: Path, overrides: Sequence[str], retry_failed: bool) -> None:
    """Train the remaining jobs of a sweep."""
    lines = checked_overrides(overrides)
    train_jobs(directory, lambda: resume_sweep_command.resume(directory, lines, retry_failed))


def _interruption(directory: Path, load: str) -> RunInterrupted:
    resume_call = f"mx.{load}({str(directory)!r}).resume()"
    command = shlex.join(["mnist-exp", "resume", os.fspath(directory)])
    return RunInterrupted(f"{directory}: interrupted", f"continue: {resume_call}, or {command}")
