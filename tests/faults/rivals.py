"""Two processes on one run directory: one of them is rejected, and the result is right."""

import re
import signal
import subprocess
import time
from pathlib import Path

from tests.faults.kills import overrides
from tests.faults.result import result_of
from tests.forks import NewProcesses


def refused_while_alive(place: Path, expected: Path, processes: NewProcesses) -> bool:
    """Resume a run in training: rejected with process and host of the training, which has the expected result."""
    place.mkdir()
    with processes.start(
        *overrides("mlp"), cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert any(line.startswith("epoch  1/") for line in process.stderr)
        rival = processes.run("resume", "latest", cwd=place)
        training = process.poll() is None
        process.stderr.read()
    (run,) = (place / "runs").iterdir()
    named = re.search(rf"is being written by process {process.pid} on \S+", rival.stderr) is not None
    return training and rival.returncode == 2 and named and process.returncode == 0 and result_of(run) == result_of(expected)


def one_of_two_wins(place: Path, expected: Path, processes: NewProcesses) -> bool:
    """Two processes resume an interrupted run at once: one is rejected, the other has the expected result."""
    place.mkdir()
    with processes.start(*overrides("mlp"), "progress=quiet", cwd=place) as process:
        while process.poll() is None and not list(place.glob("runs/*/checkpoints/epoch_*")):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    (run,) = (place / "runs").iterdir()
    rivals = [
        processes.start("resume", "latest", cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    codes = sorted(rival.wait(timeout=120) for rival in rivals)
    return codes == [0, 2] and result_of(run) == result_of(expected)
