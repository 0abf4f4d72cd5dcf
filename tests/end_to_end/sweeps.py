"""Helpers of the tests of sweeps."""

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from tests.conftest import ROOT
from tests.forks import WORKER, WORKER_NAME

SABOTEUR = str(ROOT / "tests" / "faults" / "saboteur")
PATIENCE = 120  # seconds


def until(condition: Callable[[], object]) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def sweep_of(place: Path) -> Path:
    """The only sweep below a directory."""
    (sweep,) = (place / "runs").iterdir()
    return sweep


def statuses(sweep: Path) -> dict[str, str]:
    """The status of every job that has a directory, by the name of the directory."""
    return {path.parent.name: json.loads(path.read_text())["status"] for path in sorted(sweep.glob("*/status.json"))}


def workers(place: Path) -> list[str]:
    """The workers of the sweeps started in a directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            is_worker = WORKER in (process / "cmdline").read_text() or (process / "comm").read_text() == f"{WORKER_NAME}\n"
            if is_worker and (process / "cwd").readlink() == place:
                found.append(process.name)
    return found


def sabotage(faults: str) -> dict[str, str]:
    """An environment in which jobs fail: a fault for each seed, as in "1=exit,2=kill"."""
    return os.environ | {"PYTHONPATH": SABOTEUR, "SABOTAGE": faults}
