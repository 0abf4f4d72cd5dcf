"""Sweeps on real clusters of one node, which these tests start and stop: Slurm and Ray."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import TINY, Command
from tests.end_to_end.sweeps import statuses, sweep_of, until, workers
from tests.engines import ray, slurm
from tests.faults.result import result_of
from tests.forks import Forks

# The same number of towers and threads for every launcher, so that the weights are the same bit for bit.
JOBS = (*TINY, "seed=range(2)", "threads.towers=1", "threads.intra_op=1")

Cluster = tuple[list[str], dict[str, str]]  # overrides, environment


@pytest.fixture(scope="module", params=["submitit_slurm", "ray"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A running cluster."""
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


def test_weights_equal_those_of_a_single_process(
    cluster: Cluster, command: Command, tmp_path: Path, one_process: Path
) -> None:
    overrides, environment = cluster
    done = command("-m", *JOBS, *overrides, env=environment)
    assert done.returncode == 0, done.stderr
    assert "2 of 2 jobs completed" in done.stdout
    sweep = sweep_of(tmp_path)
    for name in statuses(one_process):
        assert result_of(sweep / name) == result_of(one_process / name)
    assert workers(tmp_path) == []


def test_a_job_that_lost_its_supervisor_is_retried(cluster: Cluster, forks: Forks, tmp_path: Path) -> None:
    overrides, environment = cluster
    arguments = [*TINY, "training.epochs=60", "seed=1", *overrides]
    process = forks.start(
        "-m", *arguments, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until(lambda: list(tmp_path.glob("runs/*/*/history.csv")))
    (victim,) = _supervisors(next(tmp_path.glob("runs/*/*/history.csv")).parent)
    os.kill(victim, signal.SIGKILL)
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert ": retrying: " in errors
    assert "1 of 1 job completed" in output
    assert set(statuses(sweep_of(tmp_path)).values()) == {"completed"}


def test_resume_takes_over_from_a_killed_driver(cluster: Cluster, command: Command, forks: Forks, tmp_path: Path) -> None:
    overrides, environment = cluster
    arguments = [*TINY, "training.epochs=60", "seed=1", *overrides]
    process = forks.start(
        "-m", *arguments, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until(lambda: list(tmp_path.glob("runs/*/*/history.csv")))
    process.kill()
    process.wait()
    done = command("resume", str(sweep_of(tmp_path)), env=environment)
    assert done.returncode == 0, done.stderr
    assert "1 of 1 job completed" in done.stdout


def test_a_missing_cluster_is_an_error(command: Command, tmp_path: Path) -> None:
    nowhere = os.environ | {"PATH": str(tmp_path)}
    refused = command("-m", *TINY, "hydra/launcher=submitit_slurm", env=nowhere)
    assert (refused.returncode, "sbatch is not on the PATH" in refused.stderr) == (5, True)
    if not ray.missing():
        refused = command("-m", *TINY, "hydra/launcher=ray", "hydra.launcher.address=127.0.0.1:1")
        assert (refused.returncode, "hydra.launcher.address=127.0.0.1:1" in refused.stderr) == (5, True)


def _supervisors(run: Path) -> list[int]:
    """The processes of the cluster that supervise a run: the parents of its worker."""
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
