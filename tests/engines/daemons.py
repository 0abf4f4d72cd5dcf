"""Programs that serve while a test lasts: children of ours, which with all that they started are gone when it ends."""

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
    """Programs in the foreground, which need no pid files: each is a child, and leads a session that no Ctrl-C reaches.

    What they start is known by that session or, where it leaves that, by `mark`: a variable that names their own place.
    """

    def __init__(self, place: Path, variable: str, value: Path) -> None:
        self.place = place
        self.mark = f"{variable}={value}".encode()
        self.environment = {**os.environ, variable: str(value)}
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str) -> None:
        """Start this one; what it prints goes to a file beside the others'."""
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
        """Until ready; an error with all that they wrote if one of them ends before or it takes too long."""
        deadline = time.monotonic() + LIMIT
        while not ready():
            if time.monotonic() > deadline or any(process.poll() is not None for process in self.started):
                files = sorted((*self.place.glob("*.out"), *self.place.glob("*.log")))
                raise RuntimeError("\n".join(f"{file.name}:\n{file.read_text(errors='replace')}" for file in files))
            time.sleep(0.1)

    def told(self, *command: str) -> str:
        """What this command prints in their environment; nothing if it fails or hangs, as it may until they serve."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            run = subprocess.run(
                command, env=self.environment, capture_output=True, text=True, timeout=LIMIT / 4, check=False
            )
            return run.stdout.strip()
        return ""

    def stop(self) -> None:
        """Kill them and what they started: they have nothing to save, and end in an orderly way only slowly."""
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
        """All their processes."""
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
    """None yet, in a new directory with a short name, as sockets need; `variable` names it, or this file in it."""
    with tempfile.TemporaryDirectory(prefix="tests-", dir="/tmp") as name:
        started = Daemons(Path(name), variable, Path(name) / file)
        try:
            yield started
        finally:
            started.stop()
