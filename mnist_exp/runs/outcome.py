"""A run whose outcome is always recorded: any failure is written to its status and returned as an exit code."""

import logging
import time
from collections.abc import Callable, Sequence

import yaml

from mnist_exp.config.schema import Experiment
from mnist_exp.errors import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_SIGNAL_BASE,
    DivergenceError,
    EnvironmentFailure,
    Interrupted,
    Pruned,
    UserError,
)
from mnist_exp.machine import files, logs, memory, signals
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs.lock import lock_run
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import Status, write_status
from mnist_exp.runs.summary import Summary
from mnist_exp.terminal import messages

log = logging.getLogger(__name__)

FIRST_YEAR, LAST_YEAR = 1980, 2107  # of the ZIP format, which contains a Keras model


def prepare_run(experiment: Experiment, run: Run, overrides: Sequence[str], status: Status) -> None:
    """Make an empty directory a run: write its configuration, the overrides as typed, and last its status.

    Raises:
        EnvironmentFailure: the directory cannot be written.
    """
    files.write(run.config, config_text(experiment).encode())
    files.write(run.overrides, yaml.safe_dump(list(overrides)).encode())
    write_status(run, status)


def config_text(experiment: Experiment) -> str:
    """Return the content of config.yaml."""
    return yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False)


def run_locked(run: Run, work: Callable[[], Summary], resume_hint: str, lock_timeout: float = 0.0) -> int:
    """Do the work of a run under its lock, record the outcome in its status, and return the exit code.

    Args:
        run: its directory.
        work: trains or builds the run, and returns the content of its summary.
        resume_hint: the remedy after an interruption.
        lock_timeout: seconds to wait for another process to release the run.

    Raises:
        KeyboardInterrupt, Interrupted: by the user or the system; the status is written.
    """
    try:
        with lock_run(run, lock_timeout), logs.log_to_file(run.log):
            files.provide_temporary_directory(run.directory)
            code = _record_outcome(run, work, resume_hint)
    except UserError as error:  # another process has locked the run, or its status cannot be written
        messages.error(error.cause, error.remedy)
        code = error.exit_code
    signals.deliver()  # the failure is recorded; the signal was meant for the whole program
    return code


def _record_outcome(run: Run, work: Callable[[], Summary], resume_hint: str) -> int:
    write_status(run, "running")
    status: Status = "failed"
    try:
        _check_clock(resume_hint)
        summary = work()
    except Pruned as pruned:
        log.info("pruned: %s", pruned)
        write_status(run, "pruned", EXIT_DONE, str(pruned), f"train it to its end: mnist-exp resume {run.directory}")
        return EXIT_DONE
    except (KeyboardInterrupt, Interrupted) as signalled:
        code = getattr(signalled, "exit_code", EXIT_SIGNAL_BASE + 2)
        log.warning("interrupted")
        write_status(run, "interrupted", code, "stopped by the user or the system", resume_hint)
        raise
    except DivergenceError as error:
        log.error("%s", error)
        status, code, cause, remedy = "diverged", error.exit_code, error.cause, error.remedy
    except UserError as error:
        log.exception("failed")
        code, cause, remedy = error.exit_code, error.cause, error.remedy
    except SystemExit as error:
        log.exception("failed")
        code, cause, remedy = EXIT_FAILED, f"called sys.exit({error.code!r})", "a run must not exit the program"
    except Exception as error:
        log.exception("failed")
        code, cause = EXIT_FAILED, f"{type(error).__name__}: {error}"
        remedy = "this is a defect of mnist-exp, or too little memory: see the traceback in the log"
    else:
        _complete(run, summary)
        if (resident := memory.resident_bytes()) is not None:
            log.info("completed; this process has %.0f MB in memory", resident / 1e6)
        return EXIT_DONE
    write_status(run, status, code, cause, remedy)
    return code


def _check_clock(resume_hint: str) -> None:
    """Raise EnvironmentFailure if a model file cannot be written at this time."""
    if not FIRST_YEAR <= (year := time.localtime().tm_year) <= LAST_YEAR:
        cause = f"the clock of this machine shows the year {year}: a model file needs one from {FIRST_YEAR} to {LAST_YEAR}"
        raise EnvironmentFailure(cause, f"set the clock, then {resume_hint}")


def _complete(run: Run, summary: Summary) -> None:
    """Write the summary and the status "completed": both, or neither."""
    with signals.deferred():
        try:
            files.write_json(run.summary, summary.model_dump(mode="json"))
            write_status(run, "completed", EXIT_DONE)
        except BaseException:  # the disk is full, or a second signal
            if read_json(run.status).get("status") != "completed":
                run.summary.unlink(missing_ok=True)
            raise
