"""An ensemble of networks with random weights: all its files against NumPy, and members with a foreign model."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import yaml

from mnist_exp import datasets
from mnist_exp.config.schema import ThreadsConfig
from mnist_exp.datasets.dataset import Dataset, split
from mnist_exp.ensemble import build, members
from mnist_exp.errors import IntegrityError
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_json
from mnist_exp.models import averaging, preprocessing
from mnist_exp.models.build import build_model
from mnist_exp.runs import evaluation
from mnist_exp.runs.outcome import run_locked
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import REBUILD_HINT, read_record
from mnist_exp.runs.summary import Summary, dataset_summary
from mnist_exp.trained import network
from mnist_exp.training import device
from mnist_exp.training.prediction import Predictor
from tests.conftest import compose
from tests.integration.models.test_averaging import SAVES, SMALL, small
from tests.unit.run_directories import make_run

pytestmark = SAVES
THREADS = ThreadsConfig(towers=None, intra_op=None, inter_op=None)
CHOICES = [
    ("model=cnn_large", *SMALL, "seed=1"),
    ("model=cnn_large", *SMALL, "seed=2", "evaluation.tta=1"),
    ("model=mlp", "model.units=[8]", "seed=3", "precision=bfloat16", "preprocessing=standardize"),
]
SPLIT = ("dataset.limit=2000", "dataset.validation=100")


def untrained(directory: Path, digits: Dataset, *overrides: str) -> Path:
    """Write the run directory of a network with random weights, as if it was trained."""
    make_run(directory, 0, *SPLIT, *overrides, validation_errors=0)
    run = Run(directory)
    settings = compose(*SPLIT, *overrides)
    parts = split(digits.train_labels, settings.dataset.limit, 100, settings.dataset.split_seed)
    device.prepare("cpu", settings.precision, settings.threads, 200, settings.seed)
    scaling = preprocessing.build(settings.preprocessing, digits.train_images[parts.train])
    model = averaging.over_shifts(build_model(settings.model, scaling, (28, 28, 1), 10), settings.evaluation.tta)
    model.save(run.model)
    probabilities = Predictor(model, towers=1, passes=9)(digits.test_images)
    files.write_arrays(run.predictions, {"probabilities": probabilities, "labels": digits.test_labels})
    summary = read_json(run.summary)
    summary["dataset"] = dataset_summary(digits, parts).model_dump()
    summary["model"]["parameters"] = model.count_params()
    summary["test"] = evaluation.score(probabilities, digits.test_labels)
    summary["wrong_images"] = evaluation.pack_wrong_images(probabilities, digits.test_labels)
    files.write_json(run.summary, summary)
    return directory


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> Path:
    place = tmp_path_factory.mktemp("members")
    for name, overrides in zip("abc", CHOICES, strict=True):
        untrained(place / name, digits, *overrides)
    return place


def built(place: Path, *chosen: Path, test_groups: np.ndarray | None = None) -> tuple[Run, Summary]:
    run = Run(place)
    place.mkdir()
    ensemble = members.read_ensemble("three", chosen)
    ensemble = replace(ensemble, data=replace(ensemble.data, test_groups=test_groups))
    run.ensemble.write_text(ensemble.to_yaml(place))
    return run, build.build_ensemble(ensemble, run, "cpu", THREADS)


def test_every_file_describes_the_mean(trained_once: Path, tmp_path: Path, digits: Dataset) -> None:
    run, summary = built(tmp_path / "e", *(trained_once / name for name in "abc"))
    stored = [np.load(trained_once / name / "predictions.npz")["probabilities"] for name in "abc"]
    mean = np.mean(stored, axis=0, dtype=np.float64)
    with np.load(run.predictions) as found:
        assert found["probabilities"].dtype == np.float32
        assert np.array_equal(found["probabilities"], mean.astype(np.float32))
        assert np.array_equal(found["labels"], digits.test_labels)
    model = keras.saving.load_model(run.model, compile=False, safe_mode=True)
    assert np.asarray(model(digits.test_images[:50])) == pytest.approx(mean[:50], abs=1e-2)  # one is in bfloat16
    of_members = [read_record(trained_once / name).summary for name in "abc"]
    summaries = [one for one in of_members if one is not None]
    assert summary.model.parameters == model.count_params() == sum(one.model.parameters for one in summaries)
    assert summary.test.errors == int(np.count_nonzero(mean.argmax(axis=1) != digits.test_labels))
    assert read_json(run.errors)["overall"]["errors"] == summary.test.errors
    held_out = split(digits.train_labels, 2000, 100, 0).validation
    score = evaluation.score(np.asarray(model(digits.train_images[held_out])), digits.train_labels[held_out])
    assert summary.validation is not None
    assert summary.validation.n == 100
    assert summary.validation.loss == pytest.approx(score["loss"], abs=1e-3)
    assert (summary.epochs, summary.train_seconds, summary.images_per_second) == (30, 60.0, 1000.0)
    assert summary.wall_seconds > sum(one.wall_seconds for one in summaries)
    assert summary.dataset.train == 1900
    assert (summary.seed, summary.settings["ensemble.members"], summary.settings["name"]) == (None, 3, "three")
    assert "model.name" not in summary.settings
    assert "seed" not in summary.settings
    assert summary.settings["dataset.limit"] == 2000
    assert summary.members is not None
    assert [one.seed for one in summary.members] == [1, 2, 3]
    assert run_locked(run, lambda: summary, REBUILD_HINT) == 0
    assert read_record(run.directory).summary == summary
    page = run.report.read_text()
    assert page.count("report.html") == 0  # the members have none here
    assert "McNemar&#39;s exact test" in page
    for absent in ("Learning curves", "<h2>Time</h2>", "learning rate"):
        assert absent not in page
    assert {path.name for path in run.figures.iterdir()} == {"reliability.svg", "worst_mistakes.png"}


def test_the_same_members_in_another_order_are_the_same_ensemble(trained_once: Path, tmp_path: Path) -> None:
    _, one = built(tmp_path / "one", trained_once / "a", trained_once / "c")
    _, other = built(tmp_path / "other", trained_once / "c", trained_once / "a")
    _, third = built(tmp_path / "third", trained_once / "a", trained_once / "b")
    assert one.config_hash == other.config_hash != third.config_hash
    assert one.test == other.test


def test_groups_of_the_images_are_units(trained_once: Path, tmp_path: Path) -> None:
    place = tmp_path / "members"
    groups = np.arange(10_000, dtype=np.int32) // 40
    for name in "ac":
        shutil.copytree(trained_once / name, place / name)
        run = Run(place / name)
        with np.load(run.predictions) as stored:
            files.write_arrays(run.predictions, {**stored, "image_groups": groups})
            wrong = stored["probabilities"].argmax(axis=1) != stored["labels"]
        section = evaluation.grouped_error(wrong, groups) | {"sha256": files.array_sha256(groups)}
        files.write_json(run.summary, read_json(run.summary) | {"image_groups": section})
    run, summary = built(tmp_path / "mean", place, test_groups=groups)
    assert summary.image_groups is not None
    assert summary.image_groups.n == 250
    assert "McNemar&#39;s test for groups of images" in run.report.read_text()


def test_members_with_different_splits_have_no_validation_error(trained_once: Path, tmp_path: Path, digits: Dataset) -> None:
    other = untrained(tmp_path / "d", digits, *CHOICES[2], "dataset.split_seed=1")
    _, summary = built(tmp_path / "e", trained_once / "a", other)
    assert summary.validation is None
    assert summary.dataset.validation == 0
    assert 1900 < summary.dataset.train <= 3800


def replace_model(directory: Path, precision: str) -> None:
    """Replace the model of a run by another one of the same architecture."""
    model = small(*SMALL, f"precision={precision}", seed=99)
    model.get_layer("logits").bias.assign(np.arange(10) / (20 if precision == "float32" else 1))
    model.save(Run(directory).model)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_model_of_another_run_is_refused(precision: str, trained_once: Path, tmp_path: Path, digits: Dataset) -> None:
    other = untrained(tmp_path / "d", digits, *CHOICES[0], f"precision={precision}")
    replace_model(other, precision)
    with pytest.raises(IntegrityError) as raised:
        built(tmp_path / "e", trained_once / "a", other)
    assert raised.value.cause.startswith(f"{other / 'model.keras'}: its probabilities differ by up to 0.")
    assert not Run(tmp_path / "e").summary.exists()
    assert not Run(tmp_path / "e").model.exists()


def test_a_failure_is_recorded_in_the_directory(
    trained_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: Dataset
) -> None:
    run = Run(tmp_path)
    ensemble = members.read_ensemble("x", [trained_once])

    def fail(*_: Any) -> None:
        raise failure

    failure: BaseException = IntegrityError("the cause", "the remedy")
    monkeypatch.setattr(network, "load_weights", fail)
    work = partial(build.build_ensemble, ensemble, run, "cpu", THREADS)
    assert run_locked(run, work, REBUILD_HINT) == 3
    record = read_record(tmp_path)
    assert (record.status, record.cause, record.remedy) == ("failed", "the cause", "the remedy")
    failure = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run_locked(run, work, REBUILD_HINT)
    record = read_record(tmp_path)
    assert (record.status, record.remedy) == ("interrupted", REBUILD_HINT)
    assert datasets.load("mnist") is digits  # the images were the real ones


def test_the_number_of_parameters_is_checked_before_a_network_is_built(
    trained_once: Path, tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Run(untrained(tmp_path / "d", digits, "model=mlp", "model.units=[8]", "seed=9"))
    settings = yaml.safe_load(other.config.read_text())
    settings["model"]["units"] = [3000, 3000]
    other.config.write_text(yaml.safe_dump(settings))
    monkeypatch.setattr(network, "build_model", lambda *_: pytest.fail("a network was built"))
    with pytest.raises(IntegrityError, match=r"config\.yaml: its network has 11,388,010 parameters, but summary\.json"):
        built(tmp_path / "e", other.directory, trained_once / "a")
    summary = read_json(other.summary)
    summary["model"]["parameters"] = 11_388_010
    files.write_json(other.summary, summary)
    with pytest.raises(IntegrityError, match=r"model\.keras: its [0-9,]+ bytes cannot contain 11,388,010 parameters"):
        built(tmp_path / "f", other.directory, trained_once / "a")
