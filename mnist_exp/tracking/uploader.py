"""`python -m mnist_exp.tracking.uploader`: tells a tracker of a run, or of a sweep and all its jobs, while they are trained.

Its first line of standard input says what to follow and how, as JSON; each line of standard output is a sign of life: what
was sent, or what failed. When standard input ends, whoever started this process is at the end too, or gone: what is there is
sent once more, and the process ends. It looks at files only, so it follows jobs on whatever machine they run.
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
AGAIN_SECONDS = 10.0  # after a failure
NICENESS = 10  # training goes first
LEFT_ALONE_SECONDS = 120.0  # to send the rest when whoever started this process, and would end it, is gone

Tell = Callable[[dict[str, Any]], None]


def main() -> int:
    """Follow what standard input names, to its end."""
    os.nice(NICENESS)
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no reply
    order = json.loads(sys.stdin.buffer.readline())
    adapter: TypeAdapter[AnyTracker] = TypeAdapter(TrackerConfig)
    ended = threading.Event()
    threading.Thread(target=_wait_for_end, args=(ended, os.getppid()), daemon=True).start()

    def tell(reply: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # nobody is left to hear it
            replies.write(json.dumps(reply) + "\n")

    try:
        tracker = tracking.build_tracker(adapter.validate_python(order["tracker"]))
    except UserError as error:
        tell({"failed": error.cause})
        return EXIT_FAILED
    with Uploads(tracker) as uploads:
        return follow(Path(order["place"]), uploads, ended, tell)


def follow(place: Path, uploads: Uploads, ended: threading.Event, tell: Tell) -> int:
    """Send what is new, again and again, and once more after the end.

    Args:
        place: a run, or a sweep.
        uploads: to the tracker.
        ended: set when nothing new will come.
        tell: of what was sent and what failed.
    """
    again = 0.0
    while True:
        last = ended.is_set()
        if last or time.monotonic() >= again:
            try:
                _send(place, uploads, last, tell)
            except EnvironmentFailure as error:
                tell({"failed": error.cause})
                again = time.monotonic() + AGAIN_SECONDS
                with contextlib.suppress(UserError):
                    uploads.let_go()
                if last:
                    return EXIT_FAILED
        if last:
            return EXIT_DONE
        ended.wait(POLL_SECONDS)


def _send(place: Path, uploads: Uploads, last: bool, tell: Tell) -> None:
    """Send what is new of every run.

    Raises:
        EnvironmentFailure: the tracker cannot be reached.
    """
    for run in _runs(place):
        if uploads.is_due(run):
            with _one_of_many(last, tell):
                tell({"sent": uploads.send(run)})
    if last and plan.is_sweep(place):
        with _one_of_many(last, tell):
            tell({"sent": uploads.send_sweep(Sweep(place))})


@contextlib.contextmanager
def _one_of_many(last: bool, tell: Tell) -> Iterator[None]:
    """What is wrong with one run does not hold up the others; it may be right at the next look."""
    try:
        yield
    except EnvironmentFailure:
        raise
    except UserError as error:
        if last:
            tell({"failed": error.cause})


def _runs(place: Path) -> Iterator[Run]:
    if is_run(place):
        yield Run(place)
        return
    for entry in sorted(os.scandir(place), key=lambda entry: entry.name):
        if entry.is_dir() and is_run(Path(entry.path)):
            yield Run(Path(entry.path))


def _wait_for_end(ended: threading.Event, parent: int) -> None:
    sys.stdin.buffer.read()
    ended.set()
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    time.sleep(LEFT_ALONE_SECONDS)
    os._exit(EXIT_FAILED)


if __name__ == "__main__":
    sys.exit(main())
