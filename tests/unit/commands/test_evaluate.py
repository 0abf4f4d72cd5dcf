"""The arguments of `mnist-exp evaluate`; the evaluation itself is tested with TensorFlow."""

from pathlib import Path

import pytest

from mnist_exp import cli
from tests.unit.members import ensemble_of
from tests.unit.run_directories import make_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "runs" / "a=1", 100)  # not an override, since it exists


@pytest.mark.parametrize(
    ("arguments", "cause", "remedy"),
    [
        (["split=validation"], "evaluate: names no run", "mnist-exp evaluate latest split=validation"),
        (["runs/a=1"], "evaluate: names no images", "split=validation"),
        (["runs/a=1", "split=all"], "split=all: unknown", "allowed: test, validation, train"),
        (["runs/a=1", "model=cnn"], "model=cnn: has no effect on the images", "allowed: dataset="),
        (["runs/a=1", "dataset=mnst"], "dataset=mnst: ", "mnist"),
        (["runs/a=1", "dataset.limt=5"], "dataset.limt", "dataset.limit"),
        (["runs/a=1", "dataset.limit=5"], "dataset.limit=5: has no effect on the test images", "all are evaluated"),
        (
            ["runs/a=1", "dataset.limit=5", "split=test"],
            "dataset.limit=5: has no effect on the test images",
            "all are evaluated",
        ),
        (["runs/b", "split=test"], "runs/b: run not found", "name a run directory"),
        (["runs/a=1", "split=test", "--name", "../x"], "--name ../x: not allowed", "allowed: "),
    ],
)
def test_a_mistake_is_reported_and_nothing_is_written(
    arguments: list[str], cause: str, remedy: str, run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["evaluate", *arguments]) == 2
    out, err = capfd.readouterr()
    text = " ".join(err.split())
    assert not out
    assert cause in text
    assert remedy in text
    assert not (run / "evaluations").exists()


def test_an_ensemble_is_not_evaluated_itself(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ensemble = ensemble_of(run.parent / "b", run, run)
    assert cli.main(["evaluate", str(ensemble), "split=test"]) == 2
    assert f"{ensemble}: is an ensemble\n  evaluate its members" in capfd.readouterr().err


def test_only_completed_runs_can_be_evaluated(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (run / "summary.json").unlink()
    assert cli.main(["evaluate", "runs", "split=test"]) == 2
    assert "runs: contains no completed run" in capfd.readouterr().err
