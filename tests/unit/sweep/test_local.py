"""The cores, GPUs and memory of this machine are divided among workers."""

import os
from pathlib import Path

import pytest

from mnist_exp.config.hydra_settings import JoblibLauncherConfig
from mnist_exp.machine import cgroups, devices
from mnist_exp.machine import memory as memory_of
from mnist_exp.runs.outcome import config_text
from mnist_exp.runs.run import Run
from mnist_exp.sweep.launchers import local
from mnist_exp.sweep.supervisor import Supervisor
from tests.conftest import compose


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Eight cores, no GPU, memory for a hundred processes."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(devices, "gpu_count", lambda: 0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    memory = tmp_path / "meminfo"
    memory.write_text("MemTotal: 1 kB\nMemAvailable: 125000000 kB\n")
    monkeypatch.setattr(memory_of, "MACHINE", memory)
    monkeypatch.setattr(cgroups, "PROCESS", tmp_path / "none")
    return memory


def workers(n_jobs: int | None, *overrides: str) -> list[tuple[set[int], str]]:
    """The cores and the GPU of each worker."""
    launcher = local.build(JoblibLauncherConfig(name="joblib", n_jobs=n_jobs), compose(*overrides))
    return [(set(one._cores), one._environment.get("CUDA_VISIBLE_DEVICES", "")) for one in launcher._supervisors]


@pytest.mark.usefixtures("machine")
def test_cores_are_divided_evenly() -> None:
    assert [cores for cores, _ in workers(None)] == [{core} for core in range(8)]
    assert [cores for cores, _ in workers(3)] == [{0, 1}, {2, 3}, {4, 5}]  # the same number each
    assert [len(cores) for cores, _ in workers(16)] == [1] * 16


def test_memory_limits_the_workers_unless_n_jobs_is_set(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine.write_text("MemAvailable: 3000000 kB\n")
    assert len(workers(None)) == 2
    assert "memory for 2 of 8 processes" in capsys.readouterr().err
    assert len(workers(8)) == 8


@pytest.mark.usefixtures("machine")
def test_each_worker_has_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "gpu_count", lambda: 2)
    assert [gpu for _, gpu in workers(None)] == ["0", "1"]
    assert [gpu for _, gpu in workers(None, "sweep.jobs_per_gpu=2")] == ["0", "0", "1", "1"]
    assert [gpu for _, gpu in workers(3)] == ["0", "1", "0"]
    assert {gpu for _, gpu in workers(None, "device=cpu")} == {""}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    assert [gpu for _, gpu in workers(None)] == ["GPU-a", "GPU-b"]


@pytest.mark.parametrize(
    ("device", "gpus", "alike"), [("auto", 0, False), ("auto", 1, False), ("cpu", 1, False), ("gpu", 1, True)]
)
def test_a_worker_trains_only_runs_with_the_same_thread_pools(
    device: str, gpus: int, alike: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Batch norm needs whole batches, which a CPU computes with other pools: `auto` may be a CPU although there is a GPU."""
    monkeypatch.setattr(devices, "gpu_count", lambda: gpus)
    pools = []
    for model in ("mlp", "mlp_deep"):
        (tmp_path / model).mkdir()
        run = Run(tmp_path / model)
        run.config.write_text(config_text(compose(f"model={model}", f"device={device}")))
        pools.append(Supervisor(cores=frozenset({0, 1}))._pools(run))
    assert None not in pools
    assert (pools[0] == pools[1]) == alike
