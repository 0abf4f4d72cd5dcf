"""One run through the real command: its output, its files, and its reproducibility."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from mnist_exp import config
from mnist_exp.config.identity import config_hash, recorded_settings
from mnist_exp.runs import evaluation
from tests.conftest import TINY, Command
from tests.end_to_end.conftest import Once
from tests.forks import Forks

SUMMARY_KEYS = {
    "schema", "name", "status", "seed", "config_hash", "dataset", "model", "test", "wrong_images", "validation", "epochs",
    "best_epoch", "train_seconds", "wall_seconds", "images_per_second", "compile_seconds", "settings", "members",
    "image_groups", "lineage",
}  # fmt: skip
FILES = {
    "config.yaml", "overrides.yaml", "environment.json", "train.log", "history.csv", "checkpoints", "model.keras",
    "predictions.npz", "errors.json", "report.html", "figures", "status.json", "summary.json", ".lock",
}  # fmt: skip
METRICS = ("epoch", "learning_rate", "train_loss", "train_error_percent", "validation_loss", "validation_error_percent")


def metrics(directory: Path) -> list[dict[str, str]]:
    """The rows of history.csv without times."""
    with (directory / "history.csv").open() as file:
        return [{name: row[name] for name in METRICS} for row in csv.DictReader(file)]


def weights(directory: Path) -> str:
    """SHA-256 of all weights, from the log."""
    (found,) = re.findall(r"weights SHA-256 ([0-9a-f]{64})", (directory / "train.log").read_text())
    return found


def test_the_directory_contains_exactly_its_files(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} == FILES
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d_mlp_s7", trained.name)
    assert [path.name for path in sorted((trained / "checkpoints").iterdir())] == ["epoch_000001", "epoch_000002"]


def test_the_summary_has_its_schema_and_agrees_with_the_predictions(trained: Path) -> None:
    summary = json.loads((trained / "summary.json").read_text())
    assert set(summary) == SUMMARY_KEYS
    assert summary["schema"] == 4
    assert summary["status"] == "completed"
    assert set(summary["dataset"]) == {"name", "sha256", "labels_sha256", "split_sha256", "train", "validation", "test"}
    assert summary["settings"] == recorded_settings(yaml.safe_load((trained / "config.yaml").read_text()))
    assert summary["members"] is None
    assert set(summary["model"]) == {"name", "parameters"}
    assert set(summary["test"]) == set(summary["validation"]) == {"n", "errors", "error_percent", "ci95", "loss"}
    assert (summary["dataset"]["train"], summary["dataset"]["validation"], summary["test"]["n"]) == (550, 50, 10_000)
    assert summary["model"] == {"name": "mlp", "parameters": 784 * 16 + 16 + 16 * 10 + 10}
    with np.load(trained / "predictions.npz", allow_pickle=False) as archive:
        assert summary["test"] == evaluation.score(archive["probabilities"], archive["labels"])
    assert 5 < summary["test"]["error_percent"] < 85  # better than guessing; 550 images and two epochs are little


def test_errors_json_agrees_with_the_summary(trained: Path) -> None:
    errors = json.loads((trained / "errors.json").read_text())
    summary = json.loads((trained / "summary.json").read_text())
    assert errors["overall"]["errors"] == summary["test"]["errors"]
    assert len(errors["worst_mistakes"]) == 50
    assert len(errors["calibration"]["bins"]) == 15
    assert len(errors["per_class"]) == len(errors["confusion_matrix"]) == 10


def test_the_configuration_validates_again_to_the_same_experiment(trained: Path) -> None:
    experiment = config.validate(yaml.safe_load((trained / "config.yaml").read_text()))
    assert config_hash(experiment) == json.loads((trained / "summary.json").read_text())["config_hash"]
    assert experiment.model.units == (16,)
    assert yaml.safe_load((trained / "overrides.yaml").read_text()) == [*TINY, "runs_dir=runs"]


def test_the_environment_is_recorded(trained: Path) -> None:
    environment = json.loads((trained / "environment.json").read_text())
    assert environment["argv"][-len(TINY) - 1 :] == [*TINY, "runs_dir=runs"]
    assert environment["versions"]["tensorflow"].startswith("2.")
    assert environment["device"] == "/CPU:0"
    assert environment["threads"]["intra_op"] >= 1
    assert environment["resumed"] == []
    assert environment["cores"]["present"] >= 1
    git = environment["git"]
    assert git is None or re.fullmatch("[0-9a-f]{40}", git["commit"])


def test_the_output_of_a_run(trained: Path) -> None:
    place = trained.parent.parent
    out, err = (place / "stdout").read_text(), (place / "stderr").read_text()
    assert "test error" in out
    assert trained.name in out
    assert out.splitlines()[-1] == f"report: {(trained / 'report.html').as_uri()}"
    lines = err.splitlines()
    assert len(lines) == 2, err  # a line for each epoch, and no messages of libraries
    assert re.fullmatch(
        r"epoch 1/2  loss \d\.\d{4}  accuracy +\d+\.\d\d %  validation error \d+\.\d\d %  [\d,]+ images/s  \d+\.\d s"
        r"  compiled in \d+\.\d s",
        lines[0],
    )


@pytest.fixture(scope="module")
def in_bfloat16(once: Once, forks: Forks) -> Path:
    """A run in bfloat16."""
    overrides = (
        "precision=bfloat16", "preprocessing=standardize", "model=cnn_simple", "model.filters=[4]", "threads.towers=3",
        "threads.intra_op=1", "threads.inter_op=1",
    )  # fmt: skip
    place = once("in_bfloat16", lambda place: forks.run(*TINY, *overrides, cwd=place).check_returncode())
    (directory,) = (place / "runs").iterdir()
    return directory


def test_the_saved_models_are_plain_keras_with_the_logged_hash_and_reproduce_the_predictions(
    trained: Path, in_bfloat16: Path
) -> None:
    code = """
import hashlib, sys, keras, numpy as np
from mnist_exp import datasets
model = keras.models.load_model(sys.argv[1])
images = datasets.load("mnist").test_images
assert images.dtype == np.uint8
expected = np.load(sys.argv[2])["probabilities"]
for batch_size in (32, 1, 10_000):
    count = min(len(images), 200 * batch_size)
    predicted = model.predict(images[:count], batch_size=batch_size, verbose=0)
    np.testing.assert_allclose(predicted, expected[:count], atol=1e-6)
    assert np.array_equal(predicted.argmax(axis=1), expected[:count].argmax(axis=1))
flat = keras.models.load_model(sys.argv[1])  # images without a channel axis, as other libraries load them
np.testing.assert_allclose(flat.predict(images[:7, :, :, 0], verbose=0), expected[:7], atol=1e-6)
predicted = keras.models.load_model(sys.argv[3]).predict(images, batch_size=1000, verbose=0)
np.testing.assert_allclose(predicted, np.load(sys.argv[4])["probabilities"], atol=1e-2)
print(hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest())
"""
    arguments = [str(run / name) for run in (trained, in_bfloat16) for name in ("model.keras", "predictions.npz")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == weights(trained)


def test_the_same_command_gives_the_same_weights_and_another_seed_does_not(
    trained: Path, command: Command, tmp_path: Path
) -> None:
    assert command(*TINY).returncode == 0
    assert command(*TINY, "seed=8").returncode == 0
    again, other = sorted((tmp_path / "runs").iterdir(), key=lambda path: path.name[-1])
    assert weights(again) == weights(trained)
    assert metrics(again) == metrics(trained)
    assert weights(other) != weights(trained)
    assert metrics(other) != metrics(trained)
    same = [json.loads((path / "summary.json").read_text())["config_hash"] for path in (trained, again, other)]
    assert len(set(same)) == 1


def test_a_run_stops_early_with_its_best_epoch(command: Command, tmp_path: Path) -> None:
    done = command(
        *TINY,
        "optimizer.learning_rate=0.03",
        "training.epochs=60",
        "training.early_stopping_patience=3",
        "training.select=best",
    )
    assert done.returncode == 0, done.stderr
    (directory,) = (tmp_path / "runs").iterdir()
    summary = json.loads((directory / "summary.json").read_text())
    rows = metrics(directory)
    assert summary["epochs"] == len(rows) == summary["best_epoch"] + 3 < 60
    best = rows[summary["best_epoch"] - 1]
    assert summary["validation"]["error_percent"] == float(best["validation_error_percent"])
    assert summary["validation"]["loss"] == pytest.approx(float(best["validation_loss"]), rel=1e-6)
    assert summary["validation"]["error_percent"] == min(float(row["validation_error_percent"]) for row in rows)


def test_show_prints_the_run(trained: Path, command: Command) -> None:
    error = json.loads((trained / "summary.json").read_text())["test"]["error_percent"]
    for arguments in (("show",), ("show", "latest"), ("show", trained.name), ("show", str(trained))):
        done = command(*arguments, cwd=trained.parent.parent)
        assert done.returncode == 0, done.stderr
        assert f"{error:.2f} %" in done.stdout
    assert f"did you mean {trained.name}?" in command("show", trained.name[:-1], cwd=trained.parent.parent).stderr


def test_a_runs_dir_with_special_characters(command: Command, tmp_path: Path) -> None:
    name = "my 'runs', a=b [1]"
    done = command(*TINY, "training.epochs=1", "progress=quiet", f'runs_dir="{name}"')
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (directory,) = (tmp_path / name).iterdir()
    assert (directory / "summary.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_run_in_bfloat16_has_its_threads(in_bfloat16: Path) -> None:
    recorded = json.loads((in_bfloat16 / "environment.json").read_text())
    assert recorded["threads"] == {"intra_op": 1, "inter_op": 1, "towers": 3}
    assert "in bfloat16" in (in_bfloat16 / "train.log").read_text()


def test_starting_tensorflow_imports_no_unneeded_packages() -> None:
    """In a new process: that of the tests has started TensorFlow already."""
    code = """
import importlib, os, pathlib, sys
from mnist_exp.machine import backend
with backend.tensorflow(pathlib.Path(os.devnull), quiet=True):
    assert "tensorflow" in sys.modules
    assert not {*backend.NOT_NEEDED} & {*sys.modules}
for package in backend.NOT_NEEDED:
    importlib.import_module(package)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not Path("/usr/share/datasets/fashion-mnist").is_dir(), reason="needs Debian's dataset-fashion-mnist")
def test_a_recipe_of_another_data_set_trains(command: Command, tmp_path: Path) -> None:
    network = ("model.layers=[{name:flatten},{name:logits}]", "model.dropout=0")  # its own takes 15 s
    quick = (*network, "dataset.limit=600", "training.epochs=1", "schedule.warmup_epochs=0", "progress=quiet")
    done = command("experiment=fashion_best", *quick)
    assert done.returncode == 0, done.stderr
    (summary,) = (json.loads(path.read_text()) for path in tmp_path.glob("runs/*/summary.json"))
    assert (summary["name"], summary["dataset"]["name"]) == ("fashion_best", "fashion_mnist")
    assert summary["model"]["parameters"] == 7850
