"""environment.json: held in memory, and completed where it was damaged."""

from pathlib import Path
from typing import Any

import pytest

from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_json
from mnist_exp.run import environment
from mnist_exp.run.run import Run

DEVICE: dict[str, Any] = {"device": "/CPU:0", "gpus": [], "cuda": None, "cudnn": None, "threads": {"towers": 1}}


def test_the_content_is_returned_and_a_resumed_run_adds_a_session(tmp_path: Path) -> None:
    run = Run(tmp_path)
    content, changed = environment.record(run, DEVICE)
    assert (content["resumed"], changed) == ([], [])
    assert content == read_json(run.environment)
    again, changed = environment.record(run, DEVICE | {"threads": {"towers": 2}})
    assert changed == ["threads"]
    assert again == read_json(run.environment)
    assert again["threads"] == {"towers": 1}
    assert [session["threads"] for session in again["resumed"]] == [{"towers": 2}]


@pytest.mark.parametrize(
    "damaged",
    [
        {"schema": 1},
        {"versions": 3, "started": [], "resumed": "x"},
        {"versions": {}, "resumed": [1, {}, {"started": "then"}]},
        {"resumed": {"a": 1}, "cpu": "x", "threads": None},
    ],
)
def test_what_is_missing_is_written_again_and_named(damaged: dict[str, Any], tmp_path: Path) -> None:
    run = Run(tmp_path)
    complete, _ = environment.record(run, DEVICE)
    files.write_json(run.environment, damaged)
    content, changed = environment.record(run, DEVICE)
    assert set(content) == set(complete)
    assert content == read_json(run.environment)
    assert isinstance(content["versions"], dict)
    assert all(session["started"] for session in content["resumed"])
    assert {"platform", "cpu"} <= set(changed)
