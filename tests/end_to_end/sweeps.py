"""What tests of sweeps look at."""

import contextlib
import json
import os
from pathlib import Path

from tests.conftest import ROOT

SABOTEUR = str(ROOT / "tests" / "faults" / "saboteur")


def sweep_of(place: Path) -> Path:
    """The only sweep below a directory."""
    (sweep,) = (place / "runs").iterdir()
    return sweep


def statuses(sweep: Path) -> dict[str, str]:
    """What every job that has begun says of itself, by its directory."""
    return {path.parent.name: json.loads(path.read_text())["status"] for path in sorted(sweep.glob("*/status.json"))}


def workers(place: Path) -> list[str]:
    """The processes that train for the sweeps started in a directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if (process / "cwd").readlink() == place and b"mnist_exp.sweep.worker" in (process / "cmdline").read_bytes():
                found.append(process.name)
    return found


def sabotage(faults: str) -> dict[str, str]:
    """An environment in which these seeds meet these faults."""
    return os.environ | {"PYTHONPATH": SABOTEUR, "SABOTAGE": faults}
