"""A disk of 16 MB: too small from the start, or filled during a training."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.faults.kills import overrides
from tests.faults.result import result_of
from tests.forks import NewProcesses


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[Path | None]:
    """A mounted tmpfs of 16 MB; None where this user may not mount one."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def refused_before_training(disk: Path, processes: NewProcesses) -> bool:
    """A run that needs more space than is free exits with 5 before its first epoch and reports both."""
    done = processes.run("model.units=[800]", f"runs_dir={disk}/big", cwd=disk.parent)
    return (
        done.returncode == 5
        and f"{disk}/big" in done.stderr
        and " MB are free" in done.stderr
        and "epoch" not in done.stderr
    )


def refused_where_nothing_can_be_written(disk: Path) -> bool:
    """A run on a read-only disk exits with 5 before TensorFlow starts."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    arguments = [sys.executable, "-X", "importtime", "-m", "mnist_exp", f"runs_dir={disk}/runs"]
    done = subprocess.run(arguments, cwd=disk.parent, capture_output=True, text=True, check=False)
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    reported = "Read-only file system" in done.stderr and f"{disk}/runs" in done.stderr
    return done.returncode == 5 and reported and " tensorflow\n" not in done.stderr


def filled_and_resumed(disk: Path, expected: Path, processes: NewProcesses) -> bool:
    """The disk fills while a run trains: it exits with 5 and, once there is space, is resumed to the same result."""
    filler = disk / "filler"
    with processes.start(
        *overrides("mlp"),
        f"runs_dir={disk}/runs",
        cwd=disk.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert any(line.startswith("epoch  3/") for line in process.stderr)
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        stderr = process.stderr.read()
    filler.unlink()
    (run,) = (disk / "runs").iterdir()
    resumed = processes.run("resume", str(run), cwd=disk.parent)
    ended = process.returncode == 5 and "No space left on device" in stderr and str(run) in stderr
    return ended and resumed.returncode == 0 and result_of(run) == result_of(expected)
