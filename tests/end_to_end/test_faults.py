"""Runs that fail or are interrupted: their exit codes, their files, and how they are resumed."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mnist_exp import datasets
from tests.conftest import TINY, Command
from tests.faults import kills
from tests.faults.result import result_of
from tests.forks import Forks, NewProcesses

LONG = kills.overrides("mlp")


def status(directory: Path) -> dict[str, object]:
    return json.loads((directory / "status.json").read_text())


Started = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def started(tmp_path: Path, forks: Forks) -> Iterator[Started]:
    """Starts a training."""
    with contextlib.ExitStack() as stack:

        def start(*overrides: str) -> subprocess.Popen[str]:
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            process = stack.enter_context(forks.start(*overrides, cwd=tmp_path, text=True, **pipes))
            stack.callback(process.kill)
            return process

        yield start


def until(process: subprocess.Popen[str], beginning: str) -> None:
    """Wait for a line with that beginning."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(beginning):
            return
    raise AssertionError(f"it exited before it wrote {beginning!r}")


@pytest.mark.parametrize(
    ("number", "code", "recorded"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "interrupted"), (signal.SIGKILL, -9, "running")],
)
def test_an_interrupted_run_is_resumed_to_the_same_result(
    number: signal.Signals, code: int, recorded: str, tmp_path: Path, started: Started, command: Command, uninterrupted: Path
) -> None:
    process = started(*LONG)
    until(process, "epoch  5/")
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
    (directory,) = (tmp_path / "runs").iterdir()
    assert status(directory)["status"] == recorded
    if recorded == "interrupted":
        assert "continue: mnist-exp resume" in err
    assert not (directory / "summary.json").exists()
    output = command("show").stdout
    assert "interrupted" in output
    assert "mnist-exp resume " in output
    assert f"runs/{directory.name}" in output

    done = command("resume", "latest")
    assert done.returncode == 0, done.stderr
    assert status(directory)["status"] == "completed"
    assert "resumed after epoch" in (directory / "train.log").read_text()
    assert result_of(directory) == result_of(uninterrupted)
    environment = json.loads((directory / "environment.json").read_text())
    assert environment["argv"][-len(LONG) :] == list(LONG)
    assert [session["argv"][-2:] for session in environment["resumed"]] == [["resume", "latest"]]
    summary = json.loads((directory / "summary.json").read_text())
    assert summary["wall_seconds"] > summary["train_seconds"]
    again = command("resume", "latest")
    assert again.returncode == 2
    assert "is already completed" in again.stderr


def test_a_changed_or_running_run_is_not_resumed(tmp_path: Path, started: Started, command: Command) -> None:
    process = started(*LONG, "training.epochs=3000", "training.early_stopping_patience=null")
    until(process, "epoch    2/")
    live = command("resume", "latest")
    process.kill()
    process.communicate(timeout=60)
    assert live.returncode == 2
    assert f"is being written by process {process.pid} on " in live.stderr
    (directory,) = (tmp_path / "runs").iterdir()
    content = (directory / "config.yaml").read_text()
    for change in (("learning_rate: 0.001", "learning_rate: 0.002"), ("seed: 7", "seed: 8"), ("epochs: 3000", "epochs: 4")):
        (directory / "config.yaml").write_text(content.replace(*change))
        changed = command("resume", "latest")
        assert changed.returncode == 2, changed.stderr
        before, now = (text.partition(": ")[2] for text in change)
        key = change[0].partition(":")[0]
        assert "config.yaml has changed since the run started" in changed.stderr
        assert f"{key}: {before} → {now}" in changed.stderr


MANY_STEPS = ("model.units=[16]", "dataset.limit=20000", "training.batch_size=20", "training.epochs=1", "model.dropout=0.2")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_within_an_epoch_loses_no_steps(
    number: signal.Signals, code: int, tmp_path: Path, started: Started, command: Command
) -> None:
    process = started(*MANY_STEPS, "progress=live")
    assert process.stderr is not None
    seen = ""
    while not re.search(r"\d images/s", seen):  # the bar, after the second chunk of steps
        seen += (character := process.stderr.read(1))
        assert character, seen
    start = time.perf_counter()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    seconds = time.perf_counter() - start
    assert process.returncode == code, err
    assert seconds < 5
    (directory,) = (tmp_path / "runs").iterdir()
    assert status(directory)["status"] == "interrupted"
    latest = max((directory / "checkpoints").iterdir())
    assert latest.name.startswith("epoch_000000_step_")
    resumed = command("resume", "latest")
    assert resumed.returncode == 0, resumed.stderr
    assert f"resumed after epoch 0, step {int(latest.name[-9:])} of 917" in resumed.stderr


@pytest.mark.parametrize("held_out", ["50", "0"])
def test_a_divergence_that_only_appears_in_the_weights(held_out: str, command: Command, tmp_path: Path) -> None:
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


def test_a_directory_that_disappears_is_exit_5(tmp_path: Path, started: Started) -> None:
    process = started(*LONG)
    until(process, "epoch  3/")
    (directory,) = (tmp_path / "runs").iterdir()
    directory.rename(tmp_path / "elsewhere")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 5, err
    assert f"{directory.name}" in err
    assert "cannot be written: No such file or directory" in err
    assert "Traceback" not in err


def test_a_lost_checkpoint_is_reported(command: Command, tmp_path: Path, started: Started, uninterrupted: Path) -> None:
    process = started(*LONG)
    until(process, "epoch  5/")
    process.kill()
    process.communicate(timeout=60)
    (directory,) = (tmp_path / "runs").iterdir()
    shutil.copytree(directory, tmp_path / "none")
    latest = max((directory / "checkpoints").iterdir())
    shutil.rmtree(latest)
    done = command("resume", "latest")
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"warning: history\.csv has \d+ epochs, but the last undamaged checkpoint is from epoch \d+", done.stderr
    )
    assert result_of(directory) == result_of(uninterrupted)
    shutil.rmtree(tmp_path / "none" / "checkpoints")
    (tmp_path / "none" / "checkpoints").mkdir()
    refused = command("resume", str(tmp_path / "none"))
    assert refused.returncode == 3, refused.stderr
    assert "no checkpoint found, but history.csv has" in refused.stderr


def test_a_diverged_run_is_reported(command: Command, tmp_path: Path) -> None:
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


def test_damaged_digits_are_exit_3(tmp_path: Path) -> None:
    """A copy of the package with a flipped bit in one file."""
    package = Path(datasets.__file__).parent.parent
    shutil.copytree(package, tmp_path / "copy" / "mnist_exp", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(package.parent / "conf", tmp_path / "copy" / "mnist_exp" / "conf", dirs_exist_ok=True)
    damaged = tmp_path / "copy" / "mnist_exp" / "datasets" / "mnist" / "train-labels-idx1-ubyte.gz"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    done = NewProcesses().run(*TINY, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path / "copy")})
    assert done.returncode == 3, done.stderr
    assert str(damaged) in done.stderr
    assert str(datasets.shipped()["mnist"].description.train.labels.content_sha256) in done.stderr
    (directory,) = (tmp_path / "runs").iterdir()
    assert status(directory)["status"] == "failed"


def test_a_closed_pipe_does_not_stop_the_training(tmp_path: Path, started: Started, uninterrupted: Path) -> None:
    process = started(*LONG, "progress=plain")
    until(process, "epoch  1/")
    assert process.stderr is not None
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    (directory,) = (tmp_path / "runs").iterdir()
    assert result_of(directory) == result_of(uninterrupted)


def test_a_place_that_cannot_be_written_is_exit_5(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = command(*TINY, "runs_dir=file/runs")
    assert done.returncode == 5
    assert "file/runs: cannot be written: Not a directory" in done.stderr
    assert "choose another directory" in done.stderr


def test_a_defect_is_in_the_log_with_its_traceback_and_not_on_the_screen(command: Command, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "from mnist_exp.training.loop import Trainer\n"
        "def defect(*_, **__): raise RuntimeError('a defect')\n"
        "Trainer.run_epoch = defect\n"
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
