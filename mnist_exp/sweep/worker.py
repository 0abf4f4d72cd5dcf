"""`python -m mnist_exp.sweep.worker [CORE...]`: a process that trains one run after the other.

Standard input has the directory of a run in each line, as JSON; standard output has a reply for each: the most memory that
the run took, in bytes, 0 if unknown. The end of standard input means that the supervisor is done or dead: a run in training
writes a checkpoint, and the process exits.
"""

import contextlib
import faulthandler
import json
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from mnist_exp import config
from mnist_exp.errors import EXIT_DONE, EXIT_FAILED, Interrupted, UserError
from mnist_exp.experiment import train_or_resume
from mnist_exp.machine import memory
from mnist_exp.runs.directory import read_config
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import write_status
from mnist_exp.sweep.supervisor import GRACE_SECONDS
from mnist_exp.terminal import streams

LOCK_SECONDS = 15.0  # to wait for a worker whose supervisor was killed to release the run: longer than its grace period

Directories = queue.SimpleQueue[str | None]


def main(cores: list[int]) -> int:
    """Train until standard input ends, on these CPU cores if any are given."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is not a reply
    streams.install()
    faulthandler.enable()
    if cores:
        os.sched_setaffinity(0, cores)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver
    directories: Directories = queue.SimpleQueue()
    training = threading.Event()
    threading.Thread(target=_receive, args=(directories, training), daemon=True).start()
    try:
        while (directory := directories.get()) is not None:
            training.set()
            is_reset = memory.reset_peak()
            _train(Run(Path(directory)))
            training.clear()
            peak = memory.resident_bytes(peak=True) if is_reset else None
            with contextlib.suppress(BrokenPipeError):  # the supervisor is dead
                replies.write(f"{peak or 0}\n")
    except Interrupted as interruption:
        return interruption.exit_code
    return EXIT_DONE


def _receive(directories: Directories, training: threading.Event) -> None:
    """Queue the directories; at the end of standard input, end the process."""
    for line in sys.stdin.buffer:
        directories.put(json.loads(line))
    directories.put(None)
    if training.is_set():
        os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(GRACE_SECONDS)
    os._exit(EXIT_FAILED)


def _train(run: Run) -> None:
    try:
        experiment = config.validate(read_config(run)).model_copy(update={"progress": "quiet"})
        train_or_resume(experiment, run, lock_timeout=LOCK_SECONDS)
    except (ValueError, UserError) as error:  # a damaged config.yaml
        write_status(run, "failed", EXIT_FAILED, " ".join(str(error).split()), "train it again with --retry-failed")
    except Interrupted:  # its status is written
        pass


def _interrupt(number: int, _: FrameType | None) -> None:
    raise Interrupted(number)


if __name__ == "__main__":
    sys.exit(main([int(core) for core in sys.argv[1:]]))
