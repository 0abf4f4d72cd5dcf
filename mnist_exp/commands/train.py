"""`mnist-exp [overrides]` and `mnist-exp -m …`: check the command line, hand it to Hydra, and tell how it ended."""

import argparse
import contextlib
import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from mnist_exp import config, runs
from mnist_exp.commands import console, results
from mnist_exp.config import composition
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import EXIT_DONE, EXIT_FAILED, EXIT_SIGNAL_BASE, DivergenceError, Interrupted, UserError
from mnist_exp.runs import Run

log = logging.getLogger(__name__)
DEFECT = "this is a defect of mnist-exp: please report it with the run's train.log"


def main(arguments: list[str]) -> int:
    """Train what the command line asks for, or let Hydra answer it; returns the exit code.

    Raises:
        UserError: the command line or the configuration cannot be used, or no directory can be made.
    """
    parsed = composition.parse_arguments(arguments)
    if parsed.info or parsed.hydra_help or parsed.shell_completion:
        return _hydra(arguments)
    experiments = composition.experiments(parsed)
    if parsed.cfg:
        return _hydra(arguments)
    first = experiments[0]
    label = "sweep" if parsed.multirun else f"{first.name}_s{first.seed}"
    directory = runs.create_directory(Path(first.runs_dir), label)
    code = _hydra(_for_hydra(parsed, directory))
    return results.of_sweep(directory, len(experiments)) if parsed.multirun else results.of_run(Run(directory), code)


def execute(experiment: Experiment, run: Run, overrides: list[str]) -> None:
    """Train into an existing directory, and leave there how it ended: this never raises but for an interruption.

    Hydra would end a sweep at the first job that raises, and keep its traceback from the job's log.

    Raises:
        KeyboardInterrupt, Interrupted: by the user or the system; the status is written.
    """
    try:
        runs.write(run.config, OmegaConf.to_yaml(OmegaConf.create(experiment.model_dump(mode="json"))).encode())
        runs.write(run.overrides, OmegaConf.to_yaml(OmegaConf.create(overrides)).encode())
        attempt(experiment, run)
    except UserError as error:
        console.error(str(error))


def attempt(experiment: Experiment, run: Run) -> None:
    """Train, from the last checkpoint if there is one, and write the status.

    Raises:
        EnvironmentFailure: not even the status could be written.
        KeyboardInterrupt, Interrupted: as in `execute`.
    """
    runs.write_status(run, "running")
    with _logged(run):
        try:
            _run(experiment, run)
        except DivergenceError as error:
            log.error("%s", error)
            runs.write_status(run, "diverged", error.exit_code, error.cause, error.remedy)
        except UserError as error:
            log.exception("failed")
            runs.write_status(run, "failed", error.exit_code, error.cause, error.remedy)
        except (KeyboardInterrupt, Interrupted) as interruption:
            code = getattr(interruption, "exit_code", EXIT_SIGNAL_BASE + 2)
            log.warning("interrupted")
            remedy = f"continue: mnist-exp resume {run.directory}"
            runs.write_status(run, "interrupted", code, "interrupted by the user or the system", remedy)
            raise
        except Exception as error:  # a defect in one job must not end a sweep
            log.exception("failed")
            runs.write_status(run, "failed", EXIT_FAILED, f"{type(error).__name__}: {error}", DEFECT)
        else:
            runs.write_status(run, "completed", EXIT_DONE)


def _run(experiment: Experiment, run: Run) -> None:
    """The one place where TensorFlow is imported."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    quiet = experiment.progress == "quiet"
    with console.native_messages_to(run.log):
        with contextlib.nullcontext() if quiet else console.busy("starting TensorFlow"):
            from mnist_exp import experiment as story

        story.run(experiment, run)


@hydra.main(
    version_base=composition.HYDRA_VERSION_BASE,
    config_path=composition.CONFIG_PATH,
    config_name=composition.CONFIG_NAME,
)
def _job(composed: DictConfig) -> None:
    """One job: the single run, or one of a sweep; Hydra has made its directory."""
    context = HydraConfig.get()
    run, overrides = Run(Path(context.runtime.output_dir)), list(context.overrides.task)
    if context.mode == RunMode.MULTIRUN:
        console.note(f"job {context.job.num}: {' '.join(overrides)}")
    execute(config.validate(composed), run, overrides)
    if context.mode == RunMode.MULTIRUN:
        console.note(f"job {context.job.num}: {results.sentence(run)}")


def _hydra(arguments: list[str]) -> int:
    """Run `@hydra.main` on these arguments; its exit code."""
    before, sys.argv = sys.argv, [sys.argv[0], *arguments]
    try:
        _job()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else EXIT_FAILED
    finally:
        sys.argv = before
    return EXIT_DONE


def _for_hydra(parsed: argparse.Namespace, directory: Path) -> list[str]:
    """The same command line in Hydra's order, with the directory as a literal."""
    arguments = ["--multirun"] if parsed.multirun else []
    for flag in ("config_dir", "config_name"):
        if getattr(parsed, flag) is not None:
            arguments += [f"--{flag.replace('_', '-')}", getattr(parsed, flag)]
    key = "hydra.sweep.dir" if parsed.multirun else "hydra.run.dir"
    return [*arguments, *parsed.overrides, f"{key}={quoted(str(directory.resolve()))}"]


def quoted(text: str) -> str:
    """A literal of Hydra's override grammar, whatever characters it has.

    Backslashes count only before a quote (to Hydra) or before "${" (to OmegaConf); there they are doubled.
    """
    literal = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    return "'" + re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + found[2].replace("'", "\\'"), literal) + "'"


@contextlib.contextmanager
def _logged(run: Run) -> Iterator[None]:
    """Everything that the program logs, and Python's warnings, go to the run's train.log."""
    handler = logging.FileHandler(run.log, encoding="utf-8")
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
