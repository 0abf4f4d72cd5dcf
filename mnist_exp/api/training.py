"""Training from Python: `run` and `run_sweep`."""

import contextlib
import io
import shlex
from collections.abc import Sequence

from mnist_exp.api import workers
from mnist_exp.api.boundary import public
from mnist_exp.api.names import checked_overrides
from mnist_exp.api.results import Run, Sweep
from mnist_exp.commands import sweep as sweep_command
from mnist_exp.commands import train as train_command
from mnist_exp.config.command_line import parse_arguments
from mnist_exp.errors import InputError


@public
def run(overrides: Sequence[str] = ()) -> Run:
    """Train one run, as the command `mnist-exp OVERRIDES`, and return it.

    Progress is that of the command; in a notebook, lines of text. The override `progress=quiet` leaves it out.

    Args:
        overrides: such as `["model=cnn_large", "training.epochs=3"]`; also the flags --config-dir and --config-name.

    Raises:
        ConfigError: all mistakes of the overrides.
        UserError: the run failed; the class says why.
        RunInterrupted: by KeyboardInterrupt; it can be resumed.
    """
    parsed = parse_arguments(checked_overrides(overrides))
    if parsed.multirun:
        raise InputError("-m: mx.run trains one run", "train a sweep with mx.run_sweep([...])")
    if parsed.cfg or parsed.info or parsed.hydra_help:
        raise InputError("--cfg, --info, --hydra-help: print, and train nothing", _as_command(overrides))
    experiment = train_command.compose(parsed).single()
    prepared = train_command.prepare(experiment, parsed.overrides, "waiting")
    trained = Run(prepared.directory)
    workers.train(trained.directory, experiment)
    return trained


@public
def run_sweep(overrides: Sequence[str]) -> Sweep:
    """Train a run for each combination of values, as the command `mnist-exp -m OVERRIDES`, and return the sweep.

    Raises:
        ConfigError: all mistakes of the overrides.
        UserError: a job failed; the others are trained.
        RunInterrupted: by KeyboardInterrupt; the sweep can be resumed.
    """
    parsed = parse_arguments(["-m", *checked_overrides(overrides)])
    if parsed.cfg or parsed.info or parsed.hydra_help:
        raise InputError("--cfg, --info, --hydra-help: print, and train nothing", _as_command(["-m", *overrides]))
    with contextlib.redirect_stdout(io.StringIO()):
        prepared = sweep_command.prepare(parsed, train_command.compose(parsed))
    if prepared is None:
        raise InputError("sweep.dry_run=true: trains nothing", _as_command(["-m", *overrides]))
    sweep = Sweep(prepared.sweep.directory)
    workers.train_jobs(sweep.directory, prepared.train)
    return sweep


def _as_command(overrides: Sequence[str]) -> str:
    return f"use the command: {shlex.join(['mnist-exp', *overrides])}"
