"""`-m` through the real command: every combination, each a run of its own."""

import json
from pathlib import Path

from tests.conftest import TINY, Command
from tests.end_to_end.test_run import weights


def test_a_sweep_trains_every_combination(command: Command, tmp_path: Path, trained: Path) -> None:
    done = command("-m", *TINY, "seed=6,7", "optimizer.learning_rate=1e-3,1e-2", "progress=quiet")
    assert done.returncode == 0, done.stderr
    (sweep,) = (tmp_path / "runs").iterdir()
    jobs = sorted(path for path in sweep.iterdir() if path.is_dir())
    assert [job.name for job in jobs] == ["0_mlp_s6", "1_mlp_s6", "2_mlp_s7", "3_mlp_s7"]
    assert all((job / "summary.json").exists() for job in jobs)
    for name in ("seed", "optimizer.learning_rate", *(job.name for job in jobs)):
        assert name in done.stdout
    # A job's weights do not depend on the jobs before it.
    assert weights(jobs[2]) == weights(trained)

    compared = command("compare")
    assert compared.returncode == 0, compared.stderr
    order = [line.split()[1] for line in compared.stdout.splitlines() if "completed" in line]
    errors = {
        f"{sweep.name}/{job.name}": json.loads((job / "summary.json").read_text())["validation"]["error_percent"]
        for job in jobs
    }
    assert sorted(order, key=errors.__getitem__) == order
    grouped = command("compare", "--group", "--format", "markdown")
    assert [line.split(" | ")[2] for line in grouped.stdout.splitlines()[2:]] == ["2", "2"]
    assert "optimizer.learning_rate" in grouped.stdout
    assert done.stderr == ""  # quiet


def test_one_failing_job_does_not_end_a_sweep(command: Command, tmp_path: Path) -> None:
    done = command(
        "-m",
        *TINY,
        "optimizer=sgd",
        "model.units=[16,16]",
        "model.activation=leaky_relu",
        "optimizer.learning_rate=100,0.01",
        "training.epochs=20",
    )
    assert done.returncode == 1
    (sweep,) = (tmp_path / "runs").iterdir()
    states = [json.loads((sweep / name / "status.json").read_text())["status"] for name in ("0_mlp_s7", "1_mlp_s7")]
    assert states == ["diverged", "completed"]
    assert "0_mlp_s7: diverged: training diverged" in done.stderr
    assert "completed" in done.stdout


def test_one_bad_point_stops_a_sweep_before_it_starts(command: Command, tmp_path: Path) -> None:
    done = command("-m", "training.epochs=1,0", "seed=1,-1")
    assert done.returncode == 2
    assert "training.epochs=0" in done.stderr
    assert "seed=-1" in done.stderr
    assert list(tmp_path.iterdir()) == []
