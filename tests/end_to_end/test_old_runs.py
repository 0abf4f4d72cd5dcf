"""Runs of earlier versions (`tests/data`): the real command resumes them to the result of an uninterrupted run."""

import csv
import io
import json
import shutil
from pathlib import Path

from tests.conftest import ROOT, Command

DATA = ROOT / "tests" / "data"
# Of seed 3, trained for 3 epochs without interruption by each of the versions that wrote checkpoints of schema 2.
UNINTERRUPTED_ERRORS = 8679


def test_a_run_of_schema_1_is_resumed(tmp_path: Path, command: Command) -> None:
    run = shutil.copytree(DATA / "runs_schema_1" / "last" / "interrupted_s3", tmp_path / "run")
    done = command("resume", "run")
    assert done.returncode == 0, done.stderr
    assert "epoch 2\n" in done.stderr + done.stdout  # the last finished epoch
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["schema"], summary["epochs"], summary["test"]["errors"]) == (4, 3, UNINTERRUPTED_ERRORS)


def test_a_sweep_of_schema_2_is_resumed(tmp_path: Path, command: Command) -> None:
    sweep = shutil.copytree(DATA / "runs_schema_2" / "sweep", tmp_path / "sweep")
    done = command("resume", "sweep")
    assert done.returncode == 0, done.stderr
    assert "3 of 3 jobs completed" in done.stdout
    (row,) = csv.DictReader(io.StringIO((sweep / "leaderboard.csv").read_text()))
    assert row["seeds"] == "1 2 3"
