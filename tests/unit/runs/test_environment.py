"""environment.json: held in memory, and completed where it was damaged."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs import environment
from mnist_exp.runs.run import Run

DEVICE: dict[str, Any] = {"device": "/CPU:0", "gpus": [], "cuda": None, "cudnn": None, "threads": {"towers": 1}}


def test_the_content_is_returned_and_a_resumed_run_adds_a_session(tmp_path: Path) -> None:
    run = Run(tmp_path)
    content, changed = environment.record(run, DEVICE)
    assert (content["resumed"], changed) == ([], [])
    assert content == read_json(run.environment)
    again, changed = environment.record(run, DEVICE | {"threads": {"towers": 2}})
    assert changed == ["threads"]
    assert again == read_json(run.environment)
    assert again["threads"] == {"towers": 1}
    assert [session["threads"] for session in again["resumed"]] == [{"towers": 2}]


@pytest.mark.parametrize(
    "damaged",
    [
        {"schema": 1},
        {"versions": 3, "started": [], "resumed": "x"},
        {"versions": {}, "resumed": [1, {}, {"started": "then"}]},
        {"resumed": {"a": 1}, "cpu": "x", "threads": None},
    ],
)
def test_what_is_missing_is_written_again_and_named(damaged: dict[str, Any], tmp_path: Path) -> None:
    run = Run(tmp_path)
    complete, _ = environment.record(run, DEVICE)
    files.write_json(run.environment, damaged)
    content, changed = environment.record(run, DEVICE)
    assert set(content) == set(complete)
    assert content == read_json(run.environment)
    assert isinstance(content["versions"], dict)
    assert all(session["started"] for session in content["resumed"])
    assert {"platform", "cpu"} <= set(changed)


def test_the_same_gpu_in_a_sweep_and_alone_is_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = DEVICE | {
        "device": "/GPU:0",
        "gpus": [{"device_name": "H100", "compute_capability": (9, 0)}],
    }  # TensorFlow's tuple
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    environment.record(Run(tmp_path), gpu)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert environment.record(Run(tmp_path), gpu)[1] == []
    other = gpu | {"gpus": [{"device_name": "A100", "compute_capability": (8, 0)}]}
    assert environment.record(Run(tmp_path), other)[1] == ["gpus"]


def recorded_variables(run: Run) -> Any:
    environment.record(run, DEVICE)
    return read_json(run.environment)["variables"]


def test_only_known_variables_are_stored_and_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in environment.NUMERICAL:
        monkeypatch.delenv(name, raising=False)
    secret = "hunter2"
    monkeypatch.setenv("TF_VAR_db_password", secret)
    monkeypatch.setenv("CUDA_X", secret)
    monkeypatch.setenv("XLA_FLAGS", f"--xla_dump_to=https://me:{secret}@host/x")
    monkeypatch.setenv("TF_XLA_FLAGS", f"--api_key={secret}")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(sys, "orig_argv", ["python", f"name=https://a:{secret}@b", "seed=1"])
    hidden = "(not stored: looks like a secret)"
    assert recorded_variables(Run(tmp_path)) == {"OMP_NUM_THREADS": "2", "TF_XLA_FLAGS": hidden, "XLA_FLAGS": hidden}
    assert secret not in Run(tmp_path).environment.read_text()
    assert read_json(Run(tmp_path).environment)["argv"] == ["python", hidden, "seed=1"]


def test_a_value_that_is_not_utf_8_is_stored_as_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TF_GPU_ALLOCATOR", "a\udcff")
    assert recorded_variables(Run(tmp_path))["TF_GPU_ALLOCATOR"] == "a\\xff"


def test_other_variables_that_an_earlier_version_stored_are_removed(tmp_path: Path) -> None:
    run = Run(tmp_path)
    content, _ = environment.record(run, DEVICE)
    files.write_json(run.environment, content | {"variables": content["variables"] | {"TF_VAR_db_password": "hunter2"}})
    assert environment.record(run, DEVICE)[1] == []
    assert "hunter2" not in run.environment.read_text()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The package in a checkout with one commit; the directory of the package."""
    package = tmp_path / "checkout" / "mnist_exp"
    package.mkdir(parents=True)
    (package / "cli.py").touch()
    for arguments in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run([str(shutil.which("git")), "-C", str(package.parent), *arguments], check=True)
    environment._git.cache_clear()
    return package


def test_the_commit_is_that_of_the_program_whatever_git_dir_names(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = environment._git(checkout)
    assert expected is not None
    assert (len(expected["commit"]), expected["dirty"]) == (40, False)
    subprocess.run([str(shutil.which("git")), "init", "-q", str(tmp_path / "other")], check=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    environment._git.cache_clear()
    assert environment._git(checkout) == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")
def test_a_checkout_of_another_owner_has_a_commit(checkout: Path) -> None:
    for path in (checkout.parent, checkout.parent / ".git"):
        os.chown(path, 12345, 12345)
    commit = environment._git(checkout)
    assert commit is not None
    assert commit["commit"] is not None, commit


def test_an_unknown_commit_has_a_cause(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout.parent / ".git/HEAD").write_text("damaged")
    commit = environment._git(checkout)
    assert commit is not None
    assert commit["commit"] is None
    assert "fatal: " in commit["cause"]
    monkeypatch.setenv("PATH", str(checkout))
    environment._git.cache_clear()
    commit = environment._git(checkout)
    assert commit is not None
    assert "git" in commit["cause"]
