"""The two ways to have it: a wheel, away from the checkout, and the Makefile."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from mnist_exp import datasets
from tests.conftest import ROOT

MAKE_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}


def checked(command: list[str], cwd: Path, **options: object) -> str:
    """Run a command that must succeed, away from the checkout's import path; its standard output."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=900, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: what an earlier build left in the checkout would hide that a file is missing."""
    place = tmp_path_factory.mktemp("wheel")
    skipped = shutil.ignore_patterns(".*", "build", "dist", "__pycache__", "*.egg-info")
    for directory in ("conf", "mnist_exp"):
        shutil.copytree(ROOT / directory, place / "source" / directory, ignore=skipped)
    for file in (path for path in ROOT.iterdir() if path.is_file()):
        shutil.copy(file, place / "source")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place), str(place / "source")]
    checked(command, place)
    (built,) = place.glob("*.whl")
    return built


def test_the_wheel_contains_the_configuration_the_manual_and_the_digits(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {f"mnist_exp/conf/{path.relative_to(ROOT / 'conf').as_posix()}" for path in ROOT.glob("conf/**/*.yaml")}
    expected |= {f"mnist_exp/datasets/mnist/{file.name}" for file in datasets.shipped()["mnist"].description.files}
    expected |= {path.relative_to(ROOT).as_posix() for path in ROOT.glob("mnist_exp/**/*.py")}
    for files in ("report/templates/*", "export/page/*"):
        expected |= {path.relative_to(ROOT).as_posix() for path in ROOT.glob(f"mnist_exp/{files}")}
    expected |= {path.relative_to(ROOT).as_posix() for path in ROOT.glob("mnist_exp/docs/*.md")}
    expected |= {"mnist_exp/docs/tutorial.ipynb"}
    expected |= {"mnist_exp/datasets/mnist/NOTICE.md", "mnist_exp/py.typed", "mnist_exp/conf/__init__.py"}
    assert {name for name in names if ".dist-info" not in name} == expected


def test_the_wheel_trains_in_a_new_environment(wheel: Path, tmp_path: Path) -> None:
    """The environment borrows the packages of this one: that they can be installed, this one shows."""
    environment = tmp_path / "environment"
    python = environment / "bin" / "python"
    checked([sys.executable, "-m", "venv", "--without-pip", str(environment)], tmp_path)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    checked([sys.executable, "-m", "pip", "--python", str(python), "install", "-qq", "--no-deps", str(wheel)], tmp_path)
    away = tmp_path / "away"
    away.mkdir()
    out = checked([str(environment / "bin" / "mnist-exp"), "training=quick"], away)
    assert "test error" in out
    (directory,) = (away / "runs").iterdir()
    summary = json.loads((directory / "summary.json").read_text())
    assert summary["dataset"]["train"] == 55_000
    assert summary["test"]["error_percent"] < 6
    assert json.loads((directory / "environment.json").read_text())["git"] is None
    assert checked([str(python), "-m", "mnist_exp", "--version"], away).startswith("mnist-exp ")
    assert str(environment) in checked([str(python), "-c", "import mnist_exp.conf as conf; print(conf.__file__)"], away)


def test_make_help_names_every_target() -> None:
    text = checked(["make", "help"], ROOT, env=MAKE_ENVIRONMENT)
    for target in ("help", "run", "install", "test", "lint", "types", "check", "clean", "tutorial-table", "benchmark"):
        assert f"make {target} " in text


def test_make_run_passes_overrides_on_and_installs_once(tmp_path: Path) -> None:
    arguments = f"ARGS=training=quick dataset.limit=600 model.units=[16] runs_dir={tmp_path}/runs"
    out = checked(["make", "run", arguments], ROOT, env=MAKE_ENVIRONMENT)
    assert "test error" in out
    assert len(list((tmp_path / "runs").iterdir())) == 1
    before = {path: path.stat().st_mtime_ns for path in (ROOT / ".venv").glob(".*")}
    assert before
    again = checked(["make", "run", arguments, "--dry-run"], ROOT, env=MAKE_ENVIRONMENT)
    assert again.count("\n") == 1  # nothing is left to do but to train
    assert again.startswith(".venv/bin/mnist-exp training=quick dataset.limit=600")
    assert {path: path.stat().st_mtime_ns for path in (ROOT / ".venv").glob(".*")} == before


def test_make_tutorial_table_prints_a_row_for_each_model(tmp_path: Path) -> None:
    arguments = ["ARGS=dataset.limit=600 training.epochs=1 seed=1", f"RUNS_DIR={tmp_path}/runs"]
    lines = checked(["make", "tutorial-table", *arguments], ROOT, env=MAKE_ENVIRONMENT).splitlines()
    names = [line.split("|")[2].strip() for line in lines if line.startswith("|") and "tutorial" in line]
    assert sorted(name.partition("_tutorial_")[2] for name in names) == ["cnn_large_s1", "cnn_simple_s1", "mlp_s1"]


def test_the_constraints_name_exact_versions_and_no_address() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert len(lines) > 50
    for line in lines:
        requirement = line.partition(";")[0].strip()
        name, separator, version = requirement.partition("==")
        assert separator, line
        assert name
        assert version
        assert "://" not in line
        assert "@" not in line
