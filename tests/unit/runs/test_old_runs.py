"""Runs of earlier versions (`tests/data`) are read, compared and shown with their numbers."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from mnist_exp import cli, config
from mnist_exp.config.identity import identity
from mnist_exp.errors import InputError
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs.directory import read_config
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import read_record
from mnist_exp.training.checkpoints import load_latest
from tests.conftest import ROOT

DATA = ROOT / "tests" / "data"
VERSIONS = ("runs_schema_1/first", "runs_schema_1/last", "runs_schema_2", "runs_schema_3/first", "runs_schema_3/last")


def compared(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, str]]:
    """The lines of a comparison."""
    assert cli.main(["compare", *arguments, "--format", "csv"]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_each_is_compared_with_its_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    rows = compared(capsys, str(DATA), "--by", "run")
    tests = {row["runs"]: float(row["test_mean"]) for row in rows}
    summaries = {str(path.parent.relative_to(DATA)): json.loads(path.read_text()) for path in DATA.rglob("summary.json")}
    assert tests == {name: summary["test"]["error_percent"] for name, summary in summaries.items()}
    assert len(tests) == 2 * len(VERSIONS) + 2 * 2 + 1


def test_equal_settings_are_one_configuration_in_all_versions(capsys: pytest.CaptureFixture[str]) -> None:
    places = [DATA / VERSIONS[0] / "mlp_s1", DATA / VERSIONS[2] / "mlp_s2", DATA / VERSIONS[4] / "sweep" / "001_mlp_s1"]
    (row,) = compared(capsys, *map(str, places))
    assert (row["n"], sorted(row["seeds"].split())) == ("2", ["1", "2"])


@pytest.mark.parametrize("version", VERSIONS)
def test_each_is_shown(version: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = DATA / version / "mlp_s1"
    errors = json.loads((run / "summary.json").read_text())["test"]["errors"]
    assert cli.main(["show", str(run)]) == 0
    assert f"{errors:,} of 10,000" in capsys.readouterr().out
    assert cli.main(["show", str(DATA / version / "interrupted_s3")]) == 0
    assert ": interrupted" in capsys.readouterr().out.replace("\n", "")


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_old_and_new_runs_differ_in_the_seed_only(version: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["diff", str(DATA / version / "mlp_s1"), str(DATA / VERSIONS[4] / "mlp_s2"), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"] == {"seed": {"a": 1, "b": 2}}


def test_the_first_version_had_one_tower(capsys: pytest.CaptureFixture[str]) -> None:
    places = [str(DATA / VERSIONS[0] / "mlp_s1"), str(DATA / VERSIONS[4] / "mlp_s1")]
    assert cli.main(["diff", *places, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"] == {"threads.towers": {"a": 1, "b": None}}


def test_the_images_of_schema_1_are_those_of_its_settings() -> None:
    first, last = (read_record(DATA / version / "mlp_s1").summary for version in (VERSIONS[0], VERSIONS[4]))
    assert first is not None
    assert last is not None
    assert first.dataset == last.dataset
    assert first.config_hash == last.config_hash


@pytest.mark.parametrize(
    ("section", "change", "reason"),
    [
        ("summary", {"seed": 5}, "does not belong to config.yaml"),
        ("dataset", {"train": 184}, "does not belong to config.yaml"),
        ("dataset", {"sha256": "0"}, "does not belong to config.yaml"),
        ("summary", {"epochs": "2"}, "epochs"),
        ("summary", {"dataset": 3}, "does not belong to config.yaml"),
    ],
)
def test_a_summary_of_schema_1_that_does_not_fit_is_unreadable(
    tmp_path: Path, section: str, change: dict[str, object], reason: str
) -> None:
    run = Run(shutil.copytree(DATA / VERSIONS[0] / "mlp_s1", tmp_path / "run"))
    content = read_json(run.summary)
    (content if section == "summary" else content[section]).update(change)
    files.write_json(run.summary, content)
    record = read_record(run.directory)
    assert record.status == "unreadable"
    assert reason in str(record.cause)


def test_a_summary_of_schema_1_needs_its_configuration(tmp_path: Path) -> None:
    run = Run(shutil.copytree(DATA / VERSIONS[0] / "mlp_s1", tmp_path / "run"))
    run.config.unlink()
    record = read_record(run.directory)
    assert (record.status, "config.yaml" in str(record.cause)) == ("unreadable", True)


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_each_checkpoint_is_of_the_experiment_in_its_configuration(version: str) -> None:
    run = Run(DATA / version / "interrupted_s3")
    found, faults = load_latest(run.checkpoints, identity(config.validate(read_config(run))))
    assert found is not None
    assert (found.epoch, faults) == (2, [])


def test_a_checkpoint_of_schema_1_is_refused(tmp_path: Path) -> None:
    run = Run(shutil.copytree(DATA / VERSIONS[0] / "interrupted_s3", tmp_path / "run"))
    with pytest.raises(InputError) as caught:
        load_latest(run.checkpoints, {})
    assert "is a checkpoint of schema 1, which this version of mnist-exp cannot resume" in caught.value.cause
    assert caught.value.remedy == f"train it again: its settings are in {run.config}"
    assert (run.checkpoints / "epoch_00001" / "state.npz").exists()
