"""`mnist-exp [overrides]` and `mnist-exp -m …`: check the command line, hand it to Hydra, and tell how it ended."""

import argparse
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mnist_exp import config, tracking
from mnist_exp.commands import results, sweep
from mnist_exp.config import composer, composition
from mnist_exp.config.problems import quoted
from mnist_exp.errors import EXIT_DONE, EXIT_FAILED, Interrupted
from mnist_exp.experiment import train_or_resume
from mnist_exp.run import job
from mnist_exp.run.directory import create_directory
from mnist_exp.run.names import Run
from mnist_exp.tracking.uploader_process import upload_in_background


def main(arguments: list[str]) -> int:
    """Train what the command line asks for, or let Hydra answer it; returns the exit code.

    Raises:
        UserError: the command line or the configuration cannot be used, or no directory can be made.
        KeyboardInterrupt, Interrupted: after telling what is there.
    """
    parsed = composition.parse_arguments(arguments)
    if parsed.hydra_help:
        return _hydra(["--hydra-help"])  # without a configuration of the user's, which nobody has checked
    if parsed.shell_completion:
        return _hydra(arguments)  # composes, but runs nothing that a configuration could name
    if parsed.multirun and not (parsed.cfg or parsed.info):
        return sweep.start(parsed)
    if parsed.cfg or parsed.info:
        composition.points(parsed)  # nothing is wrong with them
        return _hydra(arguments)
    experiment = composition.single(parsed)
    tracking.check_installed(experiment.tracker)
    directory = create_directory(Path(experiment.runs_dir).expanduser(), f"{experiment.name}_s{experiment.seed}")
    run = Run(directory)
    typed = [override for override in parsed.overrides if not override.lstrip("+~").startswith("hydra")]
    job.prepare(experiment, run, typed, "running")  # before Hydra, so that from here on the run can be resumed
    with upload_in_background(directory, experiment.tracker):
        try:
            code = _hydra(_for_hydra(parsed, directory))
        except (KeyboardInterrupt, Interrupted):
            results.print_run_result(run, EXIT_FAILED)
            raise
        return results.print_run_result(run, code)


@hydra.main(version_base=composer.HYDRA_VERSION_BASE, config_path=composer.CONFIG_PATH, config_name=composer.CONFIG_NAME)
def _job(composed: DictConfig) -> None:
    """The single run; its directory is prepared."""
    experiment = config.validate(composed)
    if code := train_or_resume(experiment, Run(Path(HydraConfig.get().runtime.output_dir))):
        sys.exit(code)


def _hydra(arguments: list[str]) -> int:
    """Run `@hydra.main` on these arguments; its exit code."""
    composer.forget_plugins()
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
    arguments: list[str] = []
    for flag in ("config_dir", "config_name"):
        if getattr(parsed, flag) is not None:
            arguments += [f"--{flag.replace('_', '-')}", getattr(parsed, flag)]
    return [*arguments, *parsed.overrides, f"hydra.run.dir={quoted(str(directory.resolve()))}"]
