"""Servers that run during a test, and are killed with all their children when it ends."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

LIMIT = 60.0  # seconds: far more than starting and stopping take, since the machine may be shared
PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))


class Daemons:
    """Programs in the foreground, without pid files: each is a child process with a session of its own.

    Their children are recognized by the session, or by `mark`, an environment variable that contains their directory.
    """

    def __init__(self, place: Path, variable: str, value: Path) -> None:
        self.place = place
        self.mark = f"{variable}={value}".encode()
        self.environment = {**os.environ, variable: str(value)}
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str) -> None:
        """Start a program; its output goes to a file in `place`."""
        program = shutil.which(command[0], path=PATH)
        assert program is not None, f"no {command[0]}"
        with (self.place / f"{len(self.started)}-{Path(program).name}.out").open("wb") as out:
            process = subprocess.Popen(
                [program, *command[1:]],
                cwd=self.place,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.started.append(process)

    def wait(self, ready: Callable[[], bool]) -> None:
        """Wait until `ready`; if a program ends or it takes too long, raise an error with all their output."""
        deadline = time.monotonic() + LIMIT
        while not ready():
            if time.monotonic() > deadline or any(process.poll() is not None for process in self.started):
                files = sorted((*self.place.glob("*.out"), *self.place.glob("*.log")))
                raise RuntimeError("\n".join(f"{file.name}:\n{file.read_text(errors='replace')}" for file in files))
            time.sleep(0.1)

    def output(self, *command: str) -> str:
        """The output of a command in their environment; empty if it hangs, as it may until they are ready."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            run = subprocess.run(
                command, env=self.environment, capture_output=True, text=True, timeout=LIMIT / 4, check=False
            )
            return run.stdout.strip()
        return ""

    def stop(self) -> None:
        """Kill them and their children; an orderly shutdown would be slow."""
        deadline = time.monotonic() + LIMIT
        while left := self._alive():
            assert time.monotonic() < deadline, f"processes {left} do not die"
            for number in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            time.sleep(0.05)
        for process in self.started:
            process.wait()

    def _alive(self) -> list[int]:
        """The IDs of all their processes."""
        sessions = {str(process.pid) for process in self.started}
        alive = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has just ended, or is another user's
                state, _, _, session = (process / "stat").read_text(errors="replace").rpartition(") ")[2].split()[:4]
                if state != "Z" and (session in sessions or self.mark in (process / "environ").read_bytes().split(b"\0")):
                    alive.append(int(process.name))
        return [number for number in alive if number != os.getpid()]


@contextlib.contextmanager
def daemons(variable: str, file: str = "") -> Iterator[Daemons]:
    """Create `Daemons` in a new directory; the environment variable contains its path, or that of `file` in it."""
    with tempfile.TemporaryDirectory(prefix="tests-", dir="/tmp") as name:
        started = Daemons(Path(name), variable, Path(name) / file)
        try:
            yield started
        finally:
            started.stop()
