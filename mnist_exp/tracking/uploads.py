"""From run directories to a tracker: each run held by one process at a time, and sent as often as there is something new."""

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
from mnist_exp.tracking import Session, Tracker, snapshot
from mnist_exp.tracking.snapshot import Identity

LOCK_SECONDS = 60.0  # for another process to find or make the run of the same sweep


class Uploads:
    """The runs that are on their way to one tracker; a context, at whose end it lets go of them all."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._open: dict[Path, tuple[Session, contextlib.ExitStack]] = {}
        self._seen: dict[Path, tuple[int, int]] = {}  # when history and status of a run that was sent had changed
        self._parents: dict[Path, Identity] = {}

    def __enter__(self) -> "Uploads":
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()

    def let_go(self) -> None:
        """Let go of every run; those that are sent again are found or made anew.

        Raises:
            EnvironmentFailure: of one of them the tracker could not be told.
        """
        with contextlib.ExitStack() as all_of_them:
            for _, held in self._open.values():
                all_of_them.push(held)
            self._open.clear()
            self._seen.clear()

    def is_due(self, run: Run) -> bool:
        """Whether a run has begun, and has something that the tracker was not given."""
        if read_json(run.status).get("status") == "waiting" or self._seen.get(run.directory) == _state(run):
            return False
        return run.directory in self._open or not snapshot.is_uploaded(run, self._tracker.target)

    def send(self, run: Run) -> str:
        """Send what is new of a run; where to look at it.

        Raises:
            InputError: another process sends it.
            IntegrityError: one of its files is not what a run writes.
            EnvironmentFailure: the tracker cannot be reached or refuses it, or the directory cannot be written.
        """
        state = _state(run)
        if run.directory not in self._open:
            self._begin(run)
        session, held = self._open[run.directory]
        told = snapshot.read_run(run)
        session.send(told)
        self._seen[run.directory] = state
        if told.ended is not None:
            del self._open[run.directory]
            held.close()
            snapshot.record_upload(run, self._tracker.target)
        return session.address

    def send_sweep(self, sweep: Sweep) -> str:
        """Send what is told of a sweep beside its jobs; where to look at it.

        Raises:
            InputError, IntegrityError, EnvironmentFailure: as of a run.
        """
        with _held(sweep.tracking_lock, LOCK_SECONDS):
            return self._tracker.sweep(snapshot.read_sweep(sweep))

    def _begin(self, run: Run) -> None:
        """Take hold of a run, and find or make it at the tracker."""
        sweep = Sweep(run.directory.resolve().parent)
        with contextlib.ExitStack() as stack:
            stack.enter_context(_held(run.tracking_lock, 0))
            told = snapshot.read_run(run)
            if plan.is_sweep(sweep.directory):
                with _held(sweep.tracking_lock, LOCK_SECONDS):  # or two processes would each make it
                    if sweep.directory not in self._parents:
                        self._parents[sweep.directory] = snapshot.read_sweep(sweep).identity
                    session = self._tracker.begin(told, self._parents[sweep.directory])
            else:
                session = self._tracker.begin(told, None)
            stack.callback(session.close)
            self._open[run.directory] = session, stack.pop_all()


@contextlib.contextmanager
def _held(lock: Path, patience: float) -> Iterator[None]:
    """Hold what is told of a run or a sweep for this process alone.

    Raises:
        InputError: another process holds it.
        EnvironmentFailure: the lock cannot be opened.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(files.locked(lock, patience))
        except BlockingIOError:
            cause = f"{lock.parent}: is being uploaded by another process"
            raise InputError(cause, "wait for it, or end it first") from None
        yield


def _state(run: Run) -> tuple[int, int]:
    try:
        return run.history.stat().st_mtime_ns, last_change(run)
    except FileNotFoundError:
        return 0, last_change(run)
