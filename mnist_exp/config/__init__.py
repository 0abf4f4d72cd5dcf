"""The way from YAML to a checked `Experiment`; nothing past `validate` sees a DictConfig."""

import copy
from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError

from mnist_exp.config import checks, problems
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import ConfigError, Problem

MOST_UNRESOLVED = 100
CHECKS: tuple[tuple[tuple[str, ...], Callable[..., list[Problem]]], ...] = (
    (("dataset", "model"), checks.layers_fit),
    (("model", "threads"), checks.towers_fit),
    (("model", "training"), checks.batches_fit),
    (("dataset", "training"), checks.sizes_fit),
    (("dataset", "training"), checks.selection_fits),
    (("schedule", "training"), checks.warmup_fits),
    (("tracker",), checks.no_secret),
)


def validate(config: DictConfig | dict[str, Any]) -> Experiment:
    """Check a composed configuration, without looking at the machine it may run on.

    Raises:
        ConfigError: naming everything that is wrong with it at once.
    """
    tree, found = _resolved(config) if isinstance(config, DictConfig) else (config, [])
    unresolved = {problem.key for problem in found}
    experiment = None
    try:
        experiment = Experiment.model_validate(tree)
    except ValidationError as error:
        found += [problem for problem in problems.from_validation(error, Experiment) if problem.key not in unresolved]
    found += _between_sections(experiment, tree, {problem.key.split(".")[0] for problem in found})
    if found or experiment is None:
        raise ConfigError(found)
    return experiment


def _resolved(config: DictConfig) -> tuple[Any, list[Problem]]:
    """Plain containers with all interpolations filled in; one that cannot be is a problem, and null in what is returned."""
    found: list[Problem] = []
    while True:
        try:
            return OmegaConf.to_container(config, resolve=True, throw_on_missing=True), found
        except OmegaConfBaseException as error:
            key = str(error.full_key or "").replace("[", ".").replace("]", "")
            sentence = str(error.msg or error).splitlines()[0]
            found.append(Problem(key, f"{key}: {sentence}", "give it a value"))
            if not key or len(found) > MOST_UNRESOLVED:
                raise ConfigError(found) from None
            if len(found) == 1:
                config = copy.deepcopy(config)
                OmegaConf.set_readonly(config, False)
            OmegaConf.update(config, key, None, force_add=True)


def _between_sections(experiment: Experiment | None, tree: Any, faulty: set[str]) -> list[Problem]:
    """Problems between sections that are right by themselves, so that they are reported together with all others.

    Args:
        experiment: the validated tree, or None where a section is faulty.
        tree: plain containers.
        faulty: the sections that have problems already.
    """
    found: list[Problem] = []
    for names, check in CHECKS:
        if faulty.intersection(names):
            continue
        if experiment is not None:
            found += check(*(getattr(experiment, name) for name in names))
        elif isinstance(tree, dict):
            found += check(*(_section(name, tree[name]) for name in names))
    return found


def _section(name: str, value: Any) -> Any:
    annotation: Any = Experiment.model_fields[name].annotation
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    return adapter.validate_python(value)
