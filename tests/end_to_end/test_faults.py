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

LONG = (
    *TINY,
    "training.epochs=40",
    "model.dropout=0.3",
    "schedule=cosine",
    "training.ema_decay=0.9",
    "training.select=best",
    "training.early_stopping_patience=30",
)


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
        [sys.executable, "-m", "mnist_exp", *LONG],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A suite that a shell started in the background ignores SIGINT, and its children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,  # noqa: PLW1509  (no threads here)
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
    if left == "interrupted":
        assert "continue: mnist-exp resume" in err
    assert not (directory / "summary.json").exists()
    shown = command("show").stdout
    assert "interrupted" in shown
    assert "mnist-exp resume " in shown
    assert f"runs/{directory.name}" in shown

    done = command("resume", "latest")
    assert done.returncode == 0, done.stderr
    assert status(directory)["status"] == "completed"
    assert "resumed behind epoch" in (directory / "train.log").read_text()
    assert weights(directory) == weights(uninterrupted)
    assert metrics(directory) == metrics(uninterrupted)
    assert (directory / "predictions.npz").read_bytes() == (uninterrupted / "predictions.npz").read_bytes()
    environment = json.loads((directory / "environment.json").read_text())
    assert environment["argv"][-len(LONG) :] == list(LONG)
    assert [session["argv"][-2:] for session in environment["resumed"]] == [["resume", "latest"]]
    summary = json.loads((directory / "summary.json").read_text())
    assert summary["wall_seconds"] > summary["train_seconds"]
    again = command("resume", "latest")
    assert again.returncode == 2
    assert "is completed already" in again.stderr


def test_a_changed_configuration_and_a_live_run_are_not_resumed(tmp_path: Path, command: Command) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "mnist_exp", *LONG, "training.epochs=3000"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch    2/"):
                break
        live = command("resume", "latest")
        process.kill()
        process.wait(timeout=60)
        process.stderr.read()
    assert live.returncode == 2
    assert f"is being written by process {process.pid} on " in live.stderr
    (directory,) = (tmp_path / "runs").iterdir()
    content = (directory / "config.yaml").read_text()
    for change in (("learning_rate: 0.001", "learning_rate: 0.002"), ("seed: 7", "seed: 8"), ("epochs: 3000", "epochs: 4")):
        (directory / "config.yaml").write_text(content.replace(*change))
        changed = command("resume", "latest")
        assert changed.returncode == 2, changed.stderr
        assert "config.yaml has been changed since" in changed.stderr


@pytest.mark.parametrize("held_out", ["5000", "0"])
def test_a_divergence_that_only_the_weights_show(held_out: str, command: Command, tmp_path: Path) -> None:
    overrides = [
        *TINY,
        "model.units=[16,16,16]",
        "model.activation=leaky_relu",
        "optimizer=sgd",
        "optimizer.learning_rate=100",
    ]
    done = command(*overrides, "training.batch_size=550", f"dataset.validation={held_out}", "training.epochs=6")
    assert done.returncode == 4, done.stderr
    (directory,) = (tmp_path / "runs").iterdir()
    assert status(directory)["status"] == "diverged"


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="only root can mount a small disk")
def test_a_full_disk_is_exit_5_and_the_run_goes_on_when_there_is_space(command: Command, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "none", str(disk)], check=False).returncode:
        pytest.skip("this system lets nobody mount a small disk")
    try:
        done = command(*TINY, "model.units=[32]", "training.epochs=6", "runs_dir=disk")
        assert done.returncode == 5, done.stderr
        assert "No space left on device" in done.stderr
        assert "free space" in done.stderr
        assert "Traceback" not in done.stderr
        subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
        resumed = command("resume", "latest", "--runs-dir", "disk")
        assert resumed.returncode == 0, resumed.stderr
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


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
    assert "file/runs: cannot be written: Not a directory" in done.stderr
    assert "choose another place" in done.stderr


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
