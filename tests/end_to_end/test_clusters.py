"""Sweeps on real engines, which these tests start and stop: Slurm and Ray on one node."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import TINY, Command
from tests.end_to_end.sweeps import statuses, sweep_of, workers
from tests.engines import ray, slurm
from tests.faults.result import result_of

# What decides the bits of the weights, the same for every launcher.
JOBS = (*TINY, "seed=range(3)", "threads.towers=1", "threads.intra_op=1")

Engine = tuple[list[str], dict[str, str]]  # overrides, environment


@pytest.fixture(scope="module", params=["submitit_slurm", "ray"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """One that is running."""
    module = {"submitit_slurm": slurm, "ray": ray}[request.param]
    if missing := module.missing():
        pytest.skip(f"hydra/launcher={request.param} is not tested: {missing}")
    launcher = f"hydra/launcher={request.param}"
    if request.param == "ray":
        with ray.running() as address:
            yield [launcher, f"hydra.launcher.address={address}"], dict(os.environ)
    else:
        with slurm.running() as variables:
            yield [launcher, "hydra.launcher.cpus_per_task=1"], os.environ | variables


def test_the_weights_are_those_of_one_process(engine: Engine, command: Command, tmp_path: Path, one_process: Path) -> None:
    overrides, environment = engine
    done = command("-m", *JOBS, *overrides, env=environment)
    assert done.returncode == 0, done.stderr
    assert "3 of 3 jobs completed" in done.stdout
    sweep = sweep_of(tmp_path)
    for name in statuses(one_process):
        assert result_of(sweep / name) == result_of(one_process / name)
    assert workers(tmp_path) == []


def test_a_lost_worker_costs_nothing(engine: Engine, tmp_path: Path) -> None:
    overrides, environment = engine
    arguments = [*TINY, "training.epochs=60", "seed=1,2", *overrides]
    process = subprocess.Popen(
        [sys.executable, "-m", "mnist_exp", "-m", *arguments],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (histories := list(tmp_path.glob("runs/*/*/history.csv"))) and time.monotonic() < deadline:
        time.sleep(0.02)
    (victim,) = _watching(histories[0].parent)
    os.kill(victim, signal.SIGKILL)
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert ": retrying: " in errors
    assert "2 of 2 jobs completed" in output
    assert set(statuses(sweep_of(tmp_path)).values()) == {"completed"}


def test_a_lost_driver_is_followed_by_resume(engine: Engine, command: Command, tmp_path: Path) -> None:
    overrides, environment = engine
    arguments = [*TINY, "training.epochs=60", "seed=1,2", *overrides]
    process = subprocess.Popen(
        [sys.executable, "-m", "mnist_exp", "-m", *arguments], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("runs/*/*/history.csv")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    done = command("resume", str(sweep_of(tmp_path)), env=environment)
    assert done.returncode == 0, done.stderr
    assert "2 of 2 jobs completed" in done.stdout


def test_an_engine_that_is_not_there_is_told(command: Command, tmp_path: Path) -> None:
    nowhere = os.environ | {"PATH": str(tmp_path)}
    refused = command("-m", *TINY, "hydra/launcher=submitit_slurm", env=nowhere)
    assert (refused.returncode, "sbatch is not on the PATH" in refused.stderr) == (5, True)
    if not ray.missing():
        refused = command("-m", *TINY, "hydra/launcher=ray", "hydra.launcher.address=127.0.0.1:1")
        assert (refused.returncode, "hydra.launcher.address=127.0.0.1:1" in refused.stderr) == (5, True)


def _watching(run: Path) -> list[int]:
    """The processes of the engine that watch over a run: parents of what trains it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"mnist_exp.sweep.worker" in (process / "cmdline").read_bytes():
                files = {os.path.realpath(path) for path in (process / "fd").iterdir()}
                if str(run.resolve() / "train.log") in files:
                    found.append(int((process / "stat").read_text().rpartition(")")[2].split()[1]))
        except OSError:
            continue
    return found
