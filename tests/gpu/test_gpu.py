"""On an NVIDIA GPU: the same weights twice, resumed, after SIGKILL, in a sweep, with and without the cache; errors."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnist_exp import datasets
from mnist_exp.datasets.dataset import split
from mnist_exp.machine import devices
from mnist_exp.machine.files import array_sha256
from mnist_exp.runs import history
from tests.conftest import ROOT, compose
from tests.faults.result import result_of

pytestmark = pytest.mark.gpu
LIMITS = {"full": 6050, "padded": 6130}  # images: 50 for validation, and whether the last of 200 in a batch are fewer
SMALL = ("model=cnn_simple", f"dataset.limit={LIMITS['padded']}", "dataset.validation=50", "training.epochs=3")
NO_IMAGES = np.empty((0, 28, 28, 1), np.uint8), np.empty(0, np.uint8)


@pytest.fixture(autouse=True)
def _needs_gpu() -> None:
    if not devices.gpu_count():
        pytest.skip("this machine has no NVIDIA GPU")
    tensorflow = pytest.importorskip("tensorflow")
    if not tensorflow.config.list_physical_devices("GPU"):
        pytest.skip("TensorFlow does not find the libraries of the GPU")


def mnist_exp(place: Path, *arguments: str, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a directory, with its cache there."""
    environment = os.environ | {"XDG_CACHE_HOME": str(place / "cache"), "PYTHONPATH": _python_path()} | variables
    command = [sys.executable, "-m", "mnist_exp", *arguments]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr[-3000:]
    return done


def _python_path() -> str:
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


def run(place: Path, *overrides: str, **variables: str) -> tuple[Path, dict[str, Any]]:
    """Train one run; return its directory and its summary."""
    before = set(place.glob("runs/*"))
    mnist_exp(place, *overrides, "device=gpu", "progress=quiet", **variables)
    (directory,) = set(place.glob("runs/*")) - before
    return directory, json.loads((directory / "summary.json").read_text())


def _train(trainer: Any, stops: bool) -> None:
    """Train three epochs, or stop in the second."""
    while trainer.epoch < 3:
        if trainer.run_epoch(*NO_IMAGES, lambda *_: None, lambda: stops and trainer.epoch == 1) is None:
            return


@pytest.mark.parametrize(
    "overrides",
    [
        ("model=mlp", "model.units=[200]", "precision=bfloat16"),
        ("model=cnn_large", "training.batch_size=1000"),
        ("model=cnn_simple", "training.batch_size=500", "evaluation.tta=1"),
    ],
)
def test_products_of_any_sizes_are_compiled(overrides: tuple[str, ...], tmp_path: Path) -> None:
    """Those for which XLA's own kernels cannot be compiled."""
    _, summary = run(tmp_path, *overrides, "dataset.limit=6050", "dataset.validation=50", "training.epochs=1")
    assert summary["test"]["error_percent"] < 50


@pytest.mark.parametrize(
    ("model", "precision", "last_batch"),
    [
        ("cnn_simple", "float32", "padded"),
        ("cnn_simple", "float16", "padded"),
        ("cnn_tiny", "float32", "padded"),  # with batch norm
        ("cnn_tiny", "bfloat16", "full"),
    ],
)
def test_the_same_seed_and_a_resumed_training_have_the_same_weights(model: str, precision: str, last_batch: str) -> None:
    from mnist_exp.training import device, threads
    from mnist_exp.training.build import build_trainer

    data = datasets.load("mnist")
    limit = LIMITS[last_batch]
    experiment = compose(*SMALL, f"model={model}", f"dataset.limit={limit}", f"precision={precision}", "augmentation=affine")
    parts = split(data.train_labels, limit, 50, 1)
    hashes, state = [], None
    for stops in (None, None, 7, None):
        target = device.prepare("gpu", precision, threads.requested(experiment), experiment.training.batch_size, 7)
        with target.scope():
            trainer = build_trainer(experiment, data, parts, target)
            if state is not None:
                trainer.restore(state)
            trainer._chunk = stops or 5
            _train(trainer, stops is not None)
            state = trainer.state() if stops else None
            hashes.append("stopped" if stops else array_sha256(*trainer.model.get_weights()))
    assert hashes == [hashes[0], hashes[0], "stopped", hashes[0]]


def test_a_killed_run_is_resumed_with_the_same_weights(tmp_path: Path) -> None:
    long = (*SMALL, "training.epochs=60")
    whole, _ = run(tmp_path, *long)
    command = [sys.executable, "-m", "mnist_exp", *long, "device=gpu", "progress=quiet", "runs_dir=killed"]
    environment = os.environ | {"PYTHONPATH": _python_path(), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if any(len(history.read(path)) >= 2 for path in tmp_path.glob("killed/*/history.csv")):
            break
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    (killed,) = tmp_path.glob("killed/*")
    mnist_exp(tmp_path, "resume", str(killed))
    assert result_of(killed) == result_of(whole)


def test_jobs_that_share_a_gpu_have_the_weights_of_jobs_in_one_process(tmp_path: Path) -> None:
    sweep = ("-m", *SMALL, "seed=1,2,3,4", "device=gpu", "progress=quiet")
    mnist_exp(tmp_path, *sweep, "runs_dir=one")
    mnist_exp(tmp_path, *sweep, "runs_dir=shared", "hydra/launcher=joblib", "sweep.jobs_per_gpu=4")
    summaries = [sorted(tmp_path.glob(f"{name}/*/*/summary.json")) for name in ("one", "shared")]
    one, shared = ([result_of(path.parent) for path in paths] for paths in summaries)
    assert len(one) == 4
    assert one == shared


def test_the_cache_of_compiled_programs_changes_no_weight(tmp_path: Path) -> None:
    without, _ = run(tmp_path, *SMALL, XDG_CACHE_HOME="/dev/null/none")
    filling, _ = run(tmp_path, *SMALL)
    programs = [path for path in tmp_path.glob("cache/mnist-exp/xla/*/*") if path.suffix != ".sha256"]
    written = [path.stat().st_mtime_ns for path in programs]
    assert written
    using, _ = run(tmp_path, *SMALL)
    assert [path.stat().st_mtime_ns for path in programs] == written  # nothing was compiled
    for program in programs:
        program.write_bytes(program.read_bytes()[:-1000] + bytes(1000))
    damaged, _ = run(tmp_path, *SMALL)
    assert not any(program.read_bytes().endswith(bytes(1000)) for program in programs)
    assert len({result_of(directory)[0] for directory in (without, filling, using, damaged)}) == 1


def test_tf32_is_a_choice(tmp_path: Path) -> None:
    exact, _ = run(tmp_path, *SMALL)
    rounded, _ = run(tmp_path, *SMALL, "tf32=true")
    environments = [json.loads((directory / "environment.json").read_text()) for directory in (exact, rounded)]
    assert [environment["tf32"] for environment in environments] == [False, True]
    assert result_of(exact)[0] != result_of(rounded)[0]


def test_too_large_a_model_is_an_error_of_the_environment(tmp_path: Path) -> None:
    total, used = devices.gpu_memory(0) or (80 * 10**9, 0)
    # Four layers of n units: 16·n² bytes for weights and the largest gradient fit, 36·n² with Adam's moments do not.
    units = min(int((0.8 * (total - used) / 16) ** 0.5), 65536)
    sizes = f"model.units=[{','.join([str(units)] * 4)}]"
    done = mnist_exp(tmp_path, "model=mlp", sizes, "device=gpu", "progress=quiet", code=5)
    assert "GPU 0 is out of memory" in done.stderr
    assert "lower training.batch_size" in done.stderr
