"""`python -m mnist_exp.tracking.uploader DIRECTORY TRACKER`: upload a run, or a sweep and its jobs, while they train.

TRACKER is the tracker's settings as JSON. Each line of standard output is a reply as JSON: `sent` with an address, or
`failed` with a cause. When standard input ends, the uploader sends the rest and exits. It reads only files, so the jobs may
train on any machine.
"""

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import TypeAdapter

from mnist_exp import tracking
from mnist_exp.config.schema import AnyTracker, TrackerConfig
from mnist_exp.errors import EXIT_DONE, EXIT_FAILED, EnvironmentFailure, UserError
from mnist_exp.run.directory import find_runs, is_run
from mnist_exp.run.names import Run
from mnist_exp.sweep import plan
from mnist_exp.sweep.plan import Sweep
from mnist_exp.tracking.uploads import Uploads

POLL_SECONDS = 1.0
RETRY_SECONDS = 10.0  # after a failure
NICENESS = 10  # training has priority
ORPHAN_SECONDS = 120.0  # to send the rest after the parent process was killed

Reply = Callable[[dict[str, str]], None]


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
    with Uploads(tracker) as uploads:
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
                uploads.release_all()
        if is_last:
            return code
        stop.wait(pause)


def _send_all(directory: Path, uploads: Uploads, is_last: bool, reply: Reply) -> None:
    """Send every run that has something new; raise EnvironmentFailure if the tracker cannot be reached."""
    runs = [Run(path) for path in find_runs(directory) if is_run(path)]
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
