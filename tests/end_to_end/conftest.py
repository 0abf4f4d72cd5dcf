"""Runs of the real command that several tests look at."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import TINY


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
