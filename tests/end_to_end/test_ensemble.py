"""Average two trained runs with the real command: its output, its files and its page."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml

from tests.conftest import TINY, Command
from tests.end_to_end.pages import CHROMIUM, assert_accessible, opened
from tests.forks import Forks

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FILES = {
    "ensemble.yaml", "environment.json", "train.log", "model.keras", "predictions.npz", "errors.json", "report.html",
    "figures", "status.json", "summary.json", ".lock",
}  # fmt: skip


@pytest.fixture(scope="module")
def averaged(tmp_path_factory: pytest.TempPathFactory, trained: Path, forks: Forks) -> Path:
    """The directory of an ensemble of two seeds, next to both; its output is in `stdout`, two levels up."""
    place = tmp_path_factory.mktemp("ensemble")
    shutil.copytree(trained, place / "runs" / trained.name)
    for arguments in ((*TINY, "seed=8", "evaluation.tta=1"), ("ensemble", "runs", "--name", "two")):
        done = forks.run(*arguments, cwd=place)
        assert done.returncode == 0, done.stderr
    (place / "stdout").write_text(done.stdout)
    assert done.stderr == ""
    (directory,) = (place / "runs").glob("*_two")
    return directory


def test_the_directory_and_the_table(averaged: Path, trained: Path, command: Command) -> None:
    assert {path.name for path in averaged.iterdir()} == FILES
    content = yaml.safe_load((averaged / "ensemble.yaml").read_text())
    assert [one["seed"] for one in content["members"]] == [7, 8]
    assert content["members"][0]["run"] == f"../{trained.name}"
    with np.load(averaged / "predictions.npz") as found:
        probabilities = found["probabilities"]
    stored = [np.load(averaged / one["run"] / "predictions.npz")["probabilities"] for one in content["members"]]
    assert np.array_equal(probabilities, np.mean(stored, axis=0, dtype=np.float64).astype(np.float32))
    summary = json.loads((averaged / "summary.json").read_text())
    assert summary["validation"]["n"] == 50
    printed = (averaged.parent.parent / "stdout").read_text()
    assert f"{summary['test']['error_percent']:.2f} %  (95 %:" in printed
    assert "p: McNemar's exact test, Holm's correction for 2 comparisons" in printed
    assert printed.count("_s7") == printed.count("_s8") == 2  # in the table, and as a member
    done = command("compare", "--by", "run", "--format", "json", cwd=averaged.parent.parent)
    lines = json.loads(done.stdout)["configurations"]
    assert {line["runs"][0] for line in lines} == {path.name for path in averaged.parent.iterdir()}
    assert {line["significance"]["test"] for line in lines if line["significance"]} == {"McNemar"}


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")
@pytest.mark.parametrize("width", [1200, 320])
def test_the_page(browser: Browser, averaged: Path, width: int) -> None:
    page, complaints = opened(browser, averaged / "report.html", width)
    rows = page.locator("table.members tbody tr")
    assert rows.count() == 3
    assert page.locator("table.members tr.best").inner_text().endswith("the ensemble")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert "2 members" in page.inner_text(".kicker")
    assert "Learning curves" not in page.inner_text("body")
    assert_accessible(page)
    page.locator("table.members a").first.click()
    assert page.locator("h1").inner_text() == "mlp"  # the report of a member
    assert complaints == []


def test_an_interrupted_ensemble_records_its_status(averaged: Path, forks: Forks) -> None:
    place = averaged.parent.parent
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    running = forks.start("ensemble", "runs", "--name", "cut", cwd=place, text=True, **pipes)
    while not (found := [log for log in (place / "runs").glob("*_cut/train.log") if log.stat().st_size]):
        assert running.poll() is None
        time.sleep(0.05)  # until TensorFlow writes to the log
    running.send_signal(signal.SIGINT)
    _, printed = running.communicate(timeout=120)
    assert running.returncode == 130
    assert "interrupted: stopped by the user or the system" in printed
    assert "build it again: mnist-exp ensemble RUN…" in printed
    directory = found[0].parent
    assert json.loads((directory / "status.json").read_text())["status"] == "interrupted"
    assert not (directory / "summary.json").exists()
    shutil.rmtree(directory)


def test_a_foreign_model_exits_with_3(averaged: Path, command: Command, tmp_path: Path) -> None:
    shutil.copytree(averaged.parent, tmp_path / "runs")
    member = sorted((tmp_path / "runs").glob("*_s8"))[0]
    shutil.copy(member / "predictions.npz", member / "model.keras")
    done = command("ensemble", "runs", cwd=tmp_path)
    assert done.returncode == 3
    cause, remedy, log = done.stderr.splitlines()[-3:]
    assert f"failed: runs/{member.name}/model.keras: its weights do not fit the settings of its run: " in cause
    assert remedy == "  no code of the file was run; train the run again"
    assert log.startswith("  log: ")
