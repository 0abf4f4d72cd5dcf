"""Shared by all tests: composed configurations, the digits, and the real command."""

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from mnist_exp.config import composition
from mnist_exp.config.command_line import parse_arguments
from mnist_exp.config.composer import Composer
from mnist_exp.config.composition import Composition
from mnist_exp.config.schema import Experiment
from mnist_exp.datasets.dataset import Dataset
from tests.forks import Forks

hypothesis.settings.register_profile("shared machine", deadline=None)
hypothesis.settings.load_profile("shared machine")

# pytest rewrites the assertions of all test files in each process, unless it may store them.
sys.dont_write_bytecode = False

# A script starts background processes with SIGINT ignored, and the commands that tests interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# `mnist-exp draw` opens a page: no test opens a window on the screen of a developer.
os.environ["BROWSER"] = "true"

# No test cuts the power, so none has to wait for the disk.
os.fsync = os.fstat  # type: ignore[assignment]

ROOT = Path(__file__).parent.parent
TINY = ("model.units=[16]", "dataset.limit=600", "training.epochs=2", "training.batch_size=64")

# Modules whose tests share no fixture that takes long: each test may run in another process.
SEPARATE = {
    f"tests/end_to_end/test_{name}.py" for name in ("fault_suite", "faults", "run", "search", "streams", "sweep", "watch")
}

Command = Callable[..., subprocess.CompletedProcess[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have one process run the tests of a module, or of a cluster: they share its fixtures."""
    for item in items:
        module = item.nodeid.partition("::")[0]
        if module not in SEPARATE:
            parameters = item.callspec.params if hasattr(item, "callspec") else {}
            item.add_marker(pytest.mark.xdist_group(f"{module}{parameters.get('cluster', '')}"))


@functools.cache
def shared_composer() -> Composer:
    """The composer of `conf/` for all tests of a process: it composes nothing twice, and each time takes 80 ms of CPU."""
    return Composer()


def _composer(config_dir: str | None = None, config_name: str | None = None) -> Composer:
    is_shipped = config_dir is None and config_name is None
    return shared_composer() if is_shipped else Composer(config_dir, config_name)


composition.Composer = _composer  # type: ignore[assignment,misc]


@functools.cache
def compose(*overrides: str, multirun: bool = False) -> Experiment:
    """Compose an experiment from overrides; for a sweep, its first job."""
    arguments = (["-m"] if multirun else []) + list(overrides)
    return Composition(parse_arguments(arguments)).combinations()[0].experiment


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A directory of all processes of the suite."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def forks(shared: Path) -> Iterator[Forks]:
    """Runs the real command in forks of a process that has imported TensorFlow."""
    started = Forks(shared)
    yield started
    started.close()


@pytest.fixture(autouse=True)
def _no_process_remains(forks: Forks) -> Iterator[None]:
    """A test that fails must not leave a training that slows down the others."""
    yield
    forks.kill_remaining()


@pytest.fixture
def command(tmp_path: Path, forks: Forks) -> Command:
    """Run `python -m mnist_exp` in an empty directory, in a fork."""

    def run(*arguments: str, cwd: Path = tmp_path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return forks.run(*arguments, cwd=cwd, env=env)

    return run


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """The embedded digits."""
    from mnist_exp import datasets

    return datasets.load("mnist")


@pytest.fixture(scope="session")
def scores() -> tuple[np.ndarray, np.ndarray]:
    """Plausible probabilities of 400 images of 10 classes, about a tenth of them wrong, and their labels."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 10, 400).astype(np.uint8)
    logits = generator.normal(0, 1, (400, 10))
    logits[np.arange(400), labels] += 3
    exponentials = np.exp(logits)
    return (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32), labels
