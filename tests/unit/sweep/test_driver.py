"""The driver, with a launcher whose jobs complete, fail or are lost as a test wants."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from mnist_exp.config.schema import SweepConfig
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import read_record, write_status
from mnist_exp.sweep import driver, plan
from mnist_exp.sweep.display import Plain
from mnist_exp.sweep.driver import Driver, JobSource
from mnist_exp.sweep.plan import Sweep
from mnist_exp.sweep.progress import Progress, duration
from tests.conftest import compose
from tests.unit.run_directories import complete_run
from tests.unit.sweep.test_plan import planned, points

Behaviour = Callable[[Run, int], str | None]  # the end of a run at its nth attempt: None, or why it was lost


class FakeLauncher:
    """A launcher for two jobs at once, which ends one at a time."""

    parallel_jobs = 2
    queue_limit = 2
    peak_memory = 0

    def __init__(self, behaviour: Behaviour) -> None:
        self.attempts: list[str] = []
        self.closed = self.recalled = False
        self._behaviour = behaviour
        self._runs: list[Run] = []

    def submit(self, jobs: Sequence[Run]) -> None:
        self._runs += jobs
        assert len(self._runs) <= self.queue_limit

    def wait(self, seconds: float) -> dict[Run, str | None]:  # noqa: ARG002
        run = self._runs.pop(0)
        if self.recalled:
            return {run: None}
        self.attempts.append(run.directory.name)
        return {run: self._behaviour(run, self.attempts.count(run.directory.name))}

    def cancel_waiting(self) -> None:
        self.recalled = True

    def close(self) -> None:
        self.closed = True


def run_sweep(place: Path, behaviour: Behaviour, *overrides: str, queue_limit: int = 2) -> tuple[FakeLauncher, Progress]:
    """Run a sweep over four seeds."""
    sweep = Sweep(place)
    known = planned("seed=range(4)")
    jobs, experiments = plan.extend_jobs([], points("seed=range(4)"))
    settings: SweepConfig = compose(*overrides).sweep
    launcher = FakeLauncher(behaviour)
    source = JobSource(known, [(job, experiments[job.number]) for job in jobs], {})
    driver = Driver(sweep, settings, source, launcher, Plain(), queue_limit)
    driver.run()
    assert launcher.closed
    return launcher, driver.progress


def complete_except(but: Iterable[str] = ()) -> Behaviour:
    """Every run completes, except those in `but`, which fail."""

    def behave(run: Run, _: int) -> str | None:
        if run.directory.name in but:
            write_status(run, "failed", 1, "cause", "remedy")
        else:
            complete_run(run)
        return None

    return behave


def test_every_job_is_trained_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    launcher, progress = run_sweep(tmp_path, complete_except())
    assert launcher.attempts == ["001_mlp_s0", "002_mlp_s1", "003_mlp_s2", "004_mlp_s3"]
    assert progress.states == dict.fromkeys(range(1, 5), "completed")
    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition("; ")[0].rpartition("; ")[2] for line in lines[:3]] == [f"{n} of 4 done" for n in (1, 2, 3)]
    assert lines[3].endswith("4 of 4 done")


def test_no_more_jobs_than_the_limit_are_submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeLauncher, "queue_limit", 1)  # it checks its own
    launcher, _ = run_sweep(tmp_path, complete_except(), queue_limit=1)
    assert len(launcher.attempts) == 4


@pytest.mark.parametrize("retries", [0, 2])
def test_a_failed_job_is_retried(retries: int, tmp_path: Path) -> None:
    launcher, progress = run_sweep(tmp_path, complete_except({"002_mlp_s1"}), f"sweep.retries={retries}")
    assert launcher.attempts.count("002_mlp_s1") == 1 + retries
    assert progress.states == {1: "completed", 2: "failed", 3: "completed", 4: "completed"}


def test_a_failure_stops_waiting_jobs_with_on_failure_stop(tmp_path: Path) -> None:
    launcher, progress = run_sweep(tmp_path, complete_except({"001_mlp_s0"}), "sweep.on_failure=stop")
    assert launcher.attempts == ["001_mlp_s0"]
    assert progress.states == {1: "failed"}
    assert progress.running == {}


def test_a_lost_job_is_retried_a_limited_number_of_times(tmp_path: Path) -> None:
    def behave(run: Run, attempt: int) -> str | None:
        if run.directory.name == "001_mlp_s0" or (run.directory.name == "003_mlp_s2" and attempt < 3):
            return "its node is lost"
        complete_run(run)
        return None

    launcher, progress = run_sweep(tmp_path, behave)
    assert launcher.attempts.count("001_mlp_s0") == 1 + driver.MAX_LOST
    assert launcher.attempts.count("003_mlp_s2") == 3
    assert progress.states == {1: "failed", 2: "completed", 3: "completed", 4: "completed"}
    assert read_record(tmp_path / "001_mlp_s0").cause == "its node is lost"


def test_a_diverged_job_is_not_retried(tmp_path: Path) -> None:
    def behave(run: Run, _: int) -> str | None:
        write_status(run, "diverged", 4, "loss is NaN", "lower the learning rate")
        return None

    launcher, progress = run_sweep(tmp_path, behave, "sweep.retries=5")
    assert len(launcher.attempts) == 4
    assert set(progress.states.values()) == {"failed"}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (3540, "59 min"), (3600, "1 h 00 min"), (11_100, "3 h 05 min")],
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert duration(seconds) == text
