"""Sweeps with the real command: every combination is trained, also if other jobs fail."""

import csv
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.conftest import TINY, Command
from tests.end_to_end.conftest import Once
from tests.end_to_end.sweeps import sabotage, statuses, sweep_of, until, workers
from tests.end_to_end.test_run import weights
from tests.faults.result import result_of
from tests.forks import Forks


def test_a_sweep_trains_every_combination(command: Command, tmp_path: Path, trained: Path) -> None:
    arguments = (*TINY, "seed=6,7", "optimizer.learning_rate=1e-3,1e-2")
    done = command("-m", *arguments, "progress=quiet")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # quiet
    sweep = sweep_of(tmp_path)
    names = [f"{number:03d}_mlp_learning_rate={rate}_s{seed}" for number, (seed, rate) in enumerate(
        [(6, "0.001"), (6, "0.01"), (7, "0.001"), (7, "0.01")], 1)]  # fmt: skip
    assert statuses(sweep) == dict.fromkeys(names, "completed")
    # A job's weights do not depend on other jobs, nor on the sweep.
    assert weights(sweep / names[2]) == weights(trained)

    plan = yaml.safe_load((sweep / "sweep.yaml").read_text())
    assert plan["overrides"] == [*arguments, "progress=quiet"]
    assert [(job["number"], job["directory"], job["seed"]) for job in plan["jobs"]] == [
        (number, name, 6 if number < 3 else 7) for number, name in enumerate(names, 1)
    ]
    assert "optimizer.learning_rate=0.01" in plan["jobs"][1]["overrides"]

    board = json.loads((sweep / "leaderboard.json").read_text())
    assert board["ranked_by"] == "validation.error_percent"
    errors = {name: json.loads((sweep / name / "summary.json").read_text())["validation"]["error_percent"] for name in names}
    means = [sum(errors[name] for name in line["runs"]) / 2 for line in board["configurations"]]
    assert means == sorted(means)
    for line, mean in zip(board["configurations"], means, strict=True):
        assert (line["n"], sorted(line["seeds"]), line["validation"]["mean"]) == (2, [6, 7], pytest.approx(mean))
        assert set(line["settings"]) == {"optimizer.learning_rate"}
    with (sweep / "leaderboard.csv").open() as file:
        assert [float(row["validation_mean"]) for row in csv.DictReader(file)] == pytest.approx(means)
    assert (sweep / "leaderboard.md").read_text().count("\n| ") == 3  # the separator and two configurations
    assert "optimizer.learning_rate" in done.stdout

    again = command("resume", str(sweep))
    assert again.returncode == 0, again.stderr
    assert "4 of 4 jobs completed" in again.stdout


def test_an_invalid_job_stops_a_sweep_before_it_starts(command: Command, tmp_path: Path) -> None:
    done = command("-m", "training.epochs=1,0", "seed=1,-1")
    assert done.returncode == 2
    assert "training.epochs=0" in done.stderr
    assert "seed=-1" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_lists_the_jobs(command: Command, tmp_path: Path) -> None:
    done = command("-m", "model=mlp,cnn_large", "seed=range(2)", "sweep.dry_run=true")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["1", "model=mlp", "seed=0"]
    assert lines[-1] == "4 jobs"
    assert list(tmp_path.iterdir()) == []


def test_failed_jobs_do_not_stop_the_others(command: Command, tmp_path: Path) -> None:
    faults = "1=exit,2=vanish,3=kill,4=crash,5=memory,6=kill_once"
    done = command("-m", *TINY, "seed=range(8)", "sweep.retries=1", "hydra/launcher=joblib", env=sabotage(faults))
    assert done.returncode == 1
    sweep = sweep_of(tmp_path)
    failed = {seed: json.loads((sweep / f"{seed + 1:03d}_mlp_s{seed}" / "status.json").read_text()) for seed in range(1, 6)}
    causes = ("sys.exit(3)", "exit code 7", "ended by SIGKILL", "ended by SIGSEGV", "MemoryError")
    for status, cause in zip(failed.values(), causes, strict=True):
        assert status["status"] == "failed"
        assert cause in status["cause"]
        assert done.stderr.count(cause) >= 2  # at the retry and at the end
    assert [statuses(sweep)[f"{seed + 1:03d}_mlp_s{seed}"] for seed in (0, 6, 7)] == ["completed"] * 3
    assert done.stderr.count("  log: ") == 5
    assert "3 of 8 jobs completed" in done.stdout
    (left_out,) = json.loads((sweep / "leaderboard.json").read_text())["not_ranked"]
    assert (left_out["reason"], len(left_out["runs"])) == ("failed", 5)

    full_disk = sweep / "002_mlp_s1" / "status.json"
    full_disk.write_text(json.dumps(json.loads(full_disk.read_text()) | {"exit_code": 5}))
    resumed = command("resume", str(sweep))  # other failed jobs need --retry-failed
    assert resumed.returncode == 1
    assert [name for name, status in statuses(sweep).items() if status == "failed"] == [
        f"{seed + 1:03d}_mlp_s{seed}" for seed in range(2, 6)
    ]
    resumed = command("resume", str(sweep), "--retry-failed", "sweep.retries=0", "hydra/launcher=joblib")
    assert resumed.returncode == 0, resumed.stderr
    assert set(statuses(sweep).values()) == {"completed"}


def test_a_job_that_hangs_fails_after_its_timeout(command: Command, tmp_path: Path) -> None:
    done = command(
        "-m", *TINY, "seed=1,2", "sweep.job_timeout=2", "hydra/launcher=joblib", env=sabotage("1=hang,2=deaf")
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("took longer than sweep.job_timeout=2 s") >= 2
    assert set(statuses(sweep_of(tmp_path)).values()) == {"failed"}
    assert workers(tmp_path) == []


def test_the_first_failure_stops_a_sweep_with_on_failure_stop(command: Command, tmp_path: Path) -> None:
    done = command("-m", *TINY, "seed=range(4)", "sweep.on_failure=stop", env=sabotage("0=vanish"))
    assert done.returncode == 1
    sweep = sweep_of(tmp_path)
    assert statuses(sweep)["001_mlp_s0"] == "failed"
    assert "completed" not in statuses(sweep).values()
    assert "3 jobs left: mnist-exp resume" in done.stdout


EIGHT_EPOCHS = (*TINY, "training.epochs=8", "threads.towers=1", "threads.intra_op=1")


@pytest.fixture(scope="module")
def uninterrupted_sweep(once: Once, forks: Forks) -> Path:
    """The expected result of an interrupted sweep with any launcher."""
    arguments = ("-m", *EIGHT_EPOCHS, "seed=range(4)")
    return sweep_of(once("uninterrupted_sweep", lambda place: forks.run(*arguments, cwd=place).check_returncode()))


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_resume_continues_a_killed_sweep(
    launcher: str, command: Command, forks: Forks, tmp_path: Path, uninterrupted_sweep: Path
) -> None:
    arguments = (*EIGHT_EPOCHS, f"hydra/launcher={launcher}", "seed=range(3)")
    process = forks.start("-m", *arguments, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: list(tmp_path.glob("runs/*/*/summary.json")))
    assert workers(tmp_path)
    process.kill()
    process.wait()
    sweep = sweep_of(tmp_path)
    finished = {path: path.stat().st_mtime_ns for path in sweep.glob("*/summary.json")}
    assert 1 <= len(finished) <= 3
    done = command("resume", str(sweep), "seed=range(4)")  # one job more
    assert done.returncode == 0, done.stderr
    assert "4 of 4 jobs completed" in done.stdout
    assert workers(tmp_path) == []
    assert {path: path.stat().st_mtime_ns for path in finished} == finished  # not trained again
    plan = yaml.safe_load((sweep / "sweep.yaml").read_text())
    assert [job["seed"] for job in plan["jobs"]] == [0, 1, 2, 3]
    for job in plan["jobs"]:
        assert result_of(sweep / job["directory"]) == result_of(uninterrupted_sweep / job["directory"])


def test_a_killed_sweep_continues_until_it_is_decided(command: Command, forks: Forks, tmp_path: Path) -> None:
    arguments = (*TINY, "model.units=[16],[24]", "training.epochs=1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    until_decided = ("sweep.until_decided=true", "sweep.max_seeds=5")
    process = forks.start(
        "-m", *arguments, *until_decided, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until(lambda: len(list(tmp_path.glob("runs/*/*/summary.json"))) > 6)  # after the first look
    process.kill()
    process.wait()
    sweep = sweep_of(tmp_path)
    finished = {path: path.stat().st_mtime_ns for path in sweep.glob("*/summary.json")}
    done = command("resume", str(sweep))
    assert done.returncode == 0, done.stderr
    assert "look 2 of 2, 5 seeds: " in done.stderr
    assert "10 of 10 jobs completed" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in finished} == finished  # not trained again
    plan = yaml.safe_load((sweep / "sweep.yaml").read_text())
    assert [job["seed"] for job in plan["jobs"]] == [7, 7, 8, 8, 9, 9, 10, 10, 11, 11]
    assert workers(tmp_path) == []


def test_a_sweep_has_one_driver(command: Command, forks: Forks, tmp_path: Path) -> None:
    process = forks.start(
        "-m", *TINY, "seed=1,2", "training.epochs=100000", "progress=quiet",
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until(lambda: list(tmp_path.glob("runs/*/*/status.json")))
    refused = command("resume", str(sweep_of(tmp_path)))
    assert refused.returncode == 2
    assert f"is being run by process {process.pid} on {socket.gethostname()}\n" in refused.stderr
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    assert "failed" not in statuses(sweep_of(tmp_path)).values()


def test_jobs_with_different_thread_pools_share_a_sweep(command: Command, tmp_path: Path) -> None:
    """A process creates its thread pools once, and a model with batch norm has one tower: the jobs need two workers."""
    few = ("dataset.limit=200", "training.epochs=1", "training.batch_size=64")
    done = command("-m", "model=mlp,cnn_tiny", *few)
    assert done.returncode == 0, done.stderr
    assert len(statuses(sweep_of(tmp_path))) == 2


@pytest.fixture(scope="module")
def half_done(once: Once, forks: Forks) -> Path:
    """A sweep of three jobs, of which only the first has completed."""

    def train(place: Path) -> None:
        done = forks.run("-m", *TINY, "seed=range(3)", "training.epochs=1", cwd=place, env=sabotage("1=vanish,2=vanish"))
        assert done.returncode == 1

    return sweep_of(once("half_done", train))


def test_a_dry_run_of_resume_trains_nothing(command: Command, tmp_path: Path, half_done: Path) -> None:
    sweep = shutil.copytree(half_done, tmp_path / half_done.name)
    before = (sweep / "sweep.yaml").read_text()
    done = command("resume", str(sweep), "seed=range(5)", "sweep.dry_run=true")  # without those that have failed
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["4", "5", "2"]
    assert (sweep / "sweep.yaml").read_text() == before


def test_a_second_ctrl_c_kills_the_workers(forks: Forks, tmp_path: Path) -> None:
    process = forks.start(
        "-m", *TINY, "seed=range(3)", "progress=quiet",
        cwd=tmp_path, env=sabotage("0=deaf"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until(lambda: "running" in statuses_in(tmp_path))
    time.sleep(1)  # now it blocks SIGTERM
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert time.monotonic() - start < 8  # after one Ctrl-C it waits for ten seconds
    assert workers(tmp_path) == []
    assert "failed" not in statuses_in(tmp_path)


def statuses_in(place: Path) -> list[str]:
    """The statuses of the jobs of the only sweep, if it exists."""
    return [json.loads(path.read_text())["status"] for path in place.glob("runs/*/*/status.json")]


def test_nothing_in_the_current_directory_is_imported(tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text("raise SystemExit(9)")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mnist_exp", "-m", *TINY, "seed=1", "training.epochs=1"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("override", ["hydra.searchpath=[pkg://this]", "+hydra.callbacks.x._target_=os.getcwd", "--version"])
def test_an_untrusted_plan_runs_no_code(override: str, command: Command, tmp_path: Path, half_done: Path) -> None:
    sweep = shutil.copytree(half_done, tmp_path / half_done.name)
    plan = yaml.safe_load((sweep / "sweep.yaml").read_text())
    plan["jobs"][1]["overrides"].append(override)
    (sweep / "sweep.yaml").write_text(yaml.safe_dump(plan))
    refused = command("resume", str(sweep), "--retry-failed")
    assert refused.returncode in {2, 3}
    assert "Zen of Python" not in refused.stdout
    assert refused.stderr.startswith("error: ")


def test_a_job_with_a_changed_config_fails_and_a_damaged_config_is_replaced(
    command: Command, tmp_path: Path, half_done: Path
) -> None:
    sweep = shutil.copytree(half_done, tmp_path / half_done.name)
    changed, damaged = sweep / "002_mlp_s1" / "config.yaml", sweep / "003_mlp_s2" / "config.yaml"
    changed.write_text(changed.read_text().replace("batch_size: 64", "batch_size: 32"))
    damaged.write_text("{")
    done = command("resume", str(sweep), "--retry-failed", "sweep.retries=0")
    assert done.returncode == 1
    assert "002_mlp_s1/config.yaml: does not match the planned job" in done.stderr
    assert statuses(sweep)["003_mlp_s2"] == "completed"
