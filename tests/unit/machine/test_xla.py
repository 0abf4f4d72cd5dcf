"""The cache of compiled programs: private, checked, limited, and keyed by everything that a program depends on."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from mnist_exp.machine import devices, xla
from mnist_exp.machine.xla import FLAG, FLAGS, VARIABLE
from mnist_exp.runs import environment

Enable = Callable[[], Path | None]


@pytest.fixture
def enable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Enable:
    """A new process on a machine with a GPU enables the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(devices, "gpu_count", lambda: 1)
    monkeypatch.setattr(devices, "DRIVER", tmp_path / "driver")

    def enable() -> Path | None:
        for variable in (VARIABLE, "XLA_FLAGS", "CUDA_DEVICE_ORDER"):
            monkeypatch.setenv(variable, "")  # so that it is restored
            monkeypatch.delenv(variable)
        return xla.enable.__wrapped__()  # type: ignore[no-any-return]

    return enable


def test_tensorflow_is_given_a_private_directory(enable: Enable) -> None:
    directory = enable()
    assert directory is not None
    assert os.environ[VARIABLE] == f"{FLAG}{directory}"
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert (directory.stat().st_mode | directory.parent.stat().st_mode) & 0o077 == 0
    assert xla.user_flags(f"--a=1 {os.environ[VARIABLE]}") == "--a=1"


def test_the_flags_of_this_program_are_not_recorded(enable: Enable, monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.describe()["variables"].keys().isdisjoint({VARIABLE, "XLA_FLAGS"})
    enable()
    assert "WHILE" in os.environ["XLA_FLAGS"]
    assert environment.describe()["variables"].keys().isdisjoint({VARIABLE, "XLA_FLAGS"})
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_enable_command_buffer= --b=2")
    xla.enable.__wrapped__()
    assert os.environ["XLA_FLAGS"].split() == ["--xla_gpu_enable_command_buffer=", "--b=2", *FLAGS[1:]]
    assert environment.describe()["variables"]["XLA_FLAGS"] == "--xla_gpu_enable_command_buffer= --b=2"


def test_flags_in_a_file_of_the_user_stay_alone(enable: Enable, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow takes a value without a leading - as the name of a file, and aborts without the file."""
    enable()
    for variable in (VARIABLE, "XLA_FLAGS"):
        monkeypatch.setenv(variable, "/etc/flags")
    assert xla.enable.__wrapped__() is None
    assert {os.environ[variable] for variable in (VARIABLE, "XLA_FLAGS")} == {"/etc/flags"}


def test_a_program_is_kept_and_an_incomplete_or_changed_one_is_removed(enable: Enable) -> None:
    directory = enable()
    assert directory is not None
    kept, changed, truncated, unfinished = (
        directory / f"{name}.pb" for name in ("kept", "changed", "truncated", "unfinished")
    )
    for program in (kept, changed, truncated):
        program.write_bytes(b"compiled")
    xla.complete(directory)
    changed.write_bytes(b"hostile!")
    truncated.write_bytes(b"comp")
    unfinished.write_bytes(b"compi")
    (directory / "directory").mkdir()
    (directory / "link").symlink_to("/nothing")
    (directory / "written_now.pb.tmp").write_bytes(b"c")  # by another process, which fails if it cannot rename it
    directory.chmod(0o755)  # TensorFlow makes it so if it was deleted during a training
    assert enable() == directory
    assert sorted(path.name for path in directory.iterdir()) == ["kept.pb", "kept.pb.sha256", "written_now.pb.tmp"]


@pytest.mark.parametrize("fault", ["name", "full", "read-only", "models"])
def test_a_directory_in_which_a_training_would_fail_is_not_used(
    enable: Enable, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "name":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a cache"))
    elif fault == "full":
        monkeypatch.setattr(xla.shutil, "disk_usage", lambda _: SimpleNamespace(free=xla.LIMIT))
    elif fault == "read-only":
        monkeypatch.setattr(os, "access", lambda _path, mode: mode != os.W_OK)
    else:
        models = ["Model: NVIDIA H100", "Model: NVIDIA A100"]
        monkeypatch.setattr(devices, "driver_description", lambda: models)
    assert enable() is None
    assert VARIABLE not in os.environ
    assert "WHILE" in os.environ["XLA_FLAGS"]


def test_workers_with_a_gpu_each_share_a_directory(enable: Enable, monkeypatch: pytest.MonkeyPatch) -> None:
    directories = {enable()}
    for visible in ("0", "1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        directories.add(enable())
    assert len(directories) == 1


@pytest.mark.parametrize("fault", ["others may write", "parent", "link", "file", "no space"])
def test_a_directory_that_others_could_have_written_to_is_not_used(
    enable: Enable, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = enable()
    assert directory is not None
    if fault == "others may write":
        directory.chmod(0o777)
    elif fault == "parent":
        directory.parent.chmod(0o770)
    elif fault == "no space":
        monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/cache")
    else:
        directory.rmdir()
        if fault == "link":
            (tmp_path / "elsewhere").mkdir(mode=0o700)
            directory.symlink_to(tmp_path / "elsewhere")
        else:
            directory.write_text("")
    assert enable() is None
    assert VARIABLE not in os.environ


def test_the_owner_is_this_user(enable: Enable, monkeypatch: pytest.MonkeyPatch) -> None:
    assert enable() is not None
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert enable() is None


def test_whatever_a_program_depends_on_has_its_own_directory(
    enable: Enable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {enable()}
    for change in (
        lambda: monkeypatch.setattr(xla.mnist_exp, "__version__", "99"),
        lambda: monkeypatch.setattr(xla.metadata, "distributions", list),
        lambda: monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/cuda"),
        lambda: ((tmp_path / "driver").mkdir(), (tmp_path / "driver/version").write_text("NVRM version: 580\n")),
        lambda: monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0"),
    ):
        change()
        found.add(enable())
    assert len(found) == 6
    assert None not in found


def test_the_oldest_programs_make_room(enable: Enable, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = enable()
    assert directory is not None
    other = directory.parent / "other_version"
    other.mkdir()
    for age, program in enumerate([directory / "new", directory / "old", other / "newest"]):
        program.write_bytes(bytes(1000))
        os.utime(program, (10**9 - age if program.parent == directory else 2 * 10**9,) * 2)
    xla.complete(directory)
    monkeypatch.setattr(xla, "LIMIT", 1500)
    assert enable() == directory
    assert {path.name for path in directory.parent.glob("*/*")} == {"new", "new.sha256"}


@pytest.mark.parametrize("gpus", [0, None])
def test_without_a_gpu_there_is_no_cache(enable: Enable, gpus: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "gpu_count", lambda: gpus)
    assert enable() is None


@pytest.mark.usefixtures("enable")
def test_a_directory_of_the_user_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"{FLAG}{tmp_path}")
    assert xla.enable.__wrapped__() is None
    assert os.environ[VARIABLE] == f"{FLAG}{tmp_path}"
