"""Optuna's distributions, samplers and pruners for the settings of a search."""

import importlib.util
import warnings
from collections.abc import Sequence

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from mnist_exp.config.hydra_settings import OptunaSweeperConfig
from mnist_exp.config.search_space import Choices, Parameter
from mnist_exp.errors import EnvironmentFailure


def sampler(settings: OptunaSweeperConfig, trials: int) -> optuna.samplers.BaseSampler:
    """Create the sampler of a search whose study has this number of trials, which it must not draw again.

    Raises:
        EnvironmentFailure: the sampler needs a package that is not installed.
    """
    seed, startup = settings.seed + trials, settings.n_startup_trials
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match settings.sampler:
            case "random" | "grid":  # the trials of a grid are all in the study from the start
                return optuna.samplers.RandomSampler(seed=seed)
            case "gp":
                if importlib.util.find_spec("torch") is None:
                    cause = "hydra.sweeper.sampler=gp: PyTorch is not installed"
                    raise EnvironmentFailure(cause, "pip install 'mnist-exp[gp]', or choose sampler=tpe")
                return optuna.samplers.GPSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False)
            case "cmaes":
                return optuna.samplers.CmaEsSampler(
                    seed=seed, n_startup_trials=max(startup, 1), warn_independent_sampling=False
                )
            case "qmc":
                return optuna.samplers.QMCSampler(seed=settings.seed, scramble=True, warn_independent_sampling=False)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup)


def pruner(settings: OptunaSweeperConfig) -> optuna.pruners.BasePruner:
    """Create the pruner of a search; its steps are epochs."""
    match settings.pruner:
        case "median":
            return optuna.pruners.MedianPruner(settings.n_startup_trials, settings.n_warmup_epochs)
        case "hyperband":
            return optuna.pruners.HyperbandPruner()
    return optuna.pruners.NopPruner()


def distribution(parameter: Parameter) -> BaseDistribution:
    """Create the distribution of a parameter."""
    if isinstance(parameter, Choices):
        return CategoricalDistribution(parameter.values)
    if parameter.is_integer:
        return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log, step=int(parameter.step or 1))
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)


def grid_values(drawn_from: BaseDistribution) -> Sequence[object]:
    """List every value of a distribution.

    Raises:
        ValueError: the distribution is continuous.
    """
    if isinstance(drawn_from, CategoricalDistribution):
        return drawn_from.choices
    if not isinstance(drawn_from, IntDistribution | FloatDistribution) or drawn_from.step is None:
        raise ValueError(f"{drawn_from}: has no list of values")
    count = round((drawn_from.high - drawn_from.low) / drawn_from.step) + 1
    return [drawn_from.low + index * drawn_from.step for index in range(count)]


def domain(drawn_from: BaseDistribution) -> str:
    """Describe a distribution: "mlp, cnn_large" or "0.0001 to 0.1, logarithmic"."""
    if isinstance(drawn_from, CategoricalDistribution):
        return ", ".join(map(str, drawn_from.choices))
    low, high, step, log = (getattr(drawn_from, name) for name in ("low", "high", "step", "log"))
    steps = f" in steps of {step:g}" if step and step != 1 else ""
    return f"{low:g} to {high:g}{steps}" + (", logarithmic" if log else "")
