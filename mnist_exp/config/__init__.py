"""YAML and overrides → a checked `Experiment`; nothing after `validate` uses a DictConfig."""

import contextlib
import copy
import re
from typing import Annotated, Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, MissingMandatoryValue, OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError

from mnist_exp import datasets
from mnist_exp.config import initial_weights
from mnist_exp.config.checks import CHECKS, check_sections
from mnist_exp.config.conversions import walk
from mnist_exp.config.dataset import resolved
from mnist_exp.config.initial_weights import Find
from mnist_exp.config.problems import from_validation, raise_problems
from mnist_exp.config.schema import Experiment
from mnist_exp.config.tracker_variables import with_variable
from mnist_exp.errors import ConfigError, InputError, Problem

MAX_UNRESOLVED = 100
REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def validate(config: DictConfig | dict[str, Any], find: Find | None = None) -> Experiment:
    """Check a composed configuration, except for the device, which depends on the machine.

    Args:
        config: of a command line or, checked before, of a run.
        find: finds the run of `initial_weights`; None for the configuration of a run, which has the hash of the weights.

    Raises:
        ConfigError: all problems of the configuration.
    """
    tree, problems = _resolve(config) if isinstance(config, DictConfig) else (config, [])
    unresolved = {problem.key for problem in problems}
    try:
        experiment = Experiment.model_validate(tree)
    except ValidationError as error:
        problems += [problem for problem in from_validation(error, Experiment) if problem.key not in unresolved]
        if not isinstance(tree, dict):
            raise ConfigError(problems) from None
        experiment = Experiment.model_construct(**_valid_sections(tree))
    invalid = {problem.key.partition(".")[0] for problem in problems}
    if "dataset" not in invalid:
        try:
            dataset = resolved(experiment.dataset, datasets.facts(experiment.dataset.source))
            experiment = experiment.model_copy(update={"dataset": dataset})
        except InputError as error:
            problems.append(Problem("dataset.path", error.cause, error.remedy))
            invalid.add("dataset")
    problems += check_sections(experiment, invalid)
    if not {problem.key.partition(".")[0] for problem in problems}.intersection(initial_weights.NEEDED):
        experiment, found = initial_weights.resolved(experiment, find)
        problems += found
    wrong = tuple(f"{problem.key}." for problem in problems if problem.key not in unresolved)
    raise_problems(
        with_variable(problem)
        for problem in problems  # a reference to a wrong setting is not a problem of its own
        if problem.key not in unresolved or not any(f"{key}.".startswith(wrong) for key in REFERENCE.findall(problem.cause))
    )
    return experiment


def _resolve(config: DictConfig) -> tuple[Any, list[Problem]]:
    """Resolve all interpolations; return plain containers, and a problem for each that cannot be resolved (null there)."""
    problems: list[Problem] = []
    while True:
        try:
            return OmegaConf.to_container(config, resolve=True, throw_on_missing=True), problems
        except OmegaConfBaseException as error:
            key = str(error.full_key or "").replace("[", ".").replace("]", "")
            problems.append(_unresolved(key, dict(walk(OmegaConf.to_container(config, resolve=False))).get(key), error))
            if not key or len(problems) > MAX_UNRESOLVED:
                raise ConfigError(problems) from None
            if len(problems) == 1:
                config = copy.deepcopy(config)
                OmegaConf.set_readonly(config, False)
            OmegaConf.update(config, key, None, force_add=True)


def _unresolved(key: str, value: Any, error: OmegaConfBaseException) -> Problem:
    if isinstance(error, MissingMandatoryValue):
        where = "mnist-exp help datasets" if key.startswith("dataset.") else "the comment of this setting in the YAML file"
        return Problem(key, f"{key}: is missing", f"write {key}=…; {where} says what")
    if isinstance(error, InterpolationKeyError):
        return Problem(
            key, f"{key}={value}: a reference to an unknown setting", "refer to a setting, such as ${seed}, or write a value"
        )
    reason = str(error.msg or error).splitlines()[0].partition(" raised while resolving interpolation: ")
    text = (reason[2] or reason[0]).strip('"')
    return Problem(key, f"{key}={value}: {text}", "write a value")


def _valid_sections(tree: dict[str, Any]) -> dict[str, Any]:
    """Validate each section by itself; leave out invalid ones. So problems between the others are reported too."""
    sections: dict[str, Any] = {}
    for name in {*(name for names, _ in CHECKS for name in names), *initial_weights.NEEDED}.intersection(tree):
        with contextlib.suppress(ValidationError):
            field = Experiment.model_fields[name]
            annotation: Any = Annotated[field.annotation, field]  # with its bounds
            sections[name] = TypeAdapter(annotation).validate_python(tree[name])
    return sections
