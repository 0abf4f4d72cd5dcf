"""The members of an ensemble, its ranking, and the other commands on an ensemble; no model is built here."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from mnist_exp import cli
from mnist_exp.comparison.corrections import holm
from mnist_exp.comparison.predictions import read_probabilities
from mnist_exp.comparison.ranking import compare
from mnist_exp.comparison.rows import read_rows
from mnist_exp.comparison.statistics import Difference, mcnemar_exact
from mnist_exp.ensemble import members, ranking
from mnist_exp.errors import InputError, IntegrityError, UserError
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_json
from mnist_exp.report.comparison_view import ComparisonView
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import read_record, write_status
from mnist_exp.tracking import snapshot
from mnist_exp.trained import trained_run
from tests.unit.members import DATA, ensemble_of, member
from tests.unit.run_directories import set_wrong_images, write_predictions


@pytest.fixture(autouse=True)
def _data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trained_run.datasets, "load", lambda _: DATA)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Three runs of two configurations."""
    member(tmp_path / "a", range(100))
    member(tmp_path / "b", range(50, 160), "seed=8")
    member(tmp_path / "c", range(140, 290), "seed=8", "model=cnn_large")
    return tmp_path


def refused(kind: type[UserError], *places: Path) -> str:
    with pytest.raises(kind) as raised:
        members.read_ensemble("x", places)
    return raised.value.cause


def change(directory: Path, **changes: Any) -> None:
    """Change the summary of a run."""
    files.write_json(Run(directory).summary, read_json(Run(directory).summary) | changes)


def test_the_mean_is_of_the_stored_probabilities(place: Path) -> None:
    chosen = [place / name for name in "cab"]
    found = members.read_ensemble("x", chosen)
    assert [one.row.name for one in found.members] == ["c", "a", "b"]  # in the user's order
    stored = [read_probabilities(Run(one))[0].astype(np.float64) for one in chosen]
    assert found.probabilities.dtype == np.float32
    assert np.array_equal(found.probabilities, (sum(stored) / 3).astype(np.float32))


def test_ensemble_yaml_names_the_members_and_their_files(place: Path) -> None:
    found = members.read_ensemble("x", [place / "a", place / "b"])
    content = yaml.safe_load(found.to_yaml(place / "deep" / "ensemble"))
    assert content["name"] == "x"
    assert [one["run"] for one in content["members"]] == ["../../a", "../../b"]
    for one, name in zip(content["members"], "ab", strict=True):
        summary = read_json(Run(place / name).summary)
        assert (one["seed"], one["config_hash"], one["name"]) == (summary["seed"], summary["config_hash"], "mlp")
        for key, path in (("predictions_sha256", Run(place / name).predictions), ("model_sha256", Run(place / name).model)):
            assert one[key] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert yaml.safe_load(yaml.safe_dump(content)) == content


def test_all_completed_runs_of_a_directory_are_members(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ensemble_of(place / "e", place / "a", place / "b")
    (place / "f").mkdir()
    write_status(Run(place / "f"), "failed", 1, "the cause")
    assert [one.row.name for one in members.read_ensemble("x", [place]).members] == ["a", "b", "c"]
    assert capfd.readouterr().err == "skipped: 2 runs without a result, or ensembles\n"
    assert refused(InputError, place / "a", place / "f") == f"{place / 'f'}: has no result: the cause"
    assert refused(InputError, place / "a", place / "e") == f"{place / 'e'}: is an ensemble"


def test_one_run_is_refused(place: Path) -> None:
    one = place / "a"
    assert refused(InputError, one) == f"{one}: contains 1 completed run; an ensemble needs two"
    assert refused(InputError, one, one) == f"{one}, {one}: contains 1 completed run; an ensemble needs two"
    (place / "none").mkdir()
    assert refused(InputError, place / "none") == f"{place / 'none'}: contains 0 completed runs; an ensemble needs two"


def test_runs_of_other_images_are_refused(place: Path) -> None:
    data = read_json(Run(place / "b").summary)["dataset"]
    change(place / "b", dataset=data | {"sha256": "f" * 64})
    reason = f"different data: mnist with SHA-256 {'f' * 12}"
    assert refused(InputError, place) == f"b: cannot be averaged with the others: {reason}"
    change(place / "b", dataset=data | {"labels_sha256": "f"})
    assert refused(InputError, place) == "b: cannot be averaged with the others: different labels of the test images"
    for name in "abc":
        change(place / name, dataset=data | {"sha256": "f" * 64})
    assert f"was tested on mnist with SHA-256 {'f' * 12}, which this version does not have" in refused(InputError, place)


def test_predictions_must_agree_with_the_summary(place: Path) -> None:
    write_predictions(place / "b", range(7), range(110))
    cause = "is damaged: 7 of 10,000 predictions are wrong, but summary.json states 110 of 10,000"
    assert refused(IntegrityError, place) == f"{Run(place / 'b').predictions}: {cause}"
    Run(place / "b").predictions.write_bytes(b"x")
    assert "predictions.npz: is damaged: File is not a zip file" in refused(IntegrityError, place)
    Run(place / "b").predictions.unlink()
    assert "has no predictions.npz" in refused(InputError, place)


def test_predictions_with_other_labels_are_refused(place: Path) -> None:
    probabilities, labels = read_probabilities(Run(place / "b"))
    shifted = {"probabilities": np.roll(probabilities, 1, axis=0), "labels": np.roll(labels, 1)}
    files.write_arrays(Run(place / "b").predictions, shifted)
    assert refused(InputError, place) == f"{Run(place / 'b').predictions}: belongs to other images"


def test_a_member_needs_its_model(place: Path) -> None:
    Run(place / "b").model.unlink()
    assert refused(InputError, place) == f"{Run(place / 'b').model}: does not exist"


def edit_config(directory: Path, **changes: Any) -> Path:
    """Change sections of a run's config.yaml."""
    path = Run(directory).config
    tree = yaml.safe_load(path.read_text())
    for section, values in changes.items():
        tree[section] |= values
    path.write_text(yaml.safe_dump(tree))
    return path


@pytest.mark.parametrize("settings", [{"split_seed": 5}, {"limit": 30_000}])
def test_settings_must_give_the_validation_images(place: Path, settings: dict[str, Any]) -> None:
    path = edit_config(place / "b", dataset=settings)
    cause = "its settings give other validation images than those in summary.json"
    assert refused(IntegrityError, place) == f"{path}: {cause}"


def test_a_configuration_of_another_version_is_refused(place: Path) -> None:
    path = edit_config(place / "b", model={"depth": 3})
    assert refused(InputError, place).startswith(f"{path}: model.depth")
    path.write_text("[")
    assert refused(IntegrityError, place).startswith(f"{path}: ")


def test_a_member_that_knows_its_validation_images_leaves_none_to_the_ensemble(place: Path) -> None:
    weights = {"sha256": "", "dataset": "mnist", "network": "mlp", "copied": ["logits"], "initialized": {}}
    origin = {"run": "../b", "name": "b", "seed": 1, "config_hash": "", "validation_seen": 7} | weights
    summary = Run(place / "b").summary
    files.write_json(summary, read_json(summary) | {"lineage": {"initial_weights": origin, "continued": None}})
    assert len(members.read_ensemble("x", [place]).split.validation) == 0


def test_validation_images_must_be_the_same_for_all_members(place: Path) -> None:
    together = members.read_ensemble("x", [place]).split
    assert (len(together.train), len(together.validation)) == (55_000, 5_000)
    assert together.sha256 == read_json(Run(place / "a").summary)["dataset"]["split_sha256"]
    member(place / "d", range(10), "dataset.split_seed=1")
    mixed = members.read_ensemble("x", [place]).split
    assert len(mixed.validation) == 0
    assert 59_000 < len(mixed.train) < 60_000  # all that some member saw


def test_directories_with_the_same_name_are_distinguished(place: Path) -> None:
    member(place / "other" / "a", range(90), "seed=9")
    rows = [one.row for one in members.read_ensemble("x", [place / "a", place / "other" / "a"]).members]
    assert [row.name for row in rows] == [str(place / "a"), str(place / "other" / "a")]
    lines = compare(read_rows([place / "a", place / "other" / "a"]), by=["run"]).lines
    assert [line.group.n for line in lines] == [1, 1]


def test_a_link_to_a_run_counts_once_and_a_copy_is_refused(place: Path) -> None:
    (place / "z").symlink_to(place / "a")
    assert len(members.read_ensemble("x", [place]).members) == 3
    shutil.copytree(place / "a", place / "copy")
    assert "has the same model and predictions as" in refused(InputError, place / "copy", place / "a")


def ranked(place: Path, wrong: range) -> list[dict[str, str]]:
    """The rows of the ranking of a, b, c and their ensemble, which misclassifies these images."""
    ensemble = members.read_ensemble("x", [place])
    directory = ensemble_of(place / "e", *(one.run.directory for one in ensemble.members), errors=len(wrong))
    write_predictions(directory, wrong)
    (own,) = read_rows([directory])
    board = ranking.rank_members(own, [one.row for one in ensemble.members])
    columns = ranking.columns(board)
    return [{column.key: column.cells[row] for column in columns} for row in range(len(board.lines))]


def test_ranking_of_an_ensemble_and_its_members(place: Path) -> None:
    rows = ranked(place, range(5, 95))  # a alone has 10 wrong; b has 65, it 45; c has 150, it 90
    assert [row["name"] for row in rows] == ["e", "a", "b", "c"]
    assert [row["test.error_percent"] for row in rows] == ["0.90", "1.00", "1.10", "1.50"]
    assert rows[1]["test.error_percent.ci95"] == "0.82 – 1.21"
    corrected = [p for p, _ in holm([mcnemar_exact(10, 0), mcnemar_exact(65, 45), mcnemar_exact(150, 90)])]
    assert [row["p"] for row in rows] == ["", *(f"{p:.2g}" for p in corrected)]
    assert [row["significance"] for row in rows] == ["the ensemble", "worse", "undecided", "worse"]
    assert rows[1]["difference"].startswith("+0.10 (+0.0")
    assert rows[0]["difference"] == ""


def test_a_member_may_be_better(place: Path) -> None:
    rows = ranked(place, range(130))
    assert [row["name"] for row in rows] == ["a", "b", "e", "c"]
    assert rows[0]["significance"] == "better"
    assert rows[0]["difference"].startswith("-0.30 (")


def test_the_ranking_says_why_a_member_cannot_be_tested(place: Path) -> None:
    ensemble = members.read_ensemble("x", [place])
    set_wrong_images(ensemble_of(place / "e", place / "a", place / "b"), None)
    (own,) = read_rows([place / "e"])
    board = ranking.rank_members(own, [one.row for one in ensemble.members])
    column = {column.key: column.cells for column in ranking.columns(board)}
    assert column["p"] == ["", "–", "–", "–"]
    assert all("predictions.npz" in words for words in column["significance"][1:])


def test_compare_lists_an_ensemble_as_a_group(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ensemble_of(place / "e", place / "a", place / "b")
    ensemble_of(place / "again", place / "a", place / "b", errors=50)
    (place / "c").rename(place.parent / "elsewhere")
    assert cli.main(["compare", str(place), "--format", "json"]) == 0
    first, second = json.loads(capfd.readouterr().out)["configurations"]
    assert (first["name"], first["n"], first["seeds"], first["settings"]) == ("ensemble", 1, [None], {"ensemble.members": 2})
    assert (second["n"], second["seeds"], second["settings"]) == (2, [7, 8], {"ensemble.members": None})
    assert cli.main(["compare", str(place), "--format", "csv"]) == 0
    assert capfd.readouterr().out.splitlines()[1].endswith(",again,")  # no seed
    assert cli.main(["compare", str(place), "--by", "optimizer.name,ensemble.members"]) == 0
    assert cli.main(["compare", str(place), "--by", "model.name", "--columns", "n,model.name"]) == 0
    assert cli.main(["compare", str(place), "--where", "ensemble.members>1", "--columns", "n,name"]) == 0


def test_a_page_labels_other_runs_by_their_model(place: Path) -> None:
    ensemble_of(place / "e", place / "a", place / "b")
    found = ComparisonView(compare(read_rows([place / name for name in "abe"])))
    assert [one.label for one in found.configurations] == ["1 · members=2", "2 · mlp"]
    assert [list(one.settings) for one in found.configurations] == [["ensemble.members"]] * 2


def test_groups_with_an_ensemble_are_not_paired_by_seed(place: Path) -> None:
    for number in range(2):
        change(ensemble_of(place / f"e{number}", place / "a", place / "b", errors=50 + number), config_hash=str(number))
    rows = read_rows([place / name for name in ("a", "b", "e0", "e1")])
    _, worse = compare(rows, by=["ensemble.members"]).lines
    assert worse.significance is not None
    assert isinstance(worse.significance.result, Difference)
    assert worse.significance.result.test == "seeds and images"


def test_show_diff_watch_and_track_accept_an_ensemble(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ensemble = ensemble_of(place / "e", place / "a", place / "b")
    write_predictions(ensemble, range(50))
    assert cli.main(["show", str(ensemble)]) == 0
    shown = capfd.readouterr().out
    assert "2: a, b" in shown
    assert "seed" not in shown
    assert cli.main(["diff", str(ensemble), str(place / "a"), "--format", "json", "--output", "none"]) == 0
    difference = json.loads(capfd.readouterr().out)
    assert difference["settings"] == {"ensemble.members": {"a": 2}, "seed": {"b": 7}}
    assert (difference["images"]["only_a_wrong"], difference["images"]["only_b_wrong"]) == (0, 50)
    assert difference["runs"]["a"]["missing"] == []
    assert cli.main(["watch", str(ensemble), "--once"]) == 0
    assert "completed" in capfd.readouterr().out
    read = snapshot.read_run(Run(ensemble))
    assert read.parameters["ensemble.members"] == 2
    assert read.parameters["model.units"] == [784]
    assert "seed" not in read.tags
    assert (read.epochs, read.results["model.parameters"]) == ([], 2000)
    assert Run(ensemble).ensemble in read.files


def test_status_of_an_ensemble_without_result(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    again = "build it again: mnist-exp ensemble RUN…"
    run = Run(place / "e")
    run.directory.mkdir()
    run.ensemble.write_text("name: x\nmembers: []\n")
    gone = {"schema": 1, "status": "running", "pid": 2**22 + 1, "host": os.uname().nodename}
    files.write_json(run.status, gone)
    assert (read_record(run.directory).status, read_record(run.directory).remedy) == ("interrupted", again)
    files.write_json(run.status, gone | {"status": "completed"})
    assert (read_record(run.directory).status, read_record(run.directory).remedy) == ("incomplete", again)
    assert cli.main(["resume", str(run.directory)]) == 2
    complaint = f"error: {run.directory}: is an ensemble, which cannot be resumed\n  {again}\n"
    assert capfd.readouterr().err == complaint
    assert snapshot.read_run(run).parameters == {"name": "x", "members": []}


@pytest.mark.parametrize(
    ("arguments", "code", "cause"),
    [
        (["a"], 2, "a: contains 1 completed run; an ensemble needs two"),
        (["a", "nothing"], 2, "nothing: run not found"),
        (["a", "x*"], 2, "x*: no matching directory, here or in runs"),
        (["a", "b", "--name", "../x"], 2, "--name ../x: not allowed"),
        (["a", "b", "--name", "x" * 61], 2, f"--name {'x' * 61}: not allowed"),
        (["a", "damaged"], 3, "damaged/predictions.npz: is damaged"),
    ],
)
def test_a_mistake_is_reported_in_two_lines_and_leaves_no_files(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    cause: str,
) -> None:
    monkeypatch.chdir(place)
    shutil.copytree("c", "damaged")
    Run(Path("damaged")).predictions.write_bytes(b"")
    assert cli.main(["ensemble", *arguments]) == code
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"error: {cause}")
    assert not (place / "runs").exists()


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ensemble", "--help"]) == 0
    assert capsys.readouterr().out.count("  mnist-exp ensemble ") == 3
