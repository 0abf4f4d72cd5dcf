"""The cores and the memory that a process may use: affinity, control groups of both versions, MNIST_EXP_CORES."""

import os
from pathlib import Path

import pytest

from mnist_exp.errors import InputError
from mnist_exp.machine import cgroups, cores, memory

GIB = 2**30


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Eight cores and 16 GiB, in the control group /slice/job; its directory."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.delenv(cores.CORES, raising=False)
    (tmp_path / "meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable: {16 * GIB // 1024} kB\n")
    monkeypatch.setattr(memory, "MACHINE", tmp_path / "meminfo")
    monkeypatch.setattr(cgroups, "MOUNT", tmp_path / "mount")
    monkeypatch.setattr(cgroups, "PROCESS", tmp_path / "cgroup")
    return tmp_path


def group(machine: Path, line: str, directory: str, **files: str) -> None:
    with (machine / "cgroup").open("a") as lines:
        lines.write(f"{line}\n")
    place = machine / "mount" / directory
    place.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (place / name.replace("__", ".")).write_text(content)


def test_without_control_groups_the_affinity_counts() -> None:
    assert (cgroups.cpu_limit(), cores.usable_cores()) == (None, 8)
    assert memory.available_bytes() == 16 * GIB


@pytest.mark.parametrize(("quota", "usable"), [("max", 8), ("100000", 1), ("150000", 2), ("1000", 1), ("1600000", 8)])
def test_the_quota_of_version_2_is_rounded_up(quota: str, usable: int, machine: Path) -> None:
    group(machine, "0::/slice/job", "slice/job", cpu__max=f"{quota} 100000\n")
    assert cores.usable_cores() == usable


def test_a_group_around_the_own_one_limits_it_too(machine: Path) -> None:
    group(machine, "0::/slice/job", "slice/job", cpu__max="400000 100000\n", memory__max="max\n", memory__current="7\n")
    group(machine, "", "slice", cpu__max="200000 100000\n", memory__max=f"{3 * GIB}\n", memory__current=f"{2 * GIB}\n")
    (machine / "cgroup").write_text("0::/slice/job\n")
    (machine / "mount/slice/memory.stat").write_text(f"anon 1\ninactive_file {GIB // 2}\n")
    assert cores.usable_cores() == 2
    assert memory.available_bytes() == 3 * GIB // 2


def test_version_1_and_a_container_that_sees_only_its_own_group(machine: Path) -> None:
    group(machine, "3:cpu,cpuacct:/docker/0a1b", "cpu,cpuacct", cpu__cfs_quota_us="300000\n", cpu__cfs_period_us="100000\n")
    limit, usage = f"{600 * 2**20}\n", f"{100 * 2**20}\n"
    group(machine, "2:memory:/docker/0a1b", "memory", memory__limit_in_bytes=limit, memory__usage_in_bytes=usage)
    assert cores.usable_cores() == 3
    assert memory.available_bytes() == 500 * 2**20


def test_version_1_without_limits(machine: Path) -> None:
    group(machine, "3:cpu:/", "cpu", cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n")
    group(machine, "2:memory:/", "memory", memory__limit_in_bytes="9223372036854771712\n", memory__usage_in_bytes="5\n")
    assert cores.usable_cores() == 8
    assert memory.available_bytes() == 16 * GIB


@pytest.mark.parametrize(("text", "usable"), [("3", 3), ("99", 8), ("007", 7)])
def test_a_cluster_assigns_cores(text: str, usable: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cores.CORES, text)
    assert cores.usable_cores() == usable


@pytest.mark.parametrize("text", ["", "0", "abc", "-1", "1.5", " 2", "²", "9" * 5000])
def test_a_wrong_number_of_cores_is_an_error(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cores.CORES, text)
    with pytest.raises(InputError, match="not a number of cores"):
        cores.usable_cores()
