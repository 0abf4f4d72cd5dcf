"""`make speedrun`, the rows of `make records`, and the log that `make benchmark-sweeps` reads, without training."""

import json
import logging
import math
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnist_exp.config.weight_shapes import weighted_layers
from mnist_exp.machine import logs
from tests.benchmarks import gpu as gpu_benchmark
from tests.benchmarks import records, speedrun, sweeps, training
from tests.benchmarks.manual import PAGES
from tests.conftest import compose


def summary(error: float, train_seconds: float = 5.0, compile_seconds: float = 0.2) -> dict[str, Any]:
    return {
        "test": {"error_percent": error},
        "train_seconds": train_seconds,
        "compile_seconds": compile_seconds,
        "wall_seconds": train_seconds + 1,
        "epochs": 1,
        "model": {"parameters": 1000},
        "settings": {"precision": "float32"},
    }


SUMMARIES = [summary(0.4, 9.0, 1.5), summary(0.5, 4.0), summary(0.6, 6.0)]


def test_a_row_separates_compiling_and_the_warm_jobs() -> None:
    row = speedrun.row("speedrun_995", SUMMARIES, [14.0, 15.0, 19.0], [50.0, 60.0])
    assert row == (
        "| `experiment=speedrun_995`, until its report is written | 99.50 ± 0.10 | 99.25 – 99.75 | 15.0 (14.0 – 19.0) "
        "| 0.27 | 1.5 | 5.00 (4.00 – 6.00) | 6.00 (5.00 – 7.00) |"
    )


def test_a_row_of_the_records_has_the_interval_of_the_mean() -> None:
    assert records.row("cnn_tiny", SUMMARIES)[0].startswith("| `cnn_tiny` | 0.500 ± 0.100 | 0.25 – 0.75 | 0.40 – 0.60 | 3 |")


def test_the_manual_has_the_parameters_of_each_recipe() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [\d.]+ .*? \| ([\d,]{5,})(?= )", (PAGES / "recipes.md").read_text(), re.MULTILINE)
    assert len(rows) == 9
    for recipe, parameters in rows:
        layers = weighted_layers(compose(f"experiment={recipe}").model, (28, 28, 1), 10)
        assert f"{sum(math.prod(shape) for layer in layers for shape in layer.weights):,}" == parameters, recipe


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("settings", "named"), [((), True), (("device=gpu", "precision=bfloat16"), True), (("device=cpu",), False)]
)
def test_the_records_of_a_gpu_name_it(
    settings: tuple[str, ...], named: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(records, "runs_of_seeds", lambda *_: [])
    monkeypatch.setattr(records, "read", lambda _: SUMMARIES)
    monkeypatch.setattr(records.signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["records", "cnn_tiny", *(f"--set={setting}" for setting in settings)])
    assert records.main() == 0
    assert capsys.readouterr().out.startswith("Model: H100; ") == named


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that the benchmark starts; two runs of 0.9 % and 1.0 %, or 0.9 % alone, instead of trainings."""
    started: list[list[str]] = []

    def train(command: list[str], env: dict[str, str], **_: Any) -> subprocess.CompletedProcess[str]:
        started.append(command)
        (runs,) = (Path(word.partition("=")[2]) for word in command if word.startswith("runs_dir="))
        assert env["XDG_CACHE_HOME"].startswith(str(runs.parent))  # nothing is cached
        for number, error in enumerate((0.9, 1.0) if "-m" in command else (0.9,)):
            (runs / f"job_{number}").mkdir(parents=True)
            (runs / f"job_{number}" / "summary.json").write_text(json.dumps(summary(error)))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(speedrun.subprocess, "run", train)
    monkeypatch.setattr(speedrun, "script_seconds", lambda _: 1000.0)
    return started


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine has a GPU."""
    monkeypatch.setattr(training, "gpu_count", lambda: 1)
    monkeypatch.setattr(training, "driver_description", lambda: ["Model: \t H100"])


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    def main(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["speedrun", *arguments])
        return speedrun.main()

    return main


@pytest.mark.usefixtures("gpu")
def test_both_recipes_are_trained_on_the_device(
    commands: list[list[str]], measure: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert measure("--seeds", "2", "--repetitions", "1", "--device", "gpu") == 1
    assert [command[3:-2] for command in commands] == [
        ["-m", "experiment=speedrun", "seed=range(1,3)", "device=gpu"],
        ["-m", "experiment=speedrun_995", "seed=range(1,3)", "device=gpu"],
        ["experiment=speedrun", "seed=1", "device=gpu"],
        ["experiment=speedrun_995", "seed=1", "device=gpu"],
    ]
    table, bars = capsys.readouterr()
    assert re.match(r"Model: H100; \d+ cores of .*; 2 seeds, 1 cold starts", table)
    assert "| `experiment=speedrun_995`, until its report is written | 99.05 ± 0.07 |" in table
    assert "met: speedrun, mean error in percent: 0.950, bar 1.0" in bars
    assert "MISSED: speedrun_995, mean error in percent: 0.950, bar 0.5" in bars


def test_the_accuracy_of_one_recipe_needs_no_cold_process(commands: list[list[str]], measure: Callable[..., int]) -> None:
    assert measure("speedrun", "--seeds", "2", "--repetitions", "0", "--device", "cpu") == 0
    assert [command[3:-2] for command in commands] == [["-m", "experiment=speedrun", "seed=range(1,3)", "device=cpu"]]


@pytest.mark.parametrize("arguments", [("--seeds", "1"), ("speedrun", "--manual"), ("--manual", "--repetitions", "0")])
def test_a_table_without_its_numbers_is_refused(
    commands: list[list[str]], measure: Callable[..., int], arguments: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        measure(*arguments)
    assert not commands


def test_the_log_of_a_job_has_its_start_and_its_memory(tmp_path: Path) -> None:
    before = time.time()
    with logs.log_to_file(tmp_path / "train.log"):
        logging.getLogger("mnist_exp.x").info("training")
        logging.getLogger("mnist_exp.x").info("completed; this process has %.0f MB in memory", 512.4)
    start, megabytes = sweeps.job_log(tmp_path / "train.log")
    assert megabytes == 512
    assert before - 0.001 <= start <= time.time()


@pytest.mark.usefixtures("gpu")
def test_the_table_of_a_gpu_has_each_installed_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(command: list[str], env: dict[str, str] | None = None, **_: Any) -> subprocess.CompletedProcess[str]:
        if env is not None:  # this program: a sweep over the models
            (runs,) = (Path(word.partition("=")[2]) for word in command if word.startswith("runs_dir="))
            for model in gpu_benchmark.MODELS:
                (runs / "sweep" / f"1_tutorial_{model}_s7").mkdir(parents=True)
                table = "seconds,compile_seconds\n9.0,2.0\n0.05,0.0\n0.07,0.0\n"
                (runs / "sweep" / f"1_tutorial_{model}_s7" / "history.csv").write_text(table)
        name = command[-5]
        seconds = {model: [9.0, 0.5, 0.7] for model in gpu_benchmark.MODELS}
        output = json.dumps({"version": f"{name} 1.2", "seconds": seconds})
        return subprocess.CompletedProcess(command, name == "torch", f"loading\n{output}\n", "no module torch")

    written: list[str] = []
    monkeypatch.setattr(gpu_benchmark.subprocess, "run", run)
    monkeypatch.setattr(gpu_benchmark, "gpu_count", lambda: 1)
    monkeypatch.setattr(gpu_benchmark, "driver_description", lambda: ["Model: \t H100"])
    monkeypatch.setattr(gpu_benchmark, "replace_between", lambda *texts: written.append(texts[-1]))
    monkeypatch.setattr(sys, "argv", ["gpu", "--repetitions", "1", "--epochs", "3"])
    gpu_benchmark.main()
    first, _, _, _, *rows = written[0].splitlines()
    assert re.search(r"; Model: H100; jax 1.2, keras 1.2, tensorflow \d", first)
    assert rows[0] == f"| mnist-exp |{' 0.0600 (0.0500 – 0.0700) |' * 3}"
    assert rows[1] == f"| compiling, once in a process |{' 2.0 (2.0 – 2.0) |' * 3}"
    assert [row.split("|")[1].strip() for row in rows[2:]] == [
        *list(gpu_benchmark.OURS)[1:],
        "plain Keras",
        "JAX, an epoch as one scan",
    ]
    assert "PyTorch, eager: left out" in capsys.readouterr().err
