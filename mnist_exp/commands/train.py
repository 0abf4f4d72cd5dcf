"""`mnist-exp [overrides]` and `mnist-exp -m …`: check the command line, then train, sweep, or let Hydra print something."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig

from mnist_exp.commands import arguments as command_line
from mnist_exp.commands.named_runs import find_weights, with_latest_found
from mnist_exp.config import composer
from mnist_exp.config.command_line import parse_arguments
from mnist_exp.config.composition import Composition
from mnist_exp.config.conversions import literal_path
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import EXIT_DONE, EXIT_FAILED, InputError

if TYPE_CHECKING:
    from mnist_exp.runs.run import Run
    from mnist_exp.runs.status import Status


def main(arguments: list[str]) -> int:
    """Train one run or a sweep, or print what Hydra's flags ask for; return the exit code.

    Raises:
        UserError: the command line or the configuration cannot be used, or no directory can be created.
        KeyboardInterrupt, Interrupted: after the results so far have been printed.
    """
    parsed = parse_arguments(arguments)
    if parsed.hydra_help:
        return _hydra(["--hydra-help"])  # without the user's configuration, which has not been checked
    composition = compose(parsed)
    if parsed.cfg or parsed.info:
        first = composition.first()  # raises all problems
        if parsed.multirun:
            flags = [argument for argument in arguments if argument not in {"-m", "--multirun", *parsed.overrides}]
            one = shlex.join(["mnist-exp", *first.overrides, *flags])
            raise InputError(
                "-m: a sweep has several configurations, but --cfg and --info print one", f"print the first: {one}"
            )
        return _hydra([literal_path(argument) for argument in arguments])
    if parsed.multirun:
        from mnist_exp.commands import sweep

        return sweep.start(parsed, composition)
    experiment = composition.single()
    # Imported after the command line has been checked, so that errors appear sooner.
    from mnist_exp.commands import one_run

    return one_run.train(experiment, prepare(experiment, parsed.overrides, "running"))


def compose(parsed: argparse.Namespace) -> Composition:
    """Return the composition of a command line that trains, which finds the run of `initial_weights`."""
    given = dict(line.lstrip("+").split("=", 1) for line in parsed.overrides if "=" in line)
    runs_dir = command_line.path(given.get("runs_dir") or str(command_line.primary_config()["runs_dir"]))
    parsed.overrides = [with_latest_found(line, runs_dir) for line in parsed.overrides]
    return Composition(parsed, find=find_weights)


def prepare(experiment: Experiment, overrides: Sequence[str], status: "Status") -> "Run":
    """Check that the tracker and the data set can be used, then create the run of an experiment; return it.

    Args:
        experiment: the settings.
        overrides: as typed.
        status: of the new run: "waiting" if another process trains it.

    Raises:
        UserError: something is missing, or the directory cannot be created.
    """
    from mnist_exp import datasets, tracking
    from mnist_exp.runs.directory import create_directory
    from mnist_exp.runs.outcome import prepare_run
    from mnist_exp.runs.run import Run

    tracking.check_installed(experiment.tracker)
    datasets.check_available(experiment.dataset.source)
    run = Run(create_directory(Path(command_line.path(experiment.runs_dir)), f"{experiment.name}_s{experiment.seed}"))
    prepare_run(experiment, run, [line for line in overrides if not line.lstrip("+~").startswith("hydra")], status)
    return run


@hydra.main(version_base=composer.HYDRA_VERSION_BASE, config_path=composer.CONFIG_PATH, config_name=composer.CONFIG_NAME)
def _print_information(_: DictConfig) -> None:
    """Do nothing: Hydra prints what its flags ask for, and exits before it calls this function."""


def _hydra(arguments: list[str]) -> int:
    """Run `@hydra.main` on arguments of its own (`--cfg`, `--info`, `--hydra-help`); return its exit code."""
    composer.remove_plugin_options()
    before, sys.argv = sys.argv, [sys.argv[0], *arguments]
    try:
        _print_information()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else EXIT_FAILED
    finally:
        sys.argv = before
    return EXIT_DONE
