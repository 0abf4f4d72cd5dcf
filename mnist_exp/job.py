"""A run that never raises: whatever happens to it stands in its directory, and comes back as an exit code."""

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence

import yaml

from mnist_exp import files, interruption, runs, terminal
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import EXIT_DONE, EXIT_FAILED, EXIT_SIGNAL_BASE, DivergenceError, Interrupted, UserError
from mnist_exp.runs import Run

log = logging.getLogger(__name__)


def prepare(experiment: Experiment, run: Run, overrides: Sequence[str]) -> None:
    """Make an empty directory a run: what is to be trained, what was typed for it, and last that it has begun.

    Raises:
        EnvironmentFailure: the directory cannot be written.
    """
    files.write(run.config, yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False).encode())
    files.write(run.overrides, yaml.safe_dump(list(overrides)).encode())
    runs.write_status(run, "running")


def start(experiment: Experiment, run: Run, overrides: Sequence[str]) -> int:
    """Train a new run in a directory that is there and empty; its exit code.

    Raises:
        KeyboardInterrupt, Interrupted: by the user or the system; the status is written.
    """
    try:
        prepare(experiment, run, overrides)
    except UserError as error:
        terminal.error(error.cause, error.remedy)
        return error.exit_code
    return carry_on(experiment, run)


def carry_on(experiment: Experiment, run: Run) -> int:
    """Train a prepared run from its last checkpoint, if it has one, to its end; its exit code.

    Hydra would end a sweep at the first job that raises, and keep its traceback from the job's log: so none does.

    Raises:
        KeyboardInterrupt, Interrupted: by the user or the system; the status is written.
    """
    try:
        with runs.locked(run), _logged(run):
            code = _guarded(experiment, run)
    except UserError as error:  # the lock is held elsewhere, or not even the status could be written
        terminal.error(error.cause, error.remedy)
        code = error.exit_code
    interruption.deliver()  # what failed stands in the status; the user wanted the whole program to end
    return code


def _guarded(experiment: Experiment, run: Run) -> int:
    runs.write_status(run, "running")
    try:
        _train(experiment, run)
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
        remedy = f"continue: mnist-exp resume {run.directory}"
        runs.write_status(run, "interrupted", code, "interrupted by the user or the system", remedy)
        raise
    except Exception as error:
        log.exception("failed")
        remedy = "this is a defect of mnist-exp, or memory ran out: the log has the traceback"
        runs.write_status(run, "failed", EXIT_FAILED, f"{type(error).__name__}: {error}", remedy)
        return EXIT_FAILED
    runs.write_status(run, "completed", EXIT_DONE)
    return EXIT_DONE


def _train(experiment: Experiment, run: Run) -> None:
    """The one place where TensorFlow is imported."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with terminal.native_messages_to(run.log):
        with contextlib.nullcontext() if experiment.progress == "quiet" else terminal.busy("starting TensorFlow"):
            from mnist_exp import experiment as story
        _only_to_files(logging.getLogger("tensorflow"))
        story.run(experiment, run)


def _only_to_files(logger: logging.Logger) -> None:
    """Take from a logger what would write across the terminal's display."""
    for handler in logger.handlers[:]:
        if not isinstance(handler, logging.FileHandler):
            logger.removeHandler(handler)


@contextlib.contextmanager
def _logged(run: Run) -> Iterator[None]:
    """Everything that the program logs, and Python's warnings, go to the run's train.log.

    Raises:
        EnvironmentFailure: the log cannot be opened.
    """
    with files.writing(run.log):
        handler = _FileHandler(run.log, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("mnist_exp", "py.warnings", "tensorflow")]
    logging.captureWarnings(True)
    for logger in loggers:
        logger.addHandler(handler)
    loggers[0].setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        logging.captureWarnings(False)
        handler.close()


class _FileHandler(logging.FileHandler):
    """A log that fills its disk does not end the run, nor print a traceback for each line: the next file written tells."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        """Say nothing."""
