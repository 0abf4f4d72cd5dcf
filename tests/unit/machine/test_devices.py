"""GPUs are counted without TensorFlow, as CUDA counts them."""

from pathlib import Path

import pytest

from mnist_exp.machine import devices


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(devices, "DEVICE_NODES", tmp_path)
    monkeypatch.setattr(devices.shutil, "which", lambda _: None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


def test_nodes_are_counted(nodes: Path) -> None:
    assert devices.gpu_count() == 0
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia10"):
        (nodes / name).touch()
    assert devices.gpu_count() == 3


@pytest.mark.parametrize(("visible", "expected"), [("", 0), ("-1", 0), ("1", 1), ("0,1", 2), ("0,-1,1", 1), ("0,1,2,3", 2)])
def test_hidden_gpus_are_not_counted(nodes: Path, monkeypatch: pytest.MonkeyPatch, visible: str, expected: int) -> None:
    (nodes / "nvidia0").touch()
    (nodes / "nvidia1").touch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices.gpu_count() == expected


def test_without_nodes_nvidia_smi_counts(nodes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = nodes / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: x)'\necho 'GPU 1: B (UUID: y)'\n")
    program.chmod(0o755)
    monkeypatch.setattr(devices.shutil, "which", lambda _: str(program))
    assert devices.gpu_count() == 2


def test_elsewhere_the_count_is_unknown(nodes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (nodes / "kfd").touch()
    assert devices.gpu_count() is None
    monkeypatch.setattr(devices.sys, "platform", "darwin")
    assert devices.gpu_count() is None


def test_the_driver_describes_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "DRIVER", tmp_path)
    assert devices.driver_description() == []
    (tmp_path / "gpus/0000:01:00.0").mkdir(parents=True)
    (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX 580.159\nGCC version: 13\n")
    (tmp_path / "gpus/0000:01:00.0/information").write_text("Model: \t NVIDIA H100\nIRQ: 7\n")
    assert devices.driver_description() == ["NVRM version: NVIDIA UNIX 580.159", "Model: \t NVIDIA H100"]


def test_without_its_files_nvidia_smi_describes_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "DRIVER", tmp_path)
    monkeypatch.setattr(devices.shutil, "which", lambda _: "nvidia-smi")
    monkeypatch.setattr(devices, "_output", lambda _: "580.159, NVIDIA H100\n" * 2)
    assert devices.driver_description() == ["NVRM version: 580.159", "Model: NVIDIA H100"]


@pytest.mark.parametrize(("visible", "index", "asked"), [(None, 1, "1"), ("3,GPU-5", 1, "GPU-5"), ("", 0, "0")])
def test_nvidia_smi_reports_the_memory_of_a_gpu(
    visible: str | None, index: int, asked: str, nodes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = nodes / "nvidia-smi"
    program.write_text(f'#!/bin/sh\n[ "$4" = {asked} ] && echo "81559, 1024"\n')
    program.chmod(0o755)
    assert devices.gpu_memory(index) is None
    monkeypatch.setattr(devices.shutil, "which", lambda _: str(program))
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices.gpu_memory(index) == (81559 * 2**20, 2**30)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")  # a number may be that of another GPU for nvidia-smi
    assert (devices.gpu_memory(index) is None) == asked.isdecimal()
    monkeypatch.delenv("CUDA_DEVICE_ORDER")
    program.write_text("#!/bin/sh\necho 'No devices were found'\n")
    assert devices.gpu_memory(index) is None


def test_device_names() -> None:
    assert devices.device_names(2) == ["cpu", "gpu:0", "gpu:1"]
