"""`python -m mnist_exp.sweep.worker`: trains the runs named on its standard input, one after the other, in one process.

Each line of standard input is a run directory as JSON; each line of standard output answers one. TensorFlow is imported
once, for the first run. When standard input ends, whoever started this process is done with it or gone: a run in training is
brought to a state from which it can be resumed, and the process ends.
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
from typing import Any, TextIO

from mnist_exp import config
from mnist_exp.errors import EXIT_DONE, EXIT_FAILED, Interrupted, UserError
from mnist_exp.experiment import train_or_resume
from mnist_exp.machine import memory
from mnist_exp.run.directory import read_config
from mnist_exp.run.names import Run
from mnist_exp.run.status import write_status

GRACE_SECONDS = 10.0  # for a run to keep its state when this process must end
LOCK_SECONDS = 15.0  # for a process whose parent was killed to let go of its run: longer than its grace

Directories = queue.SimpleQueue[str | None]


def main(cores: list[int]) -> int:
    """Train until there is no more to do, on these processors only if any are named."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no reply
    faulthandler.enable()
    if cores:
        os.sched_setaffinity(0, cores)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever handed out the work
    directories: Directories = queue.SimpleQueue()
    training = threading.Event()
    threading.Thread(target=_receive, args=(directories, training), daemon=True).start()
    try:
        while (directory := directories.get()) is not None:
            training.set()
            reply = _train(Run(Path(directory)))
            training.clear()
            _write(replies, reply)
    except Interrupted as interruption:
        return interruption.exit_code
    return EXIT_DONE


def _receive(directories: Directories, training: threading.Event) -> None:
    """Hand on what is to be trained; when no more can come, end the process."""
    for line in sys.stdin.buffer:
        directories.put(json.loads(line))
    directories.put(None)
    if training.is_set():
        os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(GRACE_SECONDS)
    os._exit(EXIT_FAILED)


def _train(run: Run) -> dict[str, Any]:
    """Train one run; its exit code, and the most memory it took, in bytes, where that can be told."""
    forgotten = memory.reset_peak()
    try:
        experiment = config.validate(read_config(run)).model_copy(update={"progress": "quiet"})
        code = train_or_resume(experiment, run, lock_timeout=LOCK_SECONDS)
    except (ValueError, UserError) as error:  # its config.yaml is not what a run writes
        write_status(run, "failed", EXIT_FAILED, " ".join(str(error).split()), "train it again with --retry-failed")
        code = EXIT_FAILED
    except Interrupted as interruption:
        code = interruption.exit_code
    return {"code": code, "peak_memory": memory.peak_bytes() if forgotten else None}


def _write(replies: TextIO, reply: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody is left to hear it
        replies.write(json.dumps(reply) + "\n")


def _interrupt(number: int, _: FrameType | None) -> None:
    raise Interrupted(number)


if __name__ == "__main__":
    sys.exit(main([int(core) for core in sys.argv[1:]]))
