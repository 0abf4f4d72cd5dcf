"""What a run or a sweep stores does not depend on who reads its output."""

import contextlib
import json
import os
import pty
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import TINY
from tests.faults import kills
from tests.forks import Forks


@pytest.fixture
def full() -> Iterator[int]:
    """A device without space."""
    descriptor = os.open("/dev/full", os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def closed_pipe() -> Iterator[int]:
    """A pipe whose reader is gone."""
    read, write = os.pipe()
    os.close(read)
    yield write
    os.close(write)


@pytest.fixture
def closed_terminal() -> Iterator[int]:
    """A terminal that is gone."""
    master, terminal = pty.openpty()
    os.close(master)
    yield terminal
    os.close(terminal)


@pytest.mark.parametrize(
    ("lost", "progress"),
    [("full", "plain"), ("closed_pipe", "plain"), ("closed_pipe", "live"), ("closed_terminal", "live")],
)
def test_a_run_completes_whatever_happens_to_its_output(
    lost: str, progress: str, tmp_path: Path, forks: Forks, request: pytest.FixtureRequest
) -> None:
    descriptor = request.getfixturevalue(lost)
    done = forks.run(*TINY, f"progress={progress}", cwd=tmp_path, streams=(descriptor, descriptor))
    assert done.returncode == 0
    (run,) = (tmp_path / "runs").iterdir()
    assert json.loads((run / "status.json").read_text())["status"] == "completed"
    assert (run / "summary.json").exists()


def test_a_sweep_completes_and_writes_its_results_first(tmp_path: Path, forks: Forks, closed_pipe: int) -> None:
    with (tmp_path / "err").open("w+") as errors:
        done = forks.run("-m", *TINY, "seed=1,2", cwd=tmp_path, streams=(closed_pipe, errors.fileno()))
        errors.seek(0)
        lines = errors.read().splitlines()
    assert done.returncode == 0, lines
    (sweep,) = (tmp_path / "runs").iterdir()
    assert {"leaderboard.json", "leaderboard.csv", "leaderboard.md", "report.html"} <= {
        path.name for path in sweep.iterdir()
    }
    cause = "warning: standard output: cannot be written: Broken pipe"
    assert lines[-1] == f"{cause}; the result is in runs/{sweep.name}"


def test_a_closed_terminal_loses_no_epoch_even_if_nobody_reads_the_output(tmp_path: Path, forks: Forks) -> None:
    """SIGHUP while the training waits for a reader of its output."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(write, b"x" * 4096):
            pass
    os.set_blocking(write, True)
    arguments = (*kills.overrides("mlp"), "progress=plain", "training.checkpoint_every=40")
    with forks.start(*arguments, cwd=tmp_path, stderr=write) as process:
        while not list(tmp_path.glob("runs/*/history.csv")):
            time.sleep(0.02)
        process.send_signal(signal.SIGHUP)
        assert process.wait(30) == 129
    os.close(read)
    os.close(write)
    (run,) = (tmp_path / "runs").iterdir()
    assert json.loads((run / "status.json").read_text())["status"] == "interrupted"
    epochs = len((run / "history.csv").read_text().splitlines()) - 1
    assert max((run / "checkpoints").iterdir()).name.startswith(f"epoch_{epochs:06d}")
