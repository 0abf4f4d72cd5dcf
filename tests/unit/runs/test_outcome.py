"""A summary exists if and only if the status says completed."""

import os
import signal
import time
from pathlib import Path

import pytest

from mnist_exp.errors import EnvironmentFailure, Interrupted
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs import outcome
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import read_record
from mnist_exp.runs.summary import Summary
from tests.unit.run_directories import make_run


@pytest.fixture
def summary(tmp_path: Path) -> Summary:
    found = read_record(Path(make_run(tmp_path / "other", 100))).summary
    assert found is not None
    return found


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "run").mkdir()
    return Run(tmp_path / "run")


@pytest.mark.parametrize("after", [["summary.json"], ["summary.json", "status.json"]])
def test_a_signal_at_the_end_leaves_a_completed_run(
    after: list[str], run: Run, summary: Summary, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = outcome.files.write_json

    def write_and_signal(path: Path, content: object) -> None:
        write(path, content)
        if path.name in after:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(outcome.files, "write_json", write_and_signal)
    with pytest.raises(Interrupted):
        outcome._complete(run, summary)
    assert read_json(run.status)["status"] == "completed"
    assert read_record(run.directory).summary == summary


def test_a_status_that_cannot_be_written_leaves_no_summary(
    run: Run, summary: Summary, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = outcome.write_status

    def fail(run: Run, status: str, *more: object) -> None:
        if status == "completed":
            raise EnvironmentFailure("status.json: cannot be written: No space left on device", "free disk space")
        write(run, status, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(outcome, "write_status", fail)
    assert outcome.run_locked(run, lambda: summary, "continue") == 5
    assert "No space left on device" in capsys.readouterr().err
    assert not run.summary.exists()
    assert read_json(run.status)["status"] == "running"


@pytest.mark.parametrize("year", [1970, 1979, 2108])
def test_a_clock_that_a_model_file_cannot_record_is_reported_before_the_work(
    year: int, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "localtime", lambda *_: time.struct_time((year, 1, 1, 0, 0, 0, 0, 1, 0)))
    assert outcome.run_locked(run, lambda: pytest.fail("trained"), "build it again") == 5
    status = read_json(run.status)
    assert f"shows the year {year}" in status["cause"]
    assert status["remedy"] == "set the clock, then build it again"
