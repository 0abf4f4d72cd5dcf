"""`python -m mnist_exp.tracking.uploader`: upload a run, or a sweep and its jobs, while they train.

The first line of standard input is the order as JSON. Each line of standard output is a reply: `sent` with an address, or
`failed` with a cause. When standard input ends, the uploader sends the rest and exits. It reads only files, so the jobs may
train on any machine.
"""

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from mnist_exp import tracking
from mnist_exp.config.schema import AnyTracker, TrackerConfig
from mnist_exp.errors import EXIT_DONE, EXIT_FAILED, EnvironmentFailure, UserError
from mnist_exp.run.directory import is_run
from mnist_exp.run.names import Run
from mnist_exp.sweep import plan
from mnist_exp.sweep.plan import Sweep
from mnist_exp.tracking.uploads import Uploads

POLL_SECONDS = 1.0
RETRY_SECONDS = 10.0  # after a failure
NICENESS = 10  # training has priority
ORPHAN_SECONDS = 120.0  # to send the rest after the parent process was killed

Reply = Callable[[dict[str, Any]], None]


def main() -> int:
    """Upload what standard input orders, until it ends."""
    os.nice(NICENESS)
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a library's output is not a reply
    order = json.loads(sys.stdin.buffer.readline())
    adapter: TypeAdapter[AnyTracker] = TypeAdapter(TrackerConfig)
    stop = threading.Event()
    threading.Thread(target=_wait_for_end_of_input, args=(stop, os.getppid()), daemon=True).start()

    def reply(content: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # the parent process was killed
            replies.write(json.dumps(content) + "\n")

    try:
        tracker = tracking.build_tracker(adapter.validate_python(order["tracker"]))
    except UserError as error:
        reply({"failed": error.cause})
        return EXIT_FAILED
    with Uploads(tracker) as uploads:
        return upload_until(stop, Path(order["directory"]), uploads, reply)


def upload_until(stop: threading.Event, directory: Path, uploads: Uploads, reply: Reply) -> int:
    """Send everything new of a run or a sweep repeatedly, and once more after `stop` is set; return the exit code."""
    retry_time = 0.0
    while True:
        is_last = stop.is_set()
        if is_last or time.monotonic() >= retry_time:
            try:
                _send_all(directory, uploads, is_last, reply)
            except EnvironmentFailure as error:
                reply({"failed": error.cause})
                retry_time = time.monotonic() + RETRY_SECONDS
                with contextlib.suppress(UserError):
                    uploads.release_all()
                if is_last:
                    return EXIT_FAILED
        if is_last:
            return EXIT_DONE
        stop.wait(POLL_SECONDS)


def _send_all(directory: Path, uploads: Uploads, is_last: bool, reply: Reply) -> None:
    """Send every run that has something new; raise EnvironmentFailure if the tracker cannot be reached."""

    def send(upload: Callable[[], str]) -> None:
        try:
            reply({"sent": upload()})
        except EnvironmentFailure:
            raise
        except UserError as error:  # of one run: the others continue, and the next poll may succeed
            if is_last:
                reply({"failed": error.cause})

    for run in _runs(directory):
        if uploads.is_due(run):
            send(lambda run=run: uploads.send(run))  # type: ignore[misc]
    if is_last and plan.is_sweep(directory):
        send(lambda: uploads.send_sweep(Sweep(directory)))


def _runs(directory: Path) -> Iterator[Run]:
    paths = [directory] if is_run(directory) else sorted(Path(entry.path) for entry in os.scandir(directory))
    return (Run(path) for path in paths if is_run(path))


def _wait_for_end_of_input(stop: threading.Event, parent: int) -> None:
    sys.stdin.buffer.read()
    stop.set()
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    time.sleep(ORPHAN_SECONDS)
    os._exit(EXIT_FAILED)


if __name__ == "__main__":
    sys.exit(main())
