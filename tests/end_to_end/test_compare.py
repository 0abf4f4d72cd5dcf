"""`mnist-exp compare` on trained runs."""

import json
import shutil
from pathlib import Path

from tests.conftest import Command
from tests.unit.run_directories import write_predictions


def test_two_trained_runs_are_tested_by_their_predictions(command: Command, tmp_path: Path, trained: Path) -> None:
    shutil.copytree(trained, tmp_path / "runs" / "a")
    other = shutil.copytree(trained, tmp_path / "runs" / "b")
    write_predictions(other, range(10))
    done = command("compare", "--by", "run", "--metric", "test.error_percent", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert "predictions for different images" in json.loads(done.stdout)["configurations"][1]["significance"]["words"]
    shutil.copy(trained / "predictions.npz", other)
    done = command("compare", "--by", "run", "--metric", "test.error_percent", "--format", "json")
    verdict = json.loads(done.stdout)["configurations"][1]["significance"]
    assert (verdict["test"], verdict["p"], verdict["words"]) == ("McNemar", 1.0, "undecided, p = 1")
