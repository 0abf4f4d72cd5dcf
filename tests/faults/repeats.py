"""The same training again: alone, after others in one process, in joblib, and resumed in the middle."""

import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults.result import result_of
from tests.forks import NewProcesses

MODELS = ("mlp", "mlp_deep", "cnn", "cnn_5x5", "cnn_deep", "cnn_large", "cnn_simple", "cnn_tiny", "resnet")
PRECISIONS = ("float32", "bfloat16")
PROCESSES = NewProcesses()
WAYS = ("alone", "after others in a process", "in joblib", "resumed in the middle")
# One thread: the number of threads determines the order of additions, and in joblib the processes share the cores.
SMALL = (
    "dataset.limit=600",
    "training.batch_size=64",
    "training.epochs=2",
    "threads.intra_op=1",
    "threads.inter_op=1",
    "threads.towers=1",
    "progress=quiet",
)

Result = tuple[str, str, list[dict[str, str]]]


def matrix_row(place: Path, model: str, precision: str, tries: int) -> list[int]:
    """Train with seeds 1 to `tries`, and again in each of the `WAYS`; return in how many tries the result is the same."""
    place.mkdir()
    overrides = [*SMALL, f"model={model}", f"precision={precision}"]
    seeds = range(1, tries + 1)

    def alone(directory: str, seed: int) -> Result:
        (run,) = _train(place / f"{directory}_{seed}", *overrides, f"seed={seed}")
        return result_of(run)

    def resumed(seed: int) -> Result:
        return _interrupted(place / f"interrupted_{seed}", *overrides, f"seed={seed}")

    with ThreadPoolExecutor(2) as workers:
        expected = list(workers.map(lambda seed: alone("first", seed), seeds))
        again = list(workers.map(lambda seed: alone("again", seed), seeds))
        continued = list(workers.map(resumed, seeds))
    sweeps = [
        [result_of(run) for run in _train(place / launcher, "-m", *overrides, f"seed=range(0,{tries + 1})", *launch)][1:]
        for launcher, launch in (("basic", ()), ("joblib", ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")))
    ]
    shutil.rmtree(place)
    return [
        sum(one == other for one, other in zip(expected, results, strict=True)) for results in (again, *sweeps, continued)
    ]


def _train(place: Path, *arguments: str) -> list[Path]:
    """Return the directories of the runs, in the order of the jobs."""
    place.mkdir()
    PROCESSES.run(*arguments, cwd=place).check_returncode()
    return sorted(path.parent for path in place.glob("runs/**/summary.json"))


def _interrupted(place: Path, *overrides: str) -> Result:
    """Interrupt a training after its first epoch, and resume it."""
    place.mkdir()
    with PROCESSES.start(*overrides, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not list(place.glob("runs/*/checkpoints/epoch_*")):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "the training finished before it was interrupted"
    PROCESSES.run("resume", "latest", cwd=place).check_returncode()
    (run,) = (place / "runs").iterdir()
    return result_of(run)
