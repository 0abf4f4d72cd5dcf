"""A sweep with hydra/sweeper=optuna: a search, whose jobs are its trials."""

import argparse

from mnist_exp import tracking
from mnist_exp.commands import sweep as sweeps
from mnist_exp.config import composition
from mnist_exp.config.composition import Space
from mnist_exp.config.execution import Choices, HydraConfig, OptunaSweeperConfig
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import EXIT_DONE
from mnist_exp.sweep import launchers, plan
from mnist_exp.sweep.plan import Plan, Sweep
from mnist_exp.sweep.sampling import sampler
from mnist_exp.sweep.search import Search
from mnist_exp.terminal import messages
from mnist_exp.terminal.messages import pluralize


def start(parsed: argparse.Namespace, execution: HydraConfig, settings: OptunaSweeperConfig) -> int:
    """Search among what a command line spans.

    Raises:
        UserError: it cannot be used, or no directory can be made.
        KeyboardInterrupt, Interrupted: after telling what is there.
    """
    with messages.spinner("checking what there is to choose"):
        space = composition.space(parsed, settings)
    first = _any(space)
    if first.sweep.dry_run:
        return _describe(space, settings)
    launchers.check(execution.launcher)
    tracking.check_installed(first.tracker)
    sampler(settings, 0)
    sweep = sweeps.create(parsed, first, [])
    with plan.locked(sweep):
        return _search(sweep, plan.read(sweep), space, first, execution, settings, False)


def resume(
    sweep: Sweep,
    known: Plan,
    parsed: argparse.Namespace,
    execution: HydraConfig,
    settings: OptunaSweeperConfig,
    retry_failed: bool,
) -> int:
    """Go on with a search, which this process holds.

    Raises:
        UserError: it is another search, or cannot be read.
        KeyboardInterrupt, Interrupted: after telling what is there.
    """
    space = composition.space(parsed, settings)
    first = _any(space)
    if first.sweep.dry_run:
        return _describe(space, settings)
    plan.write(sweep, known := known.model_copy(update={"overrides": tuple(parsed.overrides)}))  # with the trials added
    return _search(sweep, known, space, first, execution, settings, retry_failed)


def _search(
    sweep: Sweep,
    known: Plan,
    space: Space,
    first: Experiment,
    execution: HydraConfig,
    settings: OptunaSweeperConfig,
    retry_failed: bool,
) -> int:
    launcher = launchers.build(sweep, execution.launcher, first)
    source = Search(sweep, known, space, settings, launcher.parallel_jobs, retry_failed)
    return sweeps.conduct(sweep, launcher, source, first, source.finished_jobs)


def _any(space: Space) -> Experiment:
    """The experiment at one corner of the space, for the settings that all share."""
    corner = [each.values[0] if isinstance(each, Choices) else each.ends[0] for each in space.parameters]
    return space.point(corner).experiment


def _describe(space: Space, settings: OptunaSweeperConfig) -> int:
    """Print what would be searched."""
    for each in space.parameters:
        if isinstance(each, Choices):
            told = ", ".join(each.values)
        else:
            step = "" if each.step is None else f" in steps of {each.step:g}"
            told = " to ".join(each.ends) + step + (", logarithmic" if each.log else "")
        print(messages.sanitize(f"{each.key}: {told}"))
    print(f"{pluralize(settings.n_trials, 'trial')}, sampler {settings.sampler}, pruner {settings.pruner}")
    return EXIT_DONE
