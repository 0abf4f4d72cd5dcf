"""Runs of the real command that several tests look at."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.conftest import TINY
from tests.end_to_end.pages import CHROMIUM, FLAGS
from tests.faults import kills
from tests.forks import Forks


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of one finished run of a tiny network: overrides, standard output and error beside it."""
    place = tmp_path_factory.mktemp("trained")
    done = subprocess.run(
        [sys.executable, "-m", "mnist_exp", *TINY, "runs_dir=runs"],
        cwd=place, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (place / "stdout").write_text(done.stdout)
    (place / "stderr").write_text(done.stderr)
    (directory,) = (place / "runs").iterdir()
    return directory


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that every interrupted training of a small network must come to, bit for bit."""
    run, _ = kills.uninterrupted(tmp_path_factory.mktemp("uninterrupted") / "place", "mlp")
    return run


@pytest.fixture(scope="session")
def one_process(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> Path:
    """A sweep over three seeds in one process, on one thread: what other launchers must come to, bit for bit."""
    place = tmp_path_factory.mktemp("one_process")
    arguments = [*TINY, "seed=range(3)", "threads.towers=1", "threads.intra_op=1"]
    forks.run("-m", *arguments, cwd=place).check_returncode()
    (sweep,) = (place / "runs").iterdir()
    return sweep
