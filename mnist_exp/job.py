"""A run that never raises: whatever happens to it stands in its directory, and comes back as an exit code."""

import logging
from collections.abc import Callable, Sequence
from functools import partial

import yaml

from mnist_exp import backend, files, interruption, logs, memory, runs, terminal
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import EXIT_DONE, EXIT_FAILED, EXIT_SIGNAL_BASE, DivergenceError, Interrupted, Pruned, UserError
from mnist_exp.runs import Run, Status

log = logging.getLogger(__name__)


def prepare(experiment: Experiment, run: Run, overrides: Sequence[str], status: Status) -> None:
    """Make an empty directory a run: what is to be trained, what was typed for it, and last where it stands.

    Raises:
        EnvironmentFailure: the directory cannot be written.
    """
    files.write(run.config, yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False).encode())
    files.write(run.overrides, yaml.safe_dump(list(overrides)).encode())
    runs.write_status(run, status)


def carry_on(experiment: Experiment, run: Run, patience: float = 0.0) -> int:
    """Train a prepared run from its last checkpoint, if it has one, to its end; its exit code.

    Args:
        experiment: what stands in its config.yaml.
        run: its directory.
        patience: seconds to wait for another process to let go of it.

    Raises:
        KeyboardInterrupt, Interrupted: by the user or the system; the status is written.
    """
    return hold(run, partial(_train, experiment, run), f"continue: mnist-exp resume {run.directory}", patience)


def hold(run: Run, work: Callable[[], None], again: str, patience: float = 0.0) -> int:
    """Do a run's work, held for this process alone; its exit code.

    Args:
        run: its directory.
        work: what is to be done.
        again: what the user can do if it is interrupted.
        patience: seconds to wait for another process to let go of it.

    Raises:
        KeyboardInterrupt, Interrupted: by the user or the system; the status is written.
    """
    try:
        with runs.locked(run, patience), logs.logged(run.log):
            code = _guarded(run, work, again)
    except UserError as error:  # the lock is held elsewhere, or not even the status could be written
        terminal.error(error.cause, error.remedy)
        code = error.exit_code
    interruption.deliver()  # what failed stands in the status; the user wanted the whole program to end
    return code


def _guarded(run: Run, work: Callable[[], None], again: str) -> int:
    runs.write_status(run, "running")
    try:
        work()
    except Pruned as pruned:
        log.info("pruned: %s", pruned)
        runs.write_status(run, "pruned", EXIT_DONE, str(pruned), f"train it to its end: mnist-exp resume {run.directory}")
        return EXIT_DONE
    except DivergenceError as error:
        log.error("%s", error)
        runs.write_status(run, "diverged", error.exit_code, error.cause, error.remedy)
        return error.exit_code
    except UserError as error:
        log.exception("failed")
        runs.write_status(run, "failed", error.exit_code, error.cause, error.remedy)
        return error.exit_code
    except (KeyboardInterrupt, Interrupted) as signalled:
        code = getattr(signalled, "exit_code", EXIT_SIGNAL_BASE + 2)
        log.warning("interrupted")
        runs.write_status(run, "interrupted", code, "interrupted by the user or the system", again)
        raise
    except SystemExit as error:
        log.exception("failed")
        runs.write_status(run, "failed", EXIT_FAILED, f"called sys.exit({error.code!r})", "a run must not end the program")
        return EXIT_FAILED
    except Exception as error:
        log.exception("failed")
        remedy = "this is a defect of mnist-exp, or memory ran out: the log has the traceback"
        runs.write_status(run, "failed", EXIT_FAILED, f"{type(error).__name__}: {error}", remedy)
        return EXIT_FAILED
    runs.write_status(run, "completed", EXIT_DONE)
    if (held := memory.resident()) is not None:
        log.info("completed; this process has %.0f MB in memory", held / 1e6)
    return EXIT_DONE


def _train(experiment: Experiment, run: Run) -> None:
    with backend.tensorflow(run.log, experiment.progress == "quiet"):
        from mnist_exp import experiment as story

        story.run(experiment, run)
