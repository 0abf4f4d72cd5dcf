"""The Slurm launcher with simulated commands: jobs at once, and cancellation."""

import itertools
import re
from pathlib import Path

import pytest

from mnist_exp.config.hydra_settings import SlurmLauncherConfig
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import write_status
from mnist_exp.sweep.launchers import slurm
from mnist_exp.sweep.plan import Sweep
from tests.conftest import compose

SETTINGS = {
    "name": "submitit_slurm", "partition": None, "account": None, "qos": None, "constraint": None, "timeout_min": 1,
    "cpus_per_task": 1, "gpus_per_node": None, "mem_gb": None, "array_parallelism": 2,
}  # fmt: skip


class Queue:
    """A simulated queue with a limit of running jobs for each array, as in Slurm."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.waiting: list[str] = []
        self.running: list[str] = []
        self.limits: dict[str, int] = {}
        self.arrays: list[int] = []  # their sizes

    def output(self, *command: str, stdin: str = "") -> str:
        """The output of a command."""
        if command[0] == "sbatch":
            number = str(next(self._numbers))
            last, limit = re.findall(r"--array=0-(\d+)%(\d+)", " ".join(command))[0]
            assert stdin.count("/00") == int(last) + 1
            self.waiting += [f"{number}_{index}" for index in range(int(last) + 1)]
            self.limits[number] = int(limit)
            self.arrays.append(int(last) + 1)
            return number
        if command[0] == "scancel":
            self.waiting = []
            return ""
        states = [(element, "PENDING") for element in self.waiting] + [(element, "RUNNING") for element in self.running]
        return "\n".join(f"{element} {state}" for element, state in states)

    def start(self) -> None:
        for element in list(self.waiting):
            array = element.partition("_")[0]
            if sum(one.startswith(f"{array}_") for one in self.running) < self.limits[array]:
                self.waiting.remove(element)
                self.running.append(element)


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    made = Queue()
    monkeypatch.setattr(slurm, "_output", made.output)
    monkeypatch.setattr(slurm, "POLL_SECONDS", 0.0)
    return made


@pytest.fixture
def launcher(queue: Queue, tmp_path: Path) -> slurm.Slurm:
    assert queue.arrays == []
    return slurm.Slurm(Sweep(tmp_path), SlurmLauncherConfig.model_validate(SETTINGS), compose())


def jobs(place: Path, *numbers: int) -> list[Run]:
    made = [Run(place / f"{number:03d}") for number in numbers]
    for run in made:
        run.directory.mkdir(exist_ok=True)
        write_status(run, "waiting")
    return made


def test_array_parallelism_limits_all_arrays_together(queue: Queue, launcher: slurm.Slurm, tmp_path: Path) -> None:
    launcher.submit(jobs(tmp_path, 1, 2, 3, 4, 5))
    launcher.submit(jobs(tmp_path, 6, 7))  # such as retries
    assert queue.arrays == [5]
    most, ended = 0, []
    for _ in range(20):
        queue.start()
        most = max(most, len(queue.running))
        if queue.running:
            queue.running.pop(0)
        ended += [run.directory.name for run in launcher.wait(0)]
        if len(ended) == 7:
            break
    assert most == 2
    assert sorted(ended) == [f"{number:03d}" for number in range(1, 8)]
    assert sum(queue.arrays) == 7


def test_cancelled_jobs_include_those_not_submitted(queue: Queue, launcher: slurm.Slurm, tmp_path: Path) -> None:
    launcher.submit(jobs(tmp_path, 1, 2, 3))
    launcher.submit(jobs(tmp_path, 4))
    queue.start()
    launcher.cancel_waiting()
    ended = {run.directory.name for _ in range(3) for run in launcher.wait(0)}
    assert ended == {"003", "004"}
    assert queue.running == ["1_0", "1_1"]
    assert queue.arrays == [3]
