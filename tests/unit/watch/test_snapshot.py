"""Snapshots of runs and sweeps in every state, their table, and the command `watch`."""

import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from mnist_exp import cli
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs.history import Epoch
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import Status, read_record, write_status
from mnist_exp.sweep import plan
from mnist_exp.sweep.plan import Sweep
from mnist_exp.terminal import messages
from mnist_exp.watch import snapshot, table
from mnist_exp.watch.snapshot import Snapshot, Watcher
from tests.unit.run_directories import complete_run
from tests.unit.sweep.test_plan import planned

CONFIG = {"name": "mlp", "training": {"epochs": 10, "early_stopping_patience": None}}


@pytest.fixture(scope="module")
def gone() -> int:
    """The ID of a process that has ended."""
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.fixture(scope="module")
def four_jobs() -> plan.Plan:
    return planned("seed=range(4)")


def started(
    directory: str, epochs: int = 0, status: Status = "running", pid: int | None = None, patience: int | None = None
) -> Run:
    """A run with that many epochs, the last of them long ago."""
    run = Run(Path(directory))
    run.directory.mkdir(parents=True, exist_ok=True)
    run.config.write_text(yaml.safe_dump(CONFIG | {"training": CONFIG["training"] | {"early_stopping_patience": patience}}))
    write_status(run, status)
    if pid is not None:
        files.write_json(run.status, read_json(run.status) | {"pid": pid})
    if epochs:
        rows = [Epoch(n, 0.001, 1 / n, 9.0, 0.5, 5.0 - n + (n == epochs), 2.0, 1234.5) for n in range(1, epochs + 1)]
        files.write_table(run.history, rows, Epoch)
        os.utime(run.history, (1, 1))
    return run


def completed(directory: Path) -> None:
    """A run that completed long ago, in 30 seconds, with the configuration in config.yaml."""
    directory.mkdir(parents=True, exist_ok=True)
    complete_run(Run(directory), validation_errors=200)
    settled(directory)


def settled(directory: Path) -> None:
    """Set all times of a directory to the past."""
    for path in directory.rglob("*"):
        os.utime(path, (1, 1))


def make_sweep(known: plan.Plan, states: Iterable[Status | None], directory: str = "runs/sweep") -> Sweep:
    """A sweep whose jobs have these states; None is a job without a directory."""
    sweep = Sweep(Path(directory))
    sweep.directory.mkdir(parents=True)
    plan.write(sweep, known)
    for job, status in zip(known.jobs, states, strict=True):
        if status is not None:
            started(f"{directory}/{job.directory}", 3, status)
    settled(sweep.directory)
    return sweep


def finish(sweep: Sweep, job: plan.Job, experiment: dict[str, object]) -> None:
    """Complete a job."""
    sweep.run(job).directory.mkdir(exist_ok=True)
    sweep.run(job).config.write_text(yaml.safe_dump(experiment))
    completed(sweep.run(job).directory)


@pytest.fixture(scope="module")
def experiment() -> dict[str, object]:
    from tests.conftest import compose

    return compose().model_dump(mode="json")


def snapshots(*places: str) -> list[Snapshot]:
    return Watcher([Path(place) for place in places or ["runs"]], named=bool(places)).snapshots()


def text_of(lines: list[Snapshot], width: int = 200, max_rows: int | None = None) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(table.render(lines, width, max_rows))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_run_in_training_has_its_numbers() -> None:
    started("runs/a", 4)
    started("runs/b", 0)
    started("runs/c", 4, "failed")
    started("runs/d", 4, patience=3)
    a, b, d = snapshots()
    assert (a.name, a.status, a.running, a.done, a.total) == ("a", "running", True, 4, 10)
    assert (a.loss, a.error, a.best_error, a.images_per_second) == (0.25, 2.0, 2.0, 1234.5)
    assert (a.seconds_left, a.may_stop_early) == (pytest.approx(2.0 * (10 - 4) - 2.0), False)  # the fifth began long ago
    assert (b.done, b.error, b.best_error, b.seconds_left) == (0, None, None, None)
    assert d.may_stop_early
    assert re.search(r"a +running +[━╸]+ +4/10 +0\.2500 +2\.00 +2\.00 +1,234 +10 s", text_of([a, b, d]))
    assert "≤ 10 s" in text_of([d])


def test_time_left_with_a_clock_ahead_of_ours() -> None:
    run = started("runs/a", 4)
    os.utime(run.history, (time.time() + 1000, time.time() + 1000))  # another machine's clock
    assert snapshots()[0].seconds_left == pytest.approx(12.0)


def test_time_left_uses_the_observed_seconds_of_an_epoch() -> None:
    run = started("runs/a", 4)
    watch = Watcher([Path("runs")], named=False)
    assert watch.snapshots()[0].seconds_left == pytest.approx(10.0)
    started("runs/a", 6)
    os.utime(run.history, (21, 21))  # two epochs in 20 seconds
    assert watch.snapshots()[0].seconds_left == pytest.approx(10.0 * (10 - 6) - 10.0)


def test_a_run_after_its_last_epoch_is_done_soon() -> None:
    started("runs/a", 10)
    (line,) = snapshots()
    assert line.seconds_left == 0
    assert "soon" in text_of([line])


def test_a_run_that_lost_its_process_is_interrupted_and_can_be_resumed(gone: int) -> None:
    started("runs/a", 4, pid=gone)
    (line,) = snapshots()
    assert (line.status, line.running, line.seconds_left, line.images_per_second) == ("interrupted", False, None, None)
    assert "a: its process exited without recording a status; continue: mnist-exp resume runs/a" in text_of([line])


@pytest.mark.parametrize("process", [{}, {"pid": 1}, {"host": "another container"}])
def test_a_killed_run_is_not_running_though_its_process_id_is_in_use(
    process: dict[str, object], four_jobs: plan.Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command would not exit."""
    sweep = make_sweep(four_jobs, ["waiting", "running", None, None])
    for run in (started("runs/a", 4), *(sweep.run(job) for job in four_jobs.jobs[:2])):
        files.write_json(run.status, read_json(run.status) | process)
        run.lock.touch()
    sweep.lock.touch()
    assert [(line.name, line.status, line.running) for line in snapshots()] == [
        ("a", "interrupted", False),
        ("sweep", "interrupted", False),
    ]
    out = Console(file=io.StringIO(), width=100, height=30, force_terminal=True)
    monkeypatch.setattr(messages, "output", lambda: out)
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waits for a process that has exited"))
    assert cli.main(["watch"]) == 0


def test_a_run_is_shown_until_it_ends(experiment: dict[str, object]) -> None:
    run = started("runs/a", 4)
    watch = Watcher([Path("runs")], named=False)
    assert [line.status for line in watch.snapshots()] == ["running"]
    started("runs/b", 1)
    assert [line.name for line in watch.snapshots()] == ["a", "b"]
    run.config.write_text(yaml.safe_dump(experiment))
    complete_run(run)
    write_status(Run(Path("runs/b")), "diverged", 4, "loss is NaN", "lower the learning rate")
    lines = watch.snapshots()
    assert [(line.status, line.running) for line in lines] == [("completed", False), ("diverged", False)]
    assert "b: loss is NaN; lower the learning rate" in text_of(lines)


def test_named_runs_are_always_shown(experiment: dict[str, object]) -> None:
    run = started("runs/a", 4)
    run.config.write_text(yaml.safe_dump(experiment))
    completed(run.directory)
    started("runs/b", 4, "failed")
    assert snapshots() == []
    assert [(line.name, line.status) for line in snapshots("runs/a", "runs/b", "runs")] == [
        ("a", "completed"),
        ("b", "failed"),
    ]


def test_a_sweep_has_counts_and_its_jobs_in_training(four_jobs: plan.Plan, experiment: dict[str, object]) -> None:
    sweep = make_sweep(four_jobs, [None, "failed", "running", None])
    finish(sweep, four_jobs.jobs[0], experiment)
    line, job = snapshots()
    assert (line.name, line.status, line.unit, line.done, line.total) == ("sweep", "running", "jobs", 2, 4)
    assert line.best_error == 2.0
    assert line.seconds_left == pytest.approx(30.0 * (2 - 3 / 10))  # of two jobs one has trained 3 of 10 epochs
    assert (job.name, job.job, job.done, job.total) == (four_jobs.jobs[2].directory, True, 3, 10)
    text = text_of([line, job])
    assert "sweep: 1 completed, 1 failed, 1 running, 1 waiting" in text
    assert re.search(r"sweep +running +[━╸]+ +2/4 jobs", text)
    assert f"\n  {job.name}" in text


@pytest.mark.parametrize(
    ("states", "status", "note"),
    [
        (["completed", "waiting", None, None], "running", "waiting"),
        (["failed", "interrupted", None, None], "interrupted", "continue: mnist-exp resume runs/sweep"),
        (["failed", "failed", "pruned", "diverged"], "failed", "mnist-exp resume runs/sweep --retry-failed"),
        (["pruned", "pruned", "pruned", "pruned"], "completed", "4 pruned"),
    ],
)
def test_the_status_of_a_sweep(four_jobs: plan.Plan, states: list[Status | None], status: str, note: str) -> None:
    make_sweep(four_jobs, ["pruned" if state == "completed" else state for state in states])
    (line,) = snapshots("runs/sweep")
    assert (line.status, line.running) == (status, status == "running")
    assert note in str(line.note)
    assert bool(snapshots()) == (status == "running")


def test_a_sweep_without_a_driver_is_not_running(four_jobs: plan.Plan, gone: int) -> None:
    sweep = make_sweep(four_jobs, ["failed", None, None, None])
    started(str(sweep.run(four_jobs.jobs[1]).directory), status="waiting", pid=gone)
    assert snapshots() == []
    started(str(sweep.run(four_jobs.jobs[2]).directory), pid=gone)
    (line,) = snapshots()
    assert (line.status, line.running) == ("interrupted", False)


def test_a_sweep_between_two_jobs_is_running(four_jobs: plan.Plan) -> None:
    sweep = make_sweep(four_jobs, ["failed", None, None, None])
    assert snapshots() == []
    with plan.locked(sweep):
        assert [line.status for line in snapshots()] == ["running"]
    assert snapshots() == []


def test_the_total_of_a_search_is_unknown(four_jobs: plan.Plan) -> None:
    sweep = make_sweep(four_jobs, ["pruned", "pruned", "pruned", "running"])
    sweep.study.touch()
    line, _ = snapshots()
    assert (line.done, line.total, line.seconds_left) == (3, None, None)
    assert "3 jobs" in text_of([line])


def test_a_sweep_with_an_unreadable_plan_is_a_directory_of_runs(four_jobs: plan.Plan) -> None:
    sweep = make_sweep(four_jobs, ["running", None, None, None])
    sweep.plan.write_text("- hostile")
    assert [(line.name, line.job) for line in snapshots()] == [(f"sweep/{four_jobs.jobs[0].directory}", False)]


def test_completed_runs_are_not_read_again(
    four_jobs: plan.Plan, experiment: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = make_sweep(four_jobs, [None] * 4)
    for job in four_jobs.jobs:
        finish(sweep, job, experiment)
    for number in range(50):
        Path(f"runs/{number}").mkdir()
        Path(f"runs/{number}/summary.json").touch()
    started("runs/live", 2)
    watch = Watcher([Path("runs")], named=False)
    assert [line.name for line in watch.snapshots()] == ["live"]
    read: list[Path] = []
    stated: list[Path] = []
    reading, stating = read_record, os.stat
    monkeypatch.setattr(snapshot, "read_record", lambda directory: (read.append(directory), reading(directory))[1])
    monkeypatch.setattr(os, "stat", lambda path, **options: (stated.append(Path(path)), stating(path, **options))[1])
    started("runs/new", 1)
    assert [line.name for line in watch.snapshots()] == ["live", "new"]
    assert set(read) == {Path("runs/live"), Path("runs/new")}
    assert {path for path in stated if path.parent.name not in {"live", "new"}} == {
        Path("runs/sweep.yaml"), Path("runs/summary.json"), Path("runs/status.json"),
        Path("runs/sweep/sweep.yaml"), Path("runs/sweep/study.journal"),
    }  # fmt: skip


def test_a_resumed_run_is_shown() -> None:
    run = started("runs/a", 4, "interrupted")
    watch = Watcher([Path("runs")], named=False)
    assert watch.snapshots() == []
    write_status(run, "running")
    assert [line.status for line in watch.snapshots()] == ["running"]


def test_nothing_is_written_and_links_are_not_followed(four_jobs: plan.Plan) -> None:
    make_sweep(four_jobs, ["running", "waiting", None, None])
    started("runs/a", 3)
    Path("runs/circle").symlink_to(Path("runs").resolve())
    before = {path: path.lstat().st_mtime_ns for path in Path().rglob("*")}
    assert [line.name for line in snapshots()] == ["a", "sweep", four_jobs.jobs[0].directory]
    assert {path: path.lstat().st_mtime_ns for path in Path().rglob("*")} == before


HALF = [
    b"",
    b"{",
    b"\xff",
    b"[" * 100_000,
    b'{"status": "running", "pid": [], "host": 3}',
    b'{"status": "\x1b[31m"}',
    b"a: &a [*a]",
]


@given(st.sampled_from(HALF) | st.binary(max_size=40), st.sampled_from(["config.yaml", "status.json", "history.csv"]))
def test_damaged_and_untrusted_files_are_harmless(content: bytes, name: str) -> None:
    run = started("runs/a", 2)
    (run.directory / name).write_bytes(content)
    assert "\x1b" not in text_of(snapshots("runs/a")).replace("\x1b[0m", "")


@pytest.mark.parametrize("epochs", [0, -1, "x", [1], None, 10**30, 1.5])
def test_invalid_epochs_are_unknown(epochs: object) -> None:
    run = started("runs/a", 2)
    run.config.write_text(yaml.safe_dump({"training": {"epochs": epochs}}))
    (line,) = snapshots()
    assert (line.done, line.total, line.seconds_left) == (2, None, None)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_table_fits_the_terminal(four_jobs: plan.Plan, width: int) -> None:
    make_sweep(four_jobs, ["running", "running", "failed", None], "runs/2026-11-22T07-35-03_sweep")
    started("runs/2026-11-22T07-35-03_cnn_large_s7", 4, patience=2)
    started("runs/[red]\x1b[31m" + "x" * 150, 1)
    table = text_of(snapshots(), width)
    assert max(map(len, table.splitlines())) <= width
    assert "\x1b" not in table
    assert "[red]�[31mxx" in table
    for needed in ("4/10", "1/4 jobs", "≤ 10 s") if width >= 60 else ("4/10", "≤ 10 s"):
        assert needed in table
    if width >= 80:
        assert "2026-11-22T07-35-03_cnn_large_s7 " in table
        assert "best %" in table
    assert ("images/s" in table) == (width >= 120)


def test_jobs_beyond_the_limit_are_counted() -> None:
    sweep = Snapshot("sweep", "running", True, "jobs", 0, 40)
    jobs = [Snapshot(str(number), "running", True, "epochs", 0, 10, job=True) for number in range(30)]
    for most, kept in ((20, 8), (5, 4)):
        text = text_of([sweep, *jobs], max_rows=most)
        assert f"and {30 - kept} jobs more in training" in text
        assert len(text.splitlines()) == 1 + 1 + kept + 1
    assert len(text_of([sweep, *jobs]).splitlines()) == 1 + 1 + 30


def test_the_command_prints_once_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    started("runs/a", 3)
    assert cli.main(["watch"]) == 0
    text = capsys.readouterr().out
    assert "3/10" in text
    assert "nothing is running" not in text
    write_status(Run(Path("runs/a")), "failed", 1, "cause", "remedy")
    assert cli.main(["watch"]) == 0
    assert capsys.readouterr().out == "nothing is running in runs\n"
    assert cli.main(["watch", "a"]) == 0
    assert "a: cause; remedy\n" in capsys.readouterr().out


def test_the_command_runs_in_a_terminal_until_nothing_is_running(
    monkeypatch: pytest.MonkeyPatch, experiment: dict[str, object]
) -> None:
    out = Console(file=io.StringIO(), width=100, height=30, force_terminal=True)
    monkeypatch.setattr(messages, "output", lambda: out)
    run = started("runs/a", 3)
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            run.config.write_text(yaml.safe_dump(experiment))
            complete_run(run)

    monkeypatch.setattr(time, "sleep", wait)
    assert cli.main(["watch", "--interval", "7"]) == 0
    assert waited == [7.0, 7.0]
    shown = out.file.getvalue()  # type: ignore[attr-defined]
    assert "completed" in shown
    assert shown.endswith("nothing is running in runs\n")


def test_ctrl_c_ends_the_command_silently(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out = Console(file=io.StringIO(), width=100, height=30, force_terminal=True)
    monkeypatch.setattr(messages, "output", lambda: out)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    Path("runs").mkdir()
    assert cli.main(["watch", "--forever"]) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ([], "runs: directory does not exist"),
        (["nothing"], "nothing: run not found"),
        (["--interval", "nan"], "--interval nan: not allowed"),
        (["--interval", "0"], "--interval 0: not allowed"),
    ],
)
def test_invalid_arguments_are_errors(arguments: list[str], cause: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["watch", *arguments]) == 2
    assert cause in capsys.readouterr().err
