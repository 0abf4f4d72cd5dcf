"""Upload run directories to a tracker: one process at a time uploads a run, whenever the run has something new.

`python -m mnist_exp.tracking.uploads DIRECTORY TRACKER` uploads a run, or a sweep and its jobs, while they train. TRACKER is
the tracker's settings as JSON. Each line of standard output is a reply as JSON: `sent` with an address, or `failed` with a
cause. When standard input ends, it sends the rest and exits. It reads only files, so the jobs may train on any machine.
"""

import contextlib
import functools
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from pydantic import TypeAdapter

from mnist_exp import tracking
from mnist_exp.config.trackers import AnyTracker, TrackerConfig
from mnist_exp.errors import EXIT_DONE, EXIT_FAILED, EnvironmentFailure, InputError, UserError
from mnist_exp.machine import files, locks
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs.directory import find_runs, last_change
from mnist_exp.runs.run import Run, refuse_special_files
from mnist_exp.sweep import plan
from mnist_exp.sweep.plan import Sweep
from mnist_exp.tracking.snapshot import RunSnapshot, read_run, read_sweep
from mnist_exp.tracking.tracker import TrackedRun, Tracker, library_errors

LOCK_SECONDS = 60.0  # to wait while another process creates the parent run of the same sweep
POLL_SECONDS = 1.0
RETRY_SECONDS = 10.0  # after a failure
NICENESS = 10  # training has priority
ORPHAN_SECONDS = 120.0  # to send the rest after the parent process was killed

Reply = Callable[[dict[str, str]], None]


class Uploads:
    """The runs that are being uploaded to one tracker, until they are closed."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._open: dict[Path, tuple[TrackedRun, contextlib.ExitStack]] = {}
        self._sent: dict[Path, tuple[int, int]] = {}  # the version of each run that was sent
        self._read_sweep = functools.cache(read_sweep)  # once for all its jobs

    def close(self) -> None:
        """Release every run; a later `send` finds it at the tracker again.

        Raises:
            EnvironmentFailure: the tracker cannot be reached.
        """
        with library_errors(self._tracker), contextlib.ExitStack() as stack:
            for _, run_stack in self._open.values():
                stack.push(run_stack)
            self._open.clear()
            self._sent.clear()

    def is_due(self, run: Run) -> bool:
        """Return whether a run has started and has something that the tracker lacks."""
        if read_json(run.status).get("status") == "waiting" or self._sent.get(run.directory) == _version(run):
            return False
        uploaded = read_json(run.tracking).get("uploaded")
        is_uploaded = isinstance(uploaded, dict) and uploaded.get(self._tracker.target) == last_change(run)
        return run.directory in self._open or not is_uploaded

    def send(self, place: Run | Sweep) -> str:
        """Send what the tracker lacks of a run, or of a sweep without its jobs, and return the address.

        Raises:
            InputError: another process uploads it.
            IntegrityError: one of its files is damaged, or a link.
            EnvironmentFailure: the tracker cannot be reached or refuses the data, or the directory cannot be written.
        """
        refuse_special_files(*place.written_in_place)
        if isinstance(place, Sweep):
            with _locked(place.tracking_lock, LOCK_SECONDS):
                snapshot = read_sweep(place)
                with library_errors(self._tracker):
                    return self._tracker.send_sweep(snapshot)
        version = _version(place)
        with contextlib.ExitStack() as stack:
            if place.directory not in self._open:
                stack.enter_context(_locked(place.tracking_lock, 0))
            snapshot = read_run(place)
            with library_errors(self._tracker):
                if place.directory not in self._open:
                    tracked = self._find_or_create(snapshot)
                    stack.callback(tracked.close)
                    self._open[place.directory] = tracked, stack.pop_all()
                tracked, run_stack = self._open[place.directory]
                tracked.send(snapshot)
                if snapshot.ended is not None:
                    del self._open[place.directory]
                    run_stack.close()
        self._sent[place.directory] = version
        if snapshot.ended is not None:  # record it, so that it is not sent again
            content = read_json(place.tracking)
            content["uploaded"] |= {self._tracker.target: last_change(place)}
            files.write_json(place.tracking, content)
        return tracked.address

    def _find_or_create(self, snapshot: RunSnapshot) -> TrackedRun:
        sweep = Sweep(snapshot.directory.resolve().parent)
        if not plan.is_sweep(sweep.directory):
            return self._tracker.open_run(snapshot, None)
        with _locked(sweep.tracking_lock, LOCK_SECONDS):  # or two processes could both create the parent run
            return self._tracker.open_run(snapshot, self._read_sweep(sweep))


def _locked(lock: Path, timeout: float) -> AbstractContextManager[None]:
    """Lock the upload of a run or a sweep; raise InputError if another process has the lock after `timeout` seconds."""
    cause = f"{lock.parent}: another process is uploading it"
    return locks.locked(lock, timeout, lambda: InputError(cause, "wait until it has finished"))


def _version(run: Run) -> tuple[int, int]:
    """Return the times of the last change of history and status."""
    return run.history.stat().st_mtime_ns if files.exists(run.history) else 0, last_change(run)


def main() -> int:
    """Upload what the arguments name, until standard input ends."""
    directory, settings = sys.argv[1:]
    os.nice(NICENESS)
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a library's output is not a reply
    stop = threading.Event()
    threading.Thread(target=_wait_for_end_of_input, args=(stop, os.getppid()), daemon=True).start()

    def reply(content: dict[str, str]) -> None:
        with contextlib.suppress(BrokenPipeError):  # the parent process was killed
            replies.write(json.dumps(content) + "\n")

    adapter: TypeAdapter[AnyTracker] = TypeAdapter(TrackerConfig)
    try:
        tracker = tracking.build_tracker(adapter.validate_json(settings))
    except UserError as error:
        reply({"failed": error.cause})
        return EXIT_FAILED
    with contextlib.closing(Uploads(tracker)) as uploads:
        return upload_until(stop, Path(directory), uploads, reply)


def upload_until(stop: threading.Event, directory: Path, uploads: Uploads, reply: Reply) -> int:
    """Send everything new of a run or a sweep repeatedly, and once more after `stop` is set; return the exit code."""
    while True:
        is_last = stop.is_set()
        try:
            _send_all(directory, uploads, is_last, reply)
            code, pause = EXIT_DONE, POLL_SECONDS
        except EnvironmentFailure as error:
            reply({"failed": error.cause})
            code, pause = EXIT_FAILED, RETRY_SECONDS
            with contextlib.suppress(UserError):
                uploads.close()
        if is_last:
            return code
        stop.wait(pause)


def _send_all(directory: Path, uploads: Uploads, is_last: bool, reply: Reply) -> None:
    """Send every run that has something new; raise EnvironmentFailure if the tracker cannot be reached."""
    runs = [Run(path) for path in find_runs(directory)]
    places: list[Run | Sweep] = [run for run in runs if uploads.is_due(run)]
    if is_last and plan.is_sweep(directory):
        places.append(Sweep(directory))
    for place in places:
        try:
            reply({"sent": uploads.send(place)})
        except EnvironmentFailure:
            raise
        except UserError as error:  # of one run: the others continue, and the next poll may succeed
            if is_last:
                reply({"failed": error.cause})


def _wait_for_end_of_input(stop: threading.Event, parent: int) -> None:
    sys.stdin.buffer.read()
    stop.set()
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    time.sleep(ORPHAN_SECONDS)
    os._exit(EXIT_FAILED)


if __name__ == "__main__":
    sys.exit(main())
