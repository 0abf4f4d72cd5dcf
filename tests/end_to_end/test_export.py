"""Export a trained run with the real command: its output and its files."""

import importlib.util
import re
import shutil
from pathlib import Path

import pytest
import yaml

from mnist_exp.export.formats import FORMATS
from mnist_exp.machine.plain_data import read_json
from tests.forks import Forks

AVAILABLE = [
    name for name in ("saved_model", "onnx", "litert") if all(map(importlib.util.find_spec, FORMATS[name].packages))
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, trained: Path, forks: Forks) -> Path:
    """A directory with the exports of the run; its output is in `stdout`."""
    place = tmp_path_factory.mktemp("export")
    shutil.copytree(trained, place / "runs" / trained.name)
    done = forks.run("export", "latest", "--format", ",".join(AVAILABLE), "--card", "--output", "out", cwd=place)
    assert (done.returncode, done.stderr) == (0, "")
    (place / "out" / "stdout").write_text(done.stdout)
    return place / "out"


def test_the_command_prints_a_table_and_writes_the_files(exported: Path, trained: Path) -> None:
    names = [FORMATS[name].file for name in AVAILABLE]
    assert {path.name for path in exported.iterdir()} == {*names, *(f"{name}.json" for name in names), "README.md", "stdout"}
    stdout = (exported / "stdout").read_text()
    for name in names:
        assert re.search(rf"│ {re.escape(name)} +│ +[\d,.]+ │ +\d\.\de[-+]\d\d │ +0 │", stdout)
        assert read_json(exported / f"{name}.json")["run"]["name"] == trained.name
    assert "against the network of the run in float32;" in stdout
    card = (exported / "README.md").read_text()
    assert yaml.safe_load(card.split("---\n")[1])["model-index"][0]["name"] == trained.name
    for name in names:
        assert f"| {name} |" in card
