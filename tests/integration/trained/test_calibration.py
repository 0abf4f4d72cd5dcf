"""The calibration of a network with random weights, stored in its run directory."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mnist_exp.comparison.rows import read_rows
from mnist_exp.datasets.dataset import Dataset, Split
from mnist_exp.trained import calibration, trained_run
from mnist_exp.trained.calibration import calibrate
from mnist_exp.trained.network import rebuild
from mnist_exp.trained.trained_run import TrainedRun
from tests.integration.ensemble.test_ensemble import untrained
from tests.integration.models.test_averaging import SAVES

pytestmark = SAVES


@pytest.fixture(scope="module")
def run_once(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> Path:
    return untrained(tmp_path_factory.mktemp("calibration") / "a", digits, "model=mlp", "model.units=[8]")


@pytest.fixture
def trained(run_once: Path, tmp_path: Path) -> TrainedRun:
    shutil.copytree(run_once, tmp_path / "a")
    return trained_run.read(read_rows([tmp_path / "a"])[0])


def test_it_is_computed_once_and_changes_no_result(trained: TrainedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = trained.run.summary.read_bytes()
    computed = calibrate(trained, rebuild(trained))
    assert computed is not None
    assert len(computed.true_probabilities) == len(trained.split.validation) == 100
    monkeypatch.setattr(calibration, "fit", lambda *_: pytest.fail("computed again"))
    stored = calibrate(trained, rebuild(trained))
    assert stored is not None
    assert stored.temperature == computed.temperature
    assert np.array_equal(stored.true_probabilities, computed.true_probabilities)
    assert trained.run.summary.read_bytes() == summary


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model_sha256", "0" * 64),
        ("split_sha256", "0" * 64),
        ("temperature", -1.0),
        ("true_probabilities", [0.5]),
        ("true_probabilities", [2.0] * 100),
        ("schema", 99),
    ],
)
def test_of_another_model_or_damaged_it_is_computed_again(trained: TrainedRun, key: str, value: object) -> None:
    right = calibrate(trained, rebuild(trained))
    content = json.loads(trained.run.calibration.read_text())
    trained.run.calibration.write_text(json.dumps(content | {key: value}))
    again = calibrate(trained, rebuild(trained))
    assert right is not None
    assert again is not None
    assert again.temperature == right.temperature
    assert json.loads(trained.run.calibration.read_text()) == content


def test_a_run_without_validation_images_has_none(trained: TrainedRun) -> None:
    none_held_out = replace(trained, split=Split(trained.split.train, trained.split.validation[:0]))
    assert calibrate(none_held_out, rebuild(trained)) is None
    assert not trained.run.calibration.exists()
