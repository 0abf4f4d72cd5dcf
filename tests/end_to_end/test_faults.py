"""Runs that do not end well: their exit codes, what they leave, and how they go on."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mnist_exp.datasets import mnist
from tests.conftest import TINY, Command
from tests.end_to_end.test_run import metrics, weights

LONG = (*TINY, "training.epochs=40", "model.dropout=0.3", "schedule=cosine")


def status(directory: Path) -> dict[str, object]:
    return json.loads((directory / "status.json").read_text())


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("uninterrupted")
    subprocess.run([sys.executable, "-m", "mnist_exp", *LONG, "progress=quiet"], cwd=place, check=True, capture_output=True)
    (directory,) = (place / "runs").iterdir()
    return directory


@pytest.mark.parametrize(
    ("number", "code", "left"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "interrupted"), (signal.SIGKILL, -9, "running")],
)
def test_an_interrupted_run_resumes_to_the_same_result(
    number: signal.Signals, code: int, left: str, tmp_path: Path, command: Command, uninterrupted: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "mnist_exp", *LONG], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch  5/"):
            break
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
    (directory,) = (tmp_path / "runs").iterdir()
    assert status(directory)["status"] == left
    assert not (directory / "summary.json").exists()
    assert left in command("show").stdout

    done = command("resume", "latest")
    assert done.returncode == 0, done.stderr
    assert status(directory)["status"] == "completed"
    assert "resumed behind epoch" in (directory / "train.log").read_text()
    assert weights(directory) == weights(uninterrupted)
    assert metrics(directory) == metrics(uninterrupted)
    assert (directory / "predictions.npz").read_bytes() == (uninterrupted / "predictions.npz").read_bytes()
    again = command("resume", "latest")
    assert again.returncode == 2
    assert "is completed already" in again.stderr


def test_a_run_that_diverges_says_so(command: Command, tmp_path: Path) -> None:
    done = command(
        *TINY,
        "optimizer=sgd",
        "optimizer.learning_rate=100",
        "model.units=[16,16]",
        "model.activation=leaky_relu",
        "training.epochs=20",
    )
    assert done.returncode == 4
    assert "training diverged: the loss is" in done.stderr
    assert "lower optimizer.learning_rate" in done.stderr
    (directory,) = (tmp_path / "runs").iterdir()
    assert status(directory)["status"] == "diverged"
    assert not (directory / "summary.json").exists()
    assert not (directory / "model.keras").exists()


def test_damaged_digits_are_exit_3(command: Command, tmp_path: Path) -> None:
    """An installation of its own, one of whose files has another bit."""
    package = Path(mnist.__file__).parent.parent
    shutil.copytree(package, tmp_path / "copy" / "mnist_exp", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(package.parent / "conf", tmp_path / "copy" / "mnist_exp" / "conf")
    damaged = tmp_path / "copy" / "mnist_exp" / "datasets" / "mnist" / "train-labels-idx1-ubyte.gz"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    done = command(*TINY, env=os.environ | {"PYTHONPATH": str(tmp_path / "copy")})
    assert done.returncode == 3, done.stderr
    assert str(damaged) in done.stderr
    assert mnist.FILES["train-labels-idx1-ubyte"][1] in done.stderr
    (directory,) = (tmp_path / "runs").iterdir()
    assert status(directory)["status"] == "failed"


def test_a_place_that_cannot_be_written_is_exit_5(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = command(*TINY, "runs_dir=file/runs")
    assert done.returncode == 5
    assert "file/runs: Not a directory" in done.stderr
    assert "runs_dir=PATH" in done.stderr


def test_a_defect_is_in_the_log_with_its_traceback_and_not_on_the_screen(command: Command, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, importlib.abc\n"
        "class Fault(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'mnist_exp.experiment': raise RuntimeError('a defect')\n"
        "sys.meta_path.insert(0, Fault())\n"
    )
    done = command(*TINY, env=os.environ | {"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "RuntimeError: a defect" in done.stderr
    (directory,) = (tmp_path / "runs").iterdir()
    assert "Traceback" in (directory / "train.log").read_text()
    assert status(directory)["cause"] == "RuntimeError: a defect"


def test_a_configuration_error_leaves_nothing_behind(command: Command, tmp_path: Path) -> None:
    done = command("optimzer.learning_rate=1", "+optimizer.lr=1", "training.epochs=0", "model=cnn_larg")
    assert done.returncode == 2
    assert done.stderr.count("error: ") == 4
    assert "did you mean optimizer.learning_rate?" in done.stderr
    assert list(tmp_path.iterdir()) == []
