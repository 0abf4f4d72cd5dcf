"""The way from YAML to a checked `Experiment`; nothing past `validate` sees a DictConfig."""

from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError

from mnist_exp.config import checks, problems
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import ConfigError, Problem


def validate(config: DictConfig | dict[str, Any]) -> Experiment:
    """Check a composed configuration, without looking at the machine it may run on.

    Raises:
        ConfigError: naming everything that is wrong with it at once.
    """
    if isinstance(config, DictConfig):
        try:
            config = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
        except OmegaConfBaseException as error:
            key = str(error.full_key or "")
            raise ConfigError([Problem(key, f"{key}: {error.msg or error}".splitlines()[0], "give it a value")]) from None
    found = []
    try:
        experiment = Experiment.model_validate(config)
    except ValidationError as error:
        found = problems.from_validation(error)
    found += _between_sections(config, {problem.key.split(".")[0].split("[")[0] for problem in found})
    if found:
        raise ConfigError(found)
    return experiment


def _between_sections(config: Any, faulty: set[str]) -> list[Problem]:
    """Problems between sections that are well-formed themselves, so that they are told along with all others."""
    found = []
    for names, check in ((("dataset", "model"), checks.layers_fit), (("dataset", "training"), checks.sizes_fit)):
        if not faulty.intersection(names):
            found += check(*(_section(name, config[name]) for name in names))
    return found


def _section(name: str, value: Any) -> Any:
    annotation: Any = Experiment.model_fields[name].annotation
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    return adapter.validate_python(value)
