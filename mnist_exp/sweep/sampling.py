"""What a search draws its settings from, and by which rule: Optuna's distributions, samplers and pruners."""

import warnings
from collections.abc import Sequence

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from mnist_exp.config.execution import Choices, OptunaSweeperConfig, Parameter
from mnist_exp.errors import EnvironmentFailure


def sampler(settings: OptunaSweeperConfig, trials: int) -> optuna.samplers.BaseSampler:
    """The sampler that is asked for.

    Args:
        settings: with its name and seed.
        trials: how many there are already: a sampler that goes on must not draw again what it drew then.

    Raises:
        EnvironmentFailure: it needs a package that is not there.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return _sampler(settings, trials)


def _sampler(settings: OptunaSweeperConfig, trials: int) -> optuna.samplers.BaseSampler:
    seed, startup = settings.seed, settings.n_startup_trials
    match settings.sampler:
        case "random":
            return optuna.samplers.RandomSampler(seed=seed + trials)
        case "gp":
            try:
                import torch  # noqa: F401
            except ImportError:
                cause = "hydra.sweeper.sampler=gp: PyTorch, which computes it, is not installed"
                raise EnvironmentFailure(cause, "pip install 'mnist-exp[gp]', or choose sampler=tpe") from None
            return optuna.samplers.GPSampler(seed=seed + trials, n_startup_trials=startup, warn_independent_sampling=False)
        case "cmaes":
            return optuna.samplers.CmaEsSampler(
                seed=seed + trials, n_startup_trials=max(startup, 1), warn_independent_sampling=False
            )
        case "qmc":
            return optuna.samplers.QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False)
        case "grid":  # whose points all wait in the study from the start
            return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed + trials, n_startup_trials=startup)


def pruner(settings: OptunaSweeperConfig) -> optuna.pruners.BasePruner:
    """The pruner that is asked for; steps are epochs."""
    match settings.pruner:
        case "median":
            return optuna.pruners.MedianPruner(settings.n_startup_trials, settings.n_warmup_epochs)
        case "hyperband":
            return optuna.pruners.HyperbandPruner()
    return optuna.pruners.NopPruner()


def distribution(parameter: Parameter) -> BaseDistribution:
    """What Optuna draws a parameter from."""
    if isinstance(parameter, Choices):
        return CategoricalDistribution(parameter.values)
    if parameter.whole:
        return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log, step=int(parameter.step or 1))
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)


def values(drawn_from: BaseDistribution) -> Sequence[str | float]:
    """Every value of a distribution that has finitely many."""
    if isinstance(drawn_from, CategoricalDistribution):
        return [str(value) for value in drawn_from.choices]
    if isinstance(drawn_from, IntDistribution):
        return list(range(drawn_from.low, drawn_from.high + 1, drawn_from.step))
    if isinstance(drawn_from, FloatDistribution) and drawn_from.step is not None:
        count = round((drawn_from.high - drawn_from.low) / drawn_from.step) + 1
        return [drawn_from.low + index * drawn_from.step for index in range(count)]
    raise ValueError(f"{drawn_from} has no list of values")


def typed(value: object) -> str:
    """A drawn value as one would type it; every digit of a number."""
    return value if isinstance(value, str) else repr(value)
