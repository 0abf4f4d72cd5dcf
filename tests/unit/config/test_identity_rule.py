"""A setting that is added later, at its "as before" value, changes no hash, and old runs and sweeps are read with it."""

import copy
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from mnist_exp import cli, config
from mnist_exp.comparison.groups import group_runs
from mnist_exp.comparison.rows import read_rows
from mnist_exp.config import additions, identity
from mnist_exp.config.additions import ADDITIONS, Addition, complete, without_additions
from mnist_exp.config.command_line import parse_arguments
from mnist_exp.config.composition import Composition
from mnist_exp.config.identity import (
    EXECUTION_SETTINGS,
    changes,
    config_hash,
    config_hashes,
    flatten,
    recorded_settings,
    unflatten,
)
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import ConfigError
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs.directory import read_config
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import read_record
from mnist_exp.sweep import driver, plan
from mnist_exp.sweep.plan import Sweep
from tests.conftest import ROOT, compose
from tests.unit.run_directories import make_run, plan_of

DATA = ROOT / "tests" / "data"
STORED = sorted(path.parent for path in DATA.rglob("summary.json") if not (path.parent / "ensemble.yaml").exists())
# Present settings as if this version had added them: of a section, of one option, of one kind of layer, and a group.
NEW = (
    Addition("training", "batch_size", 200),
    Addition("optimizer", "beta_1", 0.9, options=("adam",)),
    Addition("model.layers", "momentum", 0.95, options=("batch_norm",)),
    Addition("", "preprocessing", {"name": "unit"}),
)
ADDED_TO_ROOT = ("tf32", "initial_weights", "initial_weights_sha256", "freeze")
ADDED_TO_DATASET = ("validation_of", "split", "kind", "root", "fetch", "fingerprint", "description")


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The version that has added these settings."""
    monkeypatch.setattr(additions, "ADDITIONS", ADDITIONS + NEW)


def sha256(tree: dict[str, Any]) -> str:
    canonical = json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(canonical).hexdigest()[:16]


def old_hash(experiment: Experiment) -> str:
    """The hash by the version without the new settings."""
    return sha256(without_new(experiment.model_dump(mode="json", exclude=EXECUTION_SETTINGS | {"seed": True})))


def without_new(tree: dict[str, Any]) -> dict[str, Any]:
    """The settings of the version without the new ones."""
    tree = copy.deepcopy(tree)
    tree.pop("preprocessing")
    for name in ADDED_TO_DATASET:  # present settings at their value "as before"
        tree["dataset"].pop(name, None)
    for name in ADDED_TO_ROOT:
        tree.pop(name, None)
    tree["training"].pop("class_weights")
    tree["augmentation"].pop("flip", None)
    tree["training"].pop("batch_size")
    tree["optimizer"].pop("beta_1", None)
    for layer in tree["model"].get("layers", []):
        for inner in [layer, *layer.get("layers", [])]:
            inner.pop("momentum", None)
    return tree


def make_old_run(directory: Path, *overrides: str) -> Run:
    """A completed run of the version without the new settings."""
    run = Run(make_run(directory, 100, *overrides))
    tree = without_new(yaml.safe_load(run.config.read_text()))
    run.config.write_text(yaml.safe_dump(tree))
    known = {"settings": recorded_settings(tree), "config_hash": old_hash(compose(*overrides))}
    files.write_json(run.summary, read_json(run.summary) | known)
    return run


# The present settings


@pytest.mark.parametrize("overrides", [(), ("model=resnet", "augmentation=affine", "optimizer=sgd"), ("evaluation.tta=1",)])
def test_all_present_settings_count(overrides: tuple[str, ...]) -> None:
    experiment = compose(*overrides)
    tree = experiment.model_dump(mode="json", exclude=EXECUTION_SETTINGS | {"seed": True})
    del tree["training"]["class_weights"]  # added after the first versions
    for name in ADDED_TO_ROOT:
        tree.pop(name)
    tree["augmentation"].pop("flip", None)
    for name in ADDED_TO_DATASET:
        tree["dataset"].pop(name, None)
    assert config_hash(experiment) == sha256(tree)
    settings = recorded_settings(experiment.model_dump(mode="json"))
    assert identity.hash_of_settings(settings) == config_hash(experiment)
    assert identity.complete(settings) is settings


@pytest.mark.parametrize("directory", STORED, ids=lambda path: str(path.relative_to(DATA)))
def test_stored_hashes_are_known(directory: Path) -> None:
    stored = json.loads(Run(directory).summary.read_text())["config_hash"]
    hashes = list(config_hashes(config.validate(read_config(Run(directory)))))
    assert stored in hashes
    assert (stored == hashes[0]) == ("schema_3" in str(directory))


def test_settings_of_the_first_version_are_completed_to_valid_ones() -> None:
    tree = compose().model_dump(mode="json")
    expected = copy.deepcopy(tree) | {"threads": tree["threads"] | {"towers": 1}}
    for addition in ADDITIONS:
        for section in additions._sections_with(addition, tree):
            del section[addition.key]
    flat_settings = flatten(tree)
    assert complete(tree) == expected
    assert identity.complete(flat_settings) == flatten(expected)
    config.validate(tree)


@pytest.mark.parametrize(
    "tree", [{"training": 3, "model": []}, {"optimizer": {"name": ["adam"]}, "x": {1: 2}}, {"model": {"layers": [3, [4]]}}]
)
@pytest.mark.usefixtures("newer")
def test_what_does_not_fit_stays_as_it_is(tree: dict[str, Any]) -> None:
    assert complete(copy.deepcopy(tree)).items() >= tree.items()


@pytest.mark.parametrize("key", ["training" + ".x" * 5000, "name.x"])
def test_a_summary_with_hostile_keys_is_unreadable(key: str) -> None:
    run = Run(make_run(Path("run"), 100))
    content = read_json(run.summary)
    del content["settings"]["training.select"]
    content["settings"][key] = 1
    run.summary.write_text(json.dumps(content))
    record = read_record(run.directory)
    assert (record.status, "settings" in str(record.cause)) == ("unreadable", True)


def test_a_config_that_contains_itself_is_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(additions, "ADDITIONS", NEW)
    run = Run(Path())
    run.config.write_text("model: {layers: &again [{name: residual, layers: *again}]}")
    with pytest.raises(ValueError, match="part of itself"):
        read_config(run)


def test_validation_images_that_earlier_versions_could_choose_have_the_same_hash() -> None:
    assert {config_hash(compose(*overrides)) for overrides in ((), ("dataset.validation=5000",))} == {"8d9e98ae13e02c86"}
    assert config_hash(compose("experiment=cnn_best")) == "24d3f3336a811b23"
    assert config_hash(compose("dataset.limit=6000")) == "56635fced356d4aa"
    limited = config_hash(compose("dataset.limit=6000"))
    assert limited == config_hash(compose("dataset.limit=6000", "dataset.validation=5000", "dataset.validation_of=all"))
    assert limited != config_hash(compose("dataset.limit=6000", "dataset.validation=500"))


# A setting that is added later


@pytest.mark.parametrize("overrides", [("optimizer=adam",), ("model=resnet", "optimizer=sgd"), ("model=cnn_tiny",)])
def test_hashes_stay_at_the_values_as_before(overrides: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    experiment = compose(*overrides)
    assert config_hash(experiment) != old_hash(experiment)
    request.getfixturevalue("newer")
    assert config_hash(experiment) == old_hash(experiment)


@pytest.mark.parametrize(
    "override", ["training.batch_size=100", "optimizer.beta_1=0.8", "preprocessing=standardize", "optimizer=adamw"]
)
@pytest.mark.usefixtures("newer")
def test_hashes_change_at_other_values(override: str) -> None:
    assert config_hash(compose(override)) not in set(config_hashes(compose()))


@pytest.mark.usefixtures("newer")
def test_settings_of_layers_at_any_depth_are_completed() -> None:
    tree = compose("model=resnet").model_dump(mode="json")
    old = without_new(tree)
    assert "momentum" not in repr(old["model"])
    assert identity.complete(flatten(old)) == recorded_settings(tree)
    assert old == without_new(tree)  # not changed
    assert complete(old)["model"] == tree["model"]


def test_a_setting_is_added_to_a_group_that_was_added(monkeypatch: pytest.MonkeyPatch) -> None:
    table = (Addition("", "pruning", {"name": "none"}), Addition("pruning", "share", 0.5, options=("none",)))
    monkeypatch.setattr(additions, "ADDITIONS", table)
    assert complete({}) == {"pruning": {"name": "none", "share": 0.5}}
    assert without_additions(complete({})) == {}
    for kept in ({"name": "none", "share": 0.4}, {"name": "magnitude", "share": 0.5}):
        assert without_additions({"pruning": dict(kept)}) == {"pruning": kept}


@pytest.mark.usefixtures("newer")
def test_an_old_run_is_read_with_the_settings() -> None:
    run = make_old_run(Path("runs/old"), "seed=1")
    assert config.validate(read_config(run)) == compose("seed=1")
    with pytest.raises(ConfigError):
        config.validate(yaml.safe_load(run.config.read_text()))


@pytest.mark.usefixtures("newer")
def test_an_old_checkpoint_is_of_the_same_experiment() -> None:
    before = flatten(without_new(unflatten(identity.identity(compose("model=resnet")))))
    assert changes(before, identity.identity(compose("model=resnet"))) == []
    other = identity.identity(compose("model=resnet", "training.batch_size=100"))
    assert changes(before, other) == ["training.batch_size: 200 → 100"]


@pytest.mark.usefixtures("newer")
def test_old_and_new_runs_are_repetitions() -> None:
    make_old_run(Path("runs/old"), "seed=1")
    make_run(Path("runs/same"), 100, "seed=2")
    make_run(Path("runs/other"), 100, "seed=3", "training.batch_size=100")
    groups = group_runs(read_rows([Path("runs")]), None)
    assert [(sorted(map(str, group.seeds)), group.settings) for group in groups] == [
        (["1", "2"], {"training.batch_size": 200}),
        (["3"], {"training.batch_size": 100}),
    ]


@pytest.mark.usefixtures("newer")
def test_an_ensemble_gets_no_setting_that_its_members_may_not_share() -> None:
    ensemble = Run(DATA / "runs_schema_3" / "last" / "ensemble")
    found = read_record(ensemble.directory).summary
    assert found is not None
    assert found.settings == json.loads(ensemble.summary.read_text())["settings"]
    assert "preprocessing" not in read_config(ensemble)


# A sweep that was planned before


@pytest.fixture
def old_sweep() -> Sweep:
    """A sweep of three seeds by the version without the new settings; two jobs have a directory."""
    overrides = ["model.units=[2]", "seed=1,2,3"]
    jobs, experiments = plan.extend_jobs([], Composition(parse_arguments(["-m", *overrides])).combinations())
    jobs = [job.model_copy(update={"config_hash": old_hash(experiments[job.number])}) for job in jobs]
    sweep = Sweep(Path("sweep"))
    sweep.directory.mkdir()
    plan.write(sweep, plan_of(jobs, *overrides))
    make_old_run(sweep.run(jobs[0]).directory, *jobs[0].overrides)
    make_old_run(sweep.run(jobs[1]).directory, *jobs[1].overrides).summary.unlink()
    return sweep


@pytest.mark.usefixtures("newer")
def test_a_sweep_of_before_resumes(old_sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = plan.read(old_sweep).jobs
    assert cli.main(["resume", "sweep", "sweep.dry_run=true"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["2", "3", "2"]  # and "2 jobs"
    assert driver._is_config_of(jobs[1], old_sweep.run(jobs[1]))
    assert cli.main(["resume", "sweep", "sweep.dry_run=true", "seed=1,2,3,4"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["2", "3", "4", "3"]


@pytest.mark.usefixtures("old_sweep")
def test_a_sweep_is_not_resumed_where_its_options_have_another_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(additions, "ADDITIONS", (*ADDITIONS, Addition("training", "batch_size", 100), *NEW[1:]))
    assert cli.main(["resume", "sweep", "sweep.dry_run=true"]) == 2
    assert "its overrides now compose to another experiment" in capsys.readouterr().err


def test_a_sweep_of_schema_2_is_extended(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(DATA / "runs_schema_2" / "sweep", "sweep")
    assert cli.main(["resume", "sweep", "sweep.dry_run=true", "seed=1,2,3,4"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["3", "4", "2"]
