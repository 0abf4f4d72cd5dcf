"""The combinations of a sweep, and the parameters and the space of a search."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mnist_exp.config.conversions import quote
from mnist_exp.config.dataset import OwnDatasetSettings
from mnist_exp.config.schema import Experiment


@dataclass(frozen=True)
class Combination:
    """One experiment of a command line."""

    overrides: tuple[str, ...]  # of all keys, each with one value
    swept: tuple[str, ...]  # the overrides whose value the sweep or search chose
    experiment: Experiment

    @property
    def job_overrides(self) -> tuple[str, ...]:
        """The overrides without those of Hydra; they name the same data and initial weights later, in any directory."""
        lines = [line for line in self.overrides if not line.lstrip("+~").startswith("hydra")]
        fixed = self._fixed()
        others = [line for line in lines if line.lstrip("+").partition("=")[0] not in fixed]
        return (*others, *(f"{key}={value}" for key, value in fixed.items()))

    def _fixed(self) -> dict[str, str]:
        """Return absolute paths of the job, and the hashes of what is there, as values of overrides by their key."""
        experiment, dataset = self.experiment, self.experiment.dataset
        paths = {"initial_weights": experiment.initial_weights}
        hashes = {"initial_weights_sha256": experiment.initial_weights_sha256}
        if isinstance(dataset, OwnDatasetSettings):
            source = dataset.source
            paths |= {
                "dataset.path": source.path,
                "dataset.class_names": source.class_names,
                "dataset.groups": source.groups,
            }
            hashes["dataset.fingerprint"] = dataset.fingerprint
        fixed = {key: quote(path) for key, path in paths.items() if path is not None}
        if not isinstance(dataset, OwnDatasetSettings) and dataset.root:
            fixed["dataset.root"] = f"[{','.join(map(quote, dataset.source.roots))}]"
        return fixed | {key: value for key, value in hashes.items() if value is not None}


@dataclass(frozen=True)
class Choices:
    """A setting whose value a search chooses from a list."""

    key: str
    values: tuple[str, ...]  # as typed


@dataclass(frozen=True)
class Interval:
    """A setting whose value a search chooses between two bounds, which are included."""

    key: str
    low: float
    high: float
    step: float | None
    log: bool  # whether the logarithm is uniformly distributed
    is_integer: bool

    @property
    def values(self) -> tuple[str, str]:
        """The bounds as typed, which are checked before the search starts."""
        return (str(int(self.low)), str(int(self.high))) if self.is_integer else (repr(self.low), repr(self.high))


Parameter = Choices | Interval


@dataclass(frozen=True)
class SearchSpace:
    """The search space of a search."""

    compose: Callable[[Sequence[Sequence[str]]], list[Experiment]]  # overrides of each experiment → experiments
    overrides: tuple[str, ...]  # as typed
    fixed: tuple[str, ...]  # overrides that all trials share
    parameters: tuple[Parameter, ...]

    def first(self) -> Combination:
        """Return the experiment with the first value of each parameter."""
        return self.combination([parameter.values[0] for parameter in self.parameters])

    def example(self) -> Experiment:
        """Return an experiment with the settings that all trials share."""
        return self.first().experiment

    def combination(self, values: Sequence[str]) -> Combination:
        """Return the experiment of a trial.

        Args:
            values: of the parameters, in order.

        Raises:
            ConfigError: the values are not allowed, or not together.
        """
        chosen = tuple(f"{parameter.key}={value}" for parameter, value in zip(self.parameters, values, strict=True))
        overrides = (*self.fixed, *chosen)
        return Combination(overrides, chosen, self.compose([overrides])[0])
