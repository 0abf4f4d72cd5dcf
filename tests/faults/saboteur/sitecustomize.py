"""On a process's PYTHONPATH, breaks the jobs of a sweep: SABOTAGE names a fault for each seed, as in "1=exit,2=kill".

Python imports a module of this name at the start of every process; only those that train look into it.
"""

import faulthandler
import os
import resource
import signal
import sys
import time


def _break(fault: str) -> None:
    match fault:
        case "exit":
            sys.exit(3)
        case "vanish":
            os._exit(7)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "crash":
            faulthandler._sigsegv()  # type: ignore[attr-defined]
        case "memory":
            before = resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (2**30, before[1]))
            try:
                bytearray(2**31)
            finally:
                resource.setrlimit(resource.RLIMIT_AS, before)
        case "hang":
            time.sleep(3600)
        case "deaf":
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            time.sleep(3600)
        case _:
            raise ValueError(fault)


def _sabotage(faults: dict[str, str]) -> None:
    from mnist_exp import experiment as pipeline

    train = pipeline.train

    def sabotaged(experiment, run):  # type: ignore[no-untyped-def]
        fault = faults.get(str(experiment.seed), "")
        once = run.directory / "sabotaged"
        if fault.endswith("_once"):
            if not once.exists():
                once.touch()
                _break(fault.removesuffix("_once"))
        elif fault:
            _break(fault)
        return train(experiment, run)

    pipeline.train = sabotaged


if "mnist_exp.sweep.worker" in sys.orig_argv and "SABOTAGE" in os.environ:
    _sabotage(dict(part.split("=") for part in os.environ["SABOTAGE"].split(",")))
