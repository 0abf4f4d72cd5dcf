"""The runs that a user names: `latest` in every command, links, and directories that cannot be read."""

import contextlib
import os
import re
import shutil
from pathlib import Path

import pytest

from mnist_exp import cli
from mnist_exp.commands.named_runs import find_directory, find_run
from mnist_exp.comparison import rows
from mnist_exp.errors import InputError
from mnist_exp.runs.directory import find_runs
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import write_status
from mnist_exp.sweep import plan
from mnist_exp.sweep.plan import Plan, Sweep
from tests.unit import permissions
from tests.unit.run_directories import make_run, set_time, set_wrong_images, write_predictions
from tests.unit.sweep.test_plan import planned


@pytest.fixture(scope="module")
def two_jobs() -> Plan:
    return planned("seed=1,2")


def make_sweep(known: Plan, *jobs: int) -> Sweep:
    """A sweep of which these jobs are completed."""
    sweep = Sweep(Path("runs/sweep"))
    sweep.directory.mkdir(parents=True)
    plan.write(sweep, known)
    for number in jobs:
        make_run(sweep.run(known.jobs[number - 1]).directory, 100 + number, f"seed={number}", validation_errors=90)
    return sweep


def test_latest_is_the_latest_by_the_recorded_time() -> None:
    make_run(Path("runs/b"), 100)
    old = make_run(Path("runs/a"), 100)
    set_time(old, "2020-01-01T00:00:00+00:00")
    shutil.copytree(old, "runs/copy_of_a")
    os.utime("runs/a/status.json")
    assert find_directory("latest", "runs") == Path("runs/b")
    for damaged in ("x", 5, None, "9" * 400):
        set_time(Path("runs/b"), damaged)  # type: ignore[arg-type]
        find_directory("latest", "runs")


def test_latest_is_a_sweep_if_its_job_is_the_latest_run(two_jobs: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(Path("runs/x"), 100)
    sweep = make_sweep(two_jobs, 1, 2)
    assert find_directory("latest", "runs") == sweep.directory
    with pytest.raises(InputError, match="contains 2 runs; choose one"):
        find_run("latest", "runs")
    before = {path: path.stat().st_mtime_ns for path in sweep.directory.rglob("*")}
    assert cli.main(["show", "latest"]) == cli.main(["show", "sweep"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("runs/sweep: 2 of 2 jobs completed\n") == 2
    assert "ranked by" in shown
    assert {path: path.stat().st_mtime_ns for path in sweep.directory.rglob("*")} == before
    assert cli.main(["resume", "latest"]) == 0
    assert "runs/sweep: 2 of 2 jobs completed" in capsys.readouterr().out
    assert find_directory("latest", "runs/sweep") == sweep.run(two_jobs.jobs[1]).directory
    make_run(Path("runs/later"), 100)
    assert find_directory("latest", "runs") == Path("runs/later")


def test_latest_may_be_a_sweep_without_a_run(two_jobs: Plan) -> None:
    set_time(make_run(Path("runs/x"), 100), "2020-01-01T00:00:00+00:00")
    make_sweep(two_jobs.model_copy(update={"created": "2021-01-01T00:00:00+00:00"}))
    assert find_directory("latest", "runs") == Path("runs/sweep")


def test_links_are_followed_once(capsys: pytest.CaptureFixture[str]) -> None:
    make_run(Path("runs/deep/a"), 100)
    make_run(Path("elsewhere/b"), 90, "seed=2")
    Path("runs/0_round").symlink_to(".")
    Path("runs/deep/up").symlink_to("..")
    Path("runs/0_a").symlink_to("deep/a")
    Path("runs/linked").symlink_to("../elsewhere")
    Path("runs/nowhere").symlink_to("gone")
    Path("runs/self").symlink_to("self")
    assert find_runs(Path("runs")) == [Path("runs/deep/a"), Path("runs/linked/b")]
    assert "self: cannot be read: Too many levels" in capsys.readouterr().err
    assert cli.main(["compare"]) == cli.main(["show", "deep/a"]) == cli.main(["watch"]) == 0


def test_an_unreadable_directory_is_one_line(two_jobs: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(Path("runs/x"), 100)
    sweep = make_sweep(two_jobs, 1, 2)
    job = sweep.run(two_jobs.jobs[0]).directory
    for place in (Path("runs/private"), job):
        place.mkdir(exist_ok=True)
        place.chmod(0)
        line = f"warning: {place}: cannot be read: Permission denied\n"
        with permissions.enforced():
            assert cli.main(["compare", "--runs-dir", "runs"]) == 0
            captured = capsys.readouterr()
            assert captured.err.count(line) == 1
            assert "ranked by" in captured.out
            for command in (["compare", "--by", "run"], ["show", "latest"], ["show", "x"], ["watch"], ["watch", "sweep"]):
                assert cli.main(command) == 0, command
        place.chmod(0o755)


@pytest.mark.parametrize("mode", [0, 0o644], ids=["closed", "listed"])
def test_a_sweep_with_an_unreadable_job_is_resumed(mode: int, two_jobs: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = make_sweep(two_jobs, 1, 2)
    job = sweep.run(two_jobs.jobs[0]).directory
    job.chmod(mode)
    with permissions.enforced():
        assert cli.main(["resume", "sweep", "progress=plain"]) == 1
        assert cli.main(["watch", "sweep"]) == 0
    job.chmod(0o755)
    captured = capsys.readouterr()
    assert f"{job.name}: failed: {job}" in captured.err
    assert "1 of 2 jobs completed" in captured.out


def test_unreadable_predictions_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for name, wrong in (("a", 100), ("b", 200)):
        write_predictions(make_run(Path(f"runs/{name}"), wrong, f"seed={wrong}"), range(wrong))
        set_wrong_images(Path(f"runs/{name}"), None)
    Run(Path("runs/b")).predictions.chmod(0)
    with permissions.enforced():
        assert cli.main(["compare", "--by", "run"]) == cli.main(["watch"]) == 0
    shown = capsys.readouterr().out
    assert "not tested: runs/b/predictions.npz: cannot be read: Permission denied" in shown
    assert "a" in shown


@pytest.mark.parametrize("name", ["status.json", "summary.json"])
def test_an_unreadable_file_of_a_run_is_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(Path("runs/a"), 100)
    write_status(Run(make_run(Path("runs/b"), 100, "seed=2")), "failed", 1, "cause", "remedy")
    if name == "status.json":
        Run(Path("runs/b")).summary.unlink()
    Path("runs/b", name).chmod(0)
    with permissions.enforced():
        assert cli.main(["compare"]) == cli.main(["watch"]) == cli.main(["show", "a"]) == 0
        assert cli.main(["show", "b"]) == 3
    captured = capsys.readouterr()
    assert "not ranked, unreadable: b" in captured.out
    assert "a" in captured.out


def test_a_run_that_vanishes_while_it_is_read_is_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "abc":
        make_run(Path(f"runs/{name}"), 100, f"seed={ord(name)}")
    scandir = os.scandir

    def remove_one(directory: str) -> object:
        if directory == "runs/b":
            shutil.rmtree(directory)
        return scandir(directory)

    monkeypatch.setattr(os, "scandir", remove_one)
    assert [path.name for path in find_runs(Path("runs"))] == ["a", "c"]
    listed = rows.find_runs

    def remove_another(place: Path) -> list[Path]:
        found = listed(place)
        shutil.rmtree("runs/c")
        return found

    monkeypatch.setattr(rows, "find_runs", remove_another)
    assert cli.main(["compare", "--by", "run"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert " a " in captured.out


def test_a_label_names_the_last_run_or_sweep_that_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("1_mlp_s7", "2_mlp_s7", "3_sweep/001_mlp_s7"):
        make_run(Path("runs") / name, 100)
    for part, meant in {"mlp": "2_mlp_s7", "sweep": "3_sweep", "001_": "3_sweep/001_mlp_s7", "2_mlp_s": "2_mlp_s7"}.items():
        assert cli.main(["show", part]) == 2
        assert f"did you mean {meant}?" in capsys.readouterr().err
    assert cli.main(["show", "killme"]) == 2
    assert "did you mean" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "2026_mlp_s"],
        ["show", "runs"],
        ["shwo", "latest"],
        ["compare", "none*"],
        ["compare", "--by", "optimzer.name"],
        ["compare", "--format", "jsn"],
        ["compare", "--by", "model"],
        ["compare", "--metric", "test.error"],
        ["show", "mlp"],
        ["resume", "2026_mlp_s7"],
        ["help", "configuratio"],
    ],
    ids=" ".join,
)
def test_the_advice_of_a_sub_command_works(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (7, 8):
        make_run(Path(f"runs/2026_mlp_s{seed}"), 100, f"seed={seed}")
    assert cli.main(arguments) == 2
    cause, advised = capsys.readouterr().err.splitlines()
    if command := re.search(r"mnist-exp ([^;]*)$", advised):
        arguments = command[1].split()
    else:
        meant = re.search(r"did you mean (\S+)\?|for example: (\S+)", advised)
        wrong = cause.removeprefix("error: ").partition(":")[0].split()[-1]
        assert meant is not None
        arguments = [meant[1] or meant[2] if argument == wrong else argument for argument in arguments]
    with contextlib.suppress(SystemExit):
        assert cli.main(arguments) == 0
    assert not capsys.readouterr().err
