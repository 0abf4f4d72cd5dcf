"""Runs of the real command that several tests look at."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import TINY
from tests.end_to_end.pages import CHROMIUM, FLAGS
from tests.faults import kills
from tests.forks import Forks

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Once = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def once(shared: Path) -> Once:
    """A directory of that name, to be read only, which the first of the suite's processes fills that needs it."""

    def filled(name: str, fill: Callable[[Path], None]) -> Path:
        place, done = shared / name, shared / f"{name}.done"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir()
                fill(place)
                done.touch()
        return place

    return filled


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def trained(once: Once) -> Path:
    """The directory of one finished run of a tiny network: overrides, standard output and error beside it.

    Settings of Keras in the user's files and variables, with which Keras itself does not start, have no effect.
    """

    def train(place: Path) -> None:
        (place / "keras.json").write_text('{"floatx": "float8", "image_data_format": "channels_first"}')
        variables = os.environ | {
            "KERAS_HOME": str(place),
            "KERAS_MAX_EPOCHS": "one",
            "TF_VAR_password": "hunter2",
            "TF_X": "\udcff",
        }
        done = subprocess.run(
            [sys.executable, "-m", "mnist_exp", *TINY, "runs_dir=runs"],
            cwd=place, env=variables, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert not [path for path in place.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
        (place / "stdout").write_text(done.stdout)
        (place / "stderr").write_text(done.stderr)

    (directory,) = (once("trained", train) / "runs").iterdir()
    return directory


@pytest.fixture(scope="session")
def uninterrupted(once: Once, forks: Forks) -> Path:
    """The run that every interrupted training of a small network must come to, bit for bit."""
    place = once("uninterrupted", lambda place: kills.uninterrupted(place / "place", "mlp", forks))
    (run,) = (place / "place" / "runs").iterdir()
    return run


@pytest.fixture(scope="session")
def one_process(once: Once, forks: Forks) -> Path:
    """A sweep over two seeds in one process, on one thread: what other launchers must come to, bit for bit."""
    arguments = [*TINY, "seed=range(2)", "threads.towers=1", "threads.intra_op=1"]
    place = once("one_process", lambda place: forks.run("-m", *arguments, cwd=place).check_returncode())
    (sweep,) = (place / "runs").iterdir()
    return sweep
