"""`mnist-exp compare` on trained runs."""

import json
import shutil
from pathlib import Path

from mnist_exp.runs.run import Run
from tests.conftest import Command


def test_two_trained_runs_are_tested_by_their_predictions(command: Command, tmp_path: Path, trained: Path) -> None:
    shutil.copytree(trained, tmp_path / "runs" / "a")
    other = shutil.copytree(trained, tmp_path / "runs" / "b")
    done = command("compare", "--by", "run", "--metric", "test.error_percent", "--format", "json")
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)["configurations"][1]["significance"]
    assert (verdict["test"], verdict["p"], verdict["words"]) == ("McNemar", 1.0, "undecided, p = 1")
    content = json.loads((other / "summary.json").read_text())
    (other / "summary.json").write_text(json.dumps(content | {"wrong_images": None}))  # as of an earlier version
    Run(other).predictions.write_bytes(b"")
    done = command("compare", "--by", "run", "--metric", "test.error_percent", "--format", "json")
    assert "predictions.npz: is damaged" in json.loads(done.stdout)["configurations"][1]["significance"]["words"]
