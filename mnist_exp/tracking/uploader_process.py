"""Start the uploader process and supervise it; whatever happens to it, the training continues."""

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
from typing import IO

import yaml

from mnist_exp.config.conversions import format_value, quote
from mnist_exp.config.trackers import AnyTracker, NoTrackerConfig, RealTracker
from mnist_exp.errors import UserError
from mnist_exp.machine.files import provide_temporary_directory
from mnist_exp.machine.logs import log_to_file
from mnist_exp.terminal import messages

UNQUOTED = re.compile(r"[A-Za-z0-9._:/-]+")  # values that Hydra's grammar accepts without quotes
COMMAND = (sys.executable, "-P", "-m", "mnist_exp.tracking.uploads")
GRACE_SECONDS = 5.0  # beyond the tracker's timeout, so that the uploader can report the timeout itself


@contextlib.contextmanager
def upload_in_background(directory: Path, log: Path, settings: AnyTracker) -> Iterator[None]:
    """Upload a run, or a sweep with its jobs, during the block; at its end, wait until everything is sent.

    The wait ends if the tracker does not answer within its timeout. A tracker that fails costs one warning, which is also
    in the run's log.

    Raises:
        KeyboardInterrupt, Interrupted: the user or the system stops the wait.
    """
    with contextlib.ExitStack() as stack:
        if not isinstance(settings, NoTrackerConfig):
            try:
                provide_temporary_directory(directory)
                errors = stack.enter_context(tempfile.TemporaryFile())
                stack.callback(UploaderProcess(directory, log, settings, errors).finish)
            except OSError as error:  # no process can be started
                _warn(directory, log, settings, error.strerror or str(error))
        yield


class UploaderProcess:
    """The uploader process, and the thread that reads its replies."""

    def __init__(self, directory: Path, log: Path, settings: RealTracker, errors: IO[bytes]) -> None:
        self._directory = directory
        self._log = log
        self._settings = settings
        self._errors = errors
        self._address: str | None = None
        self._failed = self._warned = False
        self._replied = threading.Event()
        self._process = subprocess.Popen(  # noqa: S603  (the command is a constant)
            (*COMMAND, str(directory.resolve()), settings.model_dump_json()),  # `ps` shows no password: see config/checks.py
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # Ctrl-C does not reach it, and its children are killed with it
        )
        self._reader = threading.Thread(target=self._read_replies, daemon=True)
        self._reader.start()

    def finish(self) -> None:
        """Wait while the process sends the rest, then print the address, unless the upload failed."""
        try:
            self._process.stdin.close()  # type: ignore[union-attr]
            with messages.spinner(f"waiting for {self._settings.name}"):
                while self._reader.is_alive():
                    self._replied.clear()
                    self._reader.join(self._settings.timeout + GRACE_SECONDS)
                    if self._reader.is_alive() and not self._replied.is_set():
                        self._fail(f"no answer for {self._settings.timeout} s")
                        return
        finally:
            if self._reader.is_alive():
                self._warned = True  # its exit code is ours
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            self._reader.join()
        if self._address is not None and not self._failed:
            messages.print_line(f"{self._settings.name}: {self._address}")

    def _read_replies(self) -> None:
        with self._process.stdout as replies:  # type: ignore[union-attr]
            for line in replies:
                reply = json.loads(line)
                self._failed = "failed" in reply
                if self._failed:
                    self._fail(reply["failed"])
                self._address = reply.get("sent", self._address)
                self._replied.set()
            if self._process.wait() and not self._failed:
                self._errors.seek(0)
                last_line = self._errors.read().decode(errors="replace").strip().splitlines()[-1:]
                self._fail(": ".join([f"the uploader process exited with code {self._process.returncode}", *last_line]))

    def _fail(self, cause: str) -> None:
        self._failed = True
        if not self._warned:
            self._warned = True
            _warn(self._directory, self._log, self._settings, cause)


def _warn(directory: Path, log: Path, settings: AnyTracker, cause: str) -> None:
    command = f"mnist-exp track {shlex.quote(str(directory))} {overrides(settings)}"
    text = f"tracker={settings.name}: {cause}; nothing is lost, upload it later: {command}"
    with contextlib.ExitStack() as stack:
        if log.is_file() and not log.is_symlink():
            with contextlib.suppress(UserError):  # a log that cannot be opened: the warning is printed
                stack.enter_context(log_to_file(log))  # the run has closed it if the tracker fails after the training
        messages.warning(text)


def overrides(settings: AnyTracker) -> str:
    """Return the overrides that choose a tracker, as shell words; only settings that differ from its option file."""
    option = files("mnist_exp.conf") / "tracker" / f"{settings.name}.yaml"
    defaults = yaml.safe_load(option.read_text(encoding="utf-8"))
    changed = {key: format_value(value) for key, value in settings.model_dump().items() if value != defaults[key]}
    words = [f"tracker.{key}={text if UNQUOTED.fullmatch(text) else quote(text)}" for key, text in changed.items()]
    return shlex.join([f"tracker={settings.name}", *words])
