"""Upload run directories to a tracker: one process at a time uploads a run, whenever the run has something new."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from mnist_exp.errors import InputError
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_json
from mnist_exp.run.directory import last_change
from mnist_exp.run.names import Run
from mnist_exp.sweep import plan
from mnist_exp.sweep.plan import Sweep
from mnist_exp.tracking.snapshot import RunSnapshot, read_run, read_sweep
from mnist_exp.tracking.tracker import TrackedRun, Tracker, library_errors

LOCK_SECONDS = 60.0  # to wait while another process creates the parent run of the same sweep


class Uploads:
    """The runs that are being uploaded to one tracker; a context manager that releases them at its end."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._open: dict[Path, tuple[TrackedRun, contextlib.ExitStack]] = {}
        self._sent: dict[Path, tuple[int, int]] = {}  # the version of each run that was sent
        self._sweeps: dict[Path, RunSnapshot] = {}  # of the open jobs

    def __enter__(self) -> "Uploads":
        return self

    def __exit__(self, *_: object) -> None:
        self.release_all()

    def release_all(self) -> None:
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
        """Whether a run has started and has something that the tracker lacks."""
        if read_json(run.status).get("status") == "waiting" or self._sent.get(run.directory) == _version(run):
            return False
        uploaded = read_json(run.tracking).get("uploaded")
        is_uploaded = isinstance(uploaded, dict) and uploaded.get(self._tracker.target) == last_change(run)
        return run.directory in self._open or not is_uploaded

    def send(self, place: Run | Sweep) -> str:
        """Send what the tracker lacks of a run, or of a sweep without its jobs, and return the address.

        Raises:
            InputError: another process uploads it.
            IntegrityError: one of its files is damaged.
            EnvironmentFailure: the tracker cannot be reached or refuses the data, or the directory cannot be written.
        """
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
            if sweep.directory not in self._sweeps:
                self._sweeps[sweep.directory] = read_sweep(sweep)
            return self._tracker.open_run(snapshot, self._sweeps[sweep.directory])


@contextlib.contextmanager
def _locked(lock: Path, timeout: float) -> Iterator[None]:
    """Lock the upload of a run or a sweep.

    Raises:
        InputError: another process has the lock after `timeout` seconds.
        EnvironmentFailure: the lock file cannot be opened.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(files.locked(lock, timeout))
        except BlockingIOError:
            raise InputError(f"{lock.parent}: another process is uploading it", "wait until it has finished") from None
        yield


def _version(run: Run) -> tuple[int, int]:
    """The times of the last change of history and status."""
    return run.history.stat().st_mtime_ns if run.history.exists() else 0, last_change(run)
