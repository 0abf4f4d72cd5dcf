"""Runs that continue others: trained longer with their whole state, or started with their weights on other images."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mnist_exp.machine.model_files import read_layers
from tests.conftest import Command
from tests.end_to_end.conftest import Once
from tests.end_to_end.test_run import metrics, weights
from tests.forks import Forks

LAYERS = "{name: dense, units: 8}, {name: batch_norm, momentum: 0.5}, {name: activation}, {name: dropout}, {name: logits}"
NETWORK = ("model=mlp_deep", f"model.layers=[{{name: flatten}}, {LAYERS}]", "dataset.limit=600", "training.batch_size=64")
STATEFUL = (
    *NETWORK, "model.dropout=0.2", "augmentation=affine", "optimizer=adam", "schedule.warmup_epochs=1",
    "training.ema_decay=0.9", "training.select=best", "training.early_stopping_patience=3",
)  # fmt: skip


def only_run(place: Path, label: str) -> Path:
    (found,) = place.glob(f"runs/*_{label}_s7*")
    return found


@pytest.fixture(scope="module")
def place(once: Once, forks: Forks) -> Path:
    """A directory with a run of two epochs; to be read only."""

    def fill(directory: Path) -> None:
        result = forks.run(*STATEFUL, "training.epochs=2", "name=short", cwd=directory)
        assert result.returncode == 0, result.stderr

    return once("short_run", fill)


def test_a_run_trained_longer_is_bit_identical_to_a_long_run(place: Path, command: Command, tmp_path: Path) -> None:
    shutil.copytree(place / "runs", tmp_path / "runs")
    short = only_run(tmp_path, "short")
    longer = command("resume", short.name, "training.epochs=4")
    assert longer.returncode == 0, longer.stderr
    assert "resumed after epoch 2" in longer.stderr
    (extended,) = set(tmp_path.glob("runs/*_short_s7*")) - {short}
    assert f"{extended.relative_to(tmp_path)}: continues {short.relative_to(tmp_path)} to epoch 4" in longer.stderr
    assert command(*STATEFUL, "training.epochs=4", "name=long").returncode == 0
    whole = only_run(tmp_path, "long")
    assert weights(extended) == weights(whole) != weights(short)
    assert metrics(extended) == metrics(whole)
    arrays = [np.load(run / "predictions.npz")["probabilities"] for run in (extended, whole)]
    assert np.array_equal(*arrays)
    hashes = {run: json.loads((run / "summary.json").read_text())["config_hash"] for run in (short, extended, whole)}
    assert hashes[extended] == hashes[whole] != hashes[short]
    origin = f"short, seed 7 (../{short.name}) after epoch 2"
    assert origin in " ".join(command("show", extended.name, env={"COLUMNS": "200"}).stdout.split())
    assert origin in (extended / "report.html").read_text()


def test_a_run_starts_from_the_weights_of_another_on_other_images(place: Path, command: Command, tmp_path: Path) -> None:
    shutil.copytree(place / "runs", tmp_path / "runs")
    generator = np.random.default_rng(0)
    images, labels = generator.integers(0, 256, (120, 28, 28), np.uint8), np.arange(120) % 3
    np.savez(tmp_path / "own.npz", x_train=images, y_train=labels, x_test=images[:30], y_test=labels[:30])
    own = ("dataset=npz", "dataset.path=own.npz", "training.epochs=1", "training.batch_size=32", "optimizer=adamw")
    started = command(*NETWORK[:2], *own, "initial_weights=short", "name=own")
    assert started.returncode == 2
    assert "run not found" in started.stderr
    short = only_run(tmp_path, "short")
    started = command(*NETWORK[:2], *own, f"initial_weights={short.name}", "freeze=[dense_1,batch_norm_1]", "name=own")
    assert started.returncode == 0, started.stderr
    text = "copied dense_1, batch_norm_1; initialized logits (other classes)"
    assert f"weights of {short} (mlp_deep, mnist): {text}" in started.stderr
    run = only_run(tmp_path, "own")
    before, after = (read_layers(one / "model.keras") for one in (short, run))
    for name in ("dense_1", "batch_norm_1"):
        assert all(np.array_equal(*pair) for pair in zip(before[name], after[name], strict=True))
    assert after["logits"][0].shape == (8, 3)
    lineage = json.loads((run / "summary.json").read_text())["lineage"]
    assert lineage == json.loads((run / "lineage.json").read_text())
    assert (lineage["initial_weights"]["run"], lineage["initial_weights"]["dataset"]) == (f"../{short.name}", "mnist")
    page = (run / "report.html").read_text()
    assert text in page
    assert "dense_1, batch_norm_1" in page


def test_a_sweep_has_several_runs_to_start_from(place: Path, command: Command, tmp_path: Path) -> None:
    shutil.copytree(place / "runs", tmp_path / "runs")
    network = ("model=mlp", "model.units=[8]", "dataset.limit=600", "training.epochs=1")  # with two layers of the other
    arguments = (*network, "initial_weights=latest,null", "hydra/launcher=joblib")
    result = command("-m", *arguments, "sweep.name=starts")
    assert result.returncode == 0, result.stderr
    (sweep,) = tmp_path.glob("runs/*_starts")
    summaries = [json.loads(path.read_text()) for path in sorted(sweep.glob("*/summary.json"))]
    short = only_run(tmp_path, "short")
    assert [one["settings"]["initial_weights"] for one in summaries] == [str(short), None]
    started, random = (one["lineage"] for one in summaries)
    assert (started["initial_weights"]["copied"], random) == (["dense_1", "logits"], None)
    assert len({one["config_hash"] for one in summaries}) == 2
    assert "initial_weights" in result.stdout
    again = command("resume", sweep.name)  # `latest` would be the sweep itself
    assert again.returncode == 0, again.stderr
    assert "2 of 2 jobs completed" in again.stdout
