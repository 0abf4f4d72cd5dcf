"""Has a process beside this one tell a tracker of what is trained; whatever becomes of it, the training never knows."""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import yaml

from mnist_exp.config.problems import quoted, show
from mnist_exp.config.schema import AnyTracker, NoTrackerConfig, RealTracker
from mnist_exp.terminal import messages

PLAIN = re.compile(r"[A-Za-z0-9._:/-]+")  # what Hydra's grammar takes without quotes
COMMAND = (sys.executable, "-P", "-m", "mnist_exp.tracking.uploader")
GRACE_SECONDS = 5.0  # beyond the tracker's own timeout, for the process to say that it has passed


@contextlib.contextmanager
def upload_in_background(place: Path, settings: AnyTracker) -> Iterator[None]:
    """Have a run, or a sweep with its jobs, followed until the block ends and what is there has been sent.

    That wait has an end, also where the tracker gives no answer. A tracker that fails costs one warning.

    Args:
        place: the directory of the run or sweep.
        settings: of the tracker.

    Raises:
        KeyboardInterrupt, Interrupted: by the user or the system, who do not want to wait.
    """
    if isinstance(settings, NoTrackerConfig):
        yield
        return
    try:
        follower = UploaderProcess(place, settings)
    except OSError as error:  # no process can be started
        messages.warning(_in_vain(place, settings, error.strerror or str(error)))
        yield
        return
    try:
        yield
    finally:
        follower.end()


class UploaderProcess:
    """The process, and the thread that hears of it."""

    def __init__(self, place: Path, settings: RealTracker) -> None:
        self._place = place
        self._settings = settings
        self._address: str | None = None
        self._failed = self._warned = False
        self._alive = threading.Event()  # since it was last looked at
        with contextlib.ExitStack() as undone:
            self._errors = undone.enter_context(tempfile.TemporaryFile())
            self._process = subprocess.Popen(  # noqa: S603  (this very program)
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=True,  # no Ctrl-C of a terminal reaches it; and what it starts ends with it
            )
            undone.pop_all()
        order = {"place": str(place.resolve()), "tracker": settings.model_dump(mode="json")}
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order).encode() + b"\n")  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Wait for it to send the rest, as long as it gets on with that; then say where to look, unless it failed."""
        try:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()  # type: ignore[union-attr]
            with messages.spinner(f"waiting for {self._settings.name}"):
                while self._thread.is_alive():
                    self._alive.clear()
                    self._thread.join(self._settings.timeout + GRACE_SECONDS)
                    if self._thread.is_alive() and not self._alive.is_set():
                        self._fail(f"no answer for {self._settings.timeout} s")
                        return
                if self._process.wait(GRACE_SECONDS) and not self._failed:
                    self._fail(self._last_words())
        except subprocess.TimeoutExpired:
            self._fail("its process does not end")
        finally:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._thread.join()
            self._process.stdout.close()  # type: ignore[union-attr]
            self._errors.close()
        if self._address is not None and not self._failed:
            messages.output().print(messages.cell(f"{self._settings.name}: {self._address}"))

    def _listen(self) -> None:
        for line in self._process.stdout:  # type: ignore[union-attr]
            reply = json.loads(line)
            self._failed = "failed" in reply
            if self._failed:
                self._fail(reply["failed"])
            self._address = reply.get("sent", self._address)
            self._alive.set()

    def _fail(self, cause: str) -> None:
        self._failed = True
        if not self._warned:
            self._warned = True
            messages.warning(_in_vain(self._place, self._settings, cause))

    def _last_words(self) -> str:
        self._errors.seek(0)
        told = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"its process ended with exit code {self._process.returncode}" + (f": {told[-1]}" if told else "")


def _in_vain(place: Path, settings: AnyTracker, cause: str) -> str:
    later = f"mnist-exp track {shlex.quote(str(place))} {overrides(settings)}"
    return f"tracker={settings.name}: {cause}; nothing is lost, upload it later: {later}"


def overrides(settings: AnyTracker) -> str:
    """What to type for a tracker, as far as it is not as shipped."""
    option = files("mnist_exp.conf") / "tracker" / f"{settings.name}.yaml"
    shipped = yaml.safe_load(option.read_text(encoding="utf-8"))
    chosen = {key: show(value) for key, value in settings.model_dump().items() if value != shipped[key]}
    typed = [f"tracker.{key}={value if PLAIN.fullmatch(value) else quoted(value)}" for key, value in chosen.items()]
    return shlex.join([f"tracker={settings.name}", *typed])
