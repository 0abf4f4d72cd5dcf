"""The shipped YAML files: they compose, describe themselves and match the schema."""

import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import pytest
from omegaconf import OmegaConf
from pydantic import BaseModel, TypeAdapter, ValidationError

from mnist_exp import config, datasets
from mnist_exp.commands.overview import description
from mnist_exp.config.command_line import parse_arguments
from mnist_exp.config.composition import Composition
from mnist_exp.config.identity import config_hash
from mnist_exp.config.settings import Settings
from mnist_exp.errors import ConfigError
from tests import own_data
from tests.conftest import ROOT, compose

CONF = ROOT / "conf"
OPTIONS = sorted(path.relative_to(CONF) for path in CONF.rglob("*.yaml") if path.parent != CONF)


def test_the_groups_of_options() -> None:
    assert {str(path.parent) for path in OPTIONS} == {
        "augmentation",
        "dataset",
        "experiment",
        "hydra/launcher",
        "hydra/sweeper",
        "model",
        "optimizer",
        "preprocessing",
        "schedule",
        "tracker",
        "training",
    }


@pytest.mark.parametrize("path", OPTIONS, ids=str)
def test_all_options_compose_and_validate(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    group, option = str(path.parent), path.stem
    is_own = group == "dataset" and option in own_data.KINDS
    needed = [f"dataset.path={own_data.write(option, tmp_path / 'data')}", "training.batch_size=8"] if is_own else []
    experiment = compose(f"{group}={option}", *needed)
    if group.startswith("hydra/"):
        chosen = Composition(parse_arguments(["-m", f"{group}={option}"])).hydra_settings
        assert getattr(chosen, path.parent.name).name == option
    elif group == "experiment":
        assert experiment.name == option
    elif group != "training":
        assert getattr(experiment, group).name == option


@pytest.mark.parametrize("path", OPTIONS, ids=str)
def test_all_options_have_a_description(path: Path) -> None:
    assert len(description(files("mnist_exp.conf").joinpath(*path.parts))) > 10


@pytest.mark.parametrize("path", sorted(CONF.glob("experiment/*.yaml")), ids=lambda path: path.stem)
def test_all_recipes_contain_the_command_that_runs_them(path: Path) -> None:
    assert re.search(rf"^# mnist-exp (-m )?experiment={path.stem}$", path.read_text(), re.MULTILINE)


def test_the_defaults_are_those_of_the_tutorial() -> None:
    experiment = compose()
    assert (experiment.seed, experiment.model.name, experiment.dataset.validation) == (7, "mlp", 5000)
    assert (experiment.training.epochs, experiment.training.batch_size) == (10, 200)
    assert (experiment.optimizer.name, experiment.optimizer.learning_rate) == ("adam", 1e-3)


@pytest.mark.parametrize("name", ["mlp", "cnn_simple", "cnn_large"])
def test_tutorial_recipes_have_no_validation_images(name: str) -> None:
    experiment = compose(f"experiment=tutorial_{name}")
    assert experiment.dataset.validation == 0
    assert experiment.model.name == name


def test_the_experiment_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        compose().seed = 8  # type: ignore[misc]


def test_a_stored_experiment_validates_to_the_same_experiment() -> None:
    experiment = compose("model=cnn_large", "dataset.limit=1000", "threads.intra_op=1")
    again = config.validate(OmegaConf.create(OmegaConf.to_yaml(OmegaConf.create(experiment.model_dump(mode="json")))))
    assert again == experiment
    assert config.validate(experiment.model_dump(mode="json")) == experiment


def test_a_missing_key_is_reported() -> None:
    tree = compose().model_dump(mode="json")
    del tree["seed"]
    with pytest.raises(ConfigError, match="seed: is missing"):
        config.validate(tree)


@pytest.mark.parametrize(
    "override",
    [
        "seed=8",
        "runs_dir=x",
        "name=x",
        "device=cpu",
        "threads.intra_op=1",
        "progress=quiet",
        "training.checkpoint_every=2",
        "tracker=wandb",
    ],
)
def test_the_hash_excludes_the_seed_and_execution_settings(override: str) -> None:
    assert config_hash(compose(override)) == config_hash(compose())


@pytest.mark.parametrize(
    "override",
    [
        "training.epochs=9",
        "precision=bfloat16",
        "evaluation.tta=1",
        "dataset.limit=5000",
        "dataset.split_seed=1",
        "dataset.split_seed=null",
        "model.units=[783]",
        "optimizer=sgd",
        "schedule=cosine",
        "preprocessing=standardize",
    ],
)
def test_the_hash_includes_settings_that_change_the_result(override: str) -> None:
    assert config_hash(compose(override)) != config_hash(compose())


def sections(model: type[BaseModel]) -> list[type[BaseModel]]:
    return [model, *(below for child in model.__subclasses__() for below in sections(child))]


def test_every_float_is_in_the_range_of_float32() -> None:
    count = 0
    for section in sections(Settings):
        for name, schema in section.model_json_schema().get("properties", {}).items():
            if any(option.get("type") == "number" for option in schema.get("anyOf", [schema])):
                count += 1
                field = section.model_fields[name]
                adapter: TypeAdapter[Any] = TypeAdapter(Annotated[field.annotation, None, *field.metadata])
                below_1 = [1 - 1e-9] if '"exclusiveMaximum": 1' in json.dumps(schema) else []
                for value in (5e-324, -5e-324, 1e-39, 3.5e38, 1e308, *below_1):
                    with pytest.raises(ValidationError):
                        adapter.validate_python(value)
    assert count > 30


def test_all_sections_are_strict_and_without_defaults() -> None:
    for section in sections(Settings):
        assert section.model_config == {"extra": "forbid", "frozen": True, "strict": True, "allow_inf_nan": False}, section
        for name, field in section.model_fields.items():
            assert field.is_required(), f"{section.__name__}.{name} has a default outside conf/"


def test_the_configuration_is_checked_without_numpy_and_without_the_network() -> None:
    heavy = ("numpy", "ssl", "rich.progress")
    code = f"import sys, mnist_exp.config.composition as _; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_place_of_files_means_the_same_in_every_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/you")
    roots = {"x y": f"{tmp_path}/x y", "~/a": "/home/you/a", "[b,'c, d']": (f"{tmp_path}/b", f"{tmp_path}/c, d")}
    for typed, expected in roots.items():
        dataset = compose("dataset=kmnist", f"dataset.root={typed}").dataset
        assert dataset.root == (expected if isinstance(expected, tuple) else (expected,))  # type: ignore[union-attr]
    hashes = {config_hash(compose("dataset=kmnist", *more)) for more in ((), ("dataset.root=x",), ("dataset.fetch=true",))}
    assert len(hashes) == 1
    assert config_hash(compose("dataset=fashion_mnist")) not in {*hashes, config_hash(compose())}


def test_the_fingerprints_of_the_described_sets_never_change() -> None:
    """They are part of the `config_hash` of runs."""
    fingerprints = {name: known.description.fingerprint[:16] for name, known in datasets.shipped().items()}
    assert fingerprints == {
        "mnist": "c9d513186716a584",
        "emnist_balanced": "65baa5b4c21a334d",
        "emnist_digits": "55284c99052fdcda",
        "emnist_letters": "f00c8ee7383051d0",
        "fashion_mnist": "c6a4a2dab2f5ed28",
        "kmnist": "7d16a5a9a0207989",
        "qmnist": "a11b335ebc2f29c3",
        "qmnist_test50k": "0cbc08032c46368d",
    }
