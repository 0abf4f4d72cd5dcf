"""The model card: its metadata, its numbers, and names that try to be markup."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from mnist_exp import datasets
from mnist_exp.commands import export
from mnist_exp.comparison.predictions import read_probabilities
from mnist_exp.comparison.rows import read_rows
from mnist_exp.config import validate
from mnist_exp.datasets.dataset import Mislabelled, Split
from mnist_exp.ensemble.completed import CompletedRun
from mnist_exp.errors import InputError
from mnist_exp.export import card, sidecars
from mnist_exp.export.markdown import block, code
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs.directory import read_config
from mnist_exp.runs.lineage import Lineage
from mnist_exp.runs.run import Run
from mnist_exp.trained.trained_run import TrainedRun
from tests.unit.comparison.test_hostile_text import active_markdown
from tests.unit.members import DATA
from tests.unit.run_directories import make_run, write_predictions

HOSTILE = "</a>|![x](http://evil.example)\n---\n# `x` *y* <script>"


@pytest.fixture
def source(tmp_path: Path) -> CompletedRun:
    """A run with 120 wrong predictions, each by the next class."""
    directory = make_run(tmp_path / "a_s7", 120, "optimizer.learning_rate=0.002", validation_errors=50)
    write_predictions(directory, range(120))
    run = Run(directory)
    run.overrides.write_text("[optimizer.learning_rate=0.002, runs_dir=/home/me, dataset.root=/home/me/data]\n")
    environment = {
        "started": "2026-11-27T22:04:28+00:00",
        "versions": {"mnist_exp": "0.1.0", "keras": "3.15.1"},
        "cpu": {"model": "Some | CPU"},
        "device": "/CPU:0",
        "gpus": [],
    }
    files.write_json(run.environment, environment)
    (row,) = read_rows([directory])
    data = replace(DATA, sha256="c" * 64, mislabelled=Mislabelled("A study", {3: {4: 5}, 500: {1: 3}}))
    probabilities, _ = read_probabilities(run)
    split = Split(np.arange(50_000), np.arange(50_000, 60_000))
    trained = TrainedRun(row, validate(read_config(run)), data, split, probabilities)
    return CompletedRun(row, [trained], data, split, probabilities)


def metadata_of(content: str) -> dict[str, Any]:
    """The metadata, by the expression with which the hub's library finds it."""
    found = re.search(r"^(\s*---[\r\n]+)([\S\s]*?)([\r\n]+---(\r\n|\n|$))", content)
    assert found is not None
    metadata = yaml.safe_load(found[2])
    assert isinstance(metadata, dict)
    return metadata


def test_the_metadata_are_what_the_hub_expects(source: CompletedRun) -> None:
    metadata = metadata_of(card.render(source))
    assert metadata["pipeline_tag"] == "image-classification"
    assert "license" not in metadata  # that of the weights is not recorded
    (model,) = metadata["model-index"]
    assert model["name"] == "a_s7"
    (result,) = model["results"]
    assert result["task"]["type"] == "image-classification"
    assert result["dataset"] == {"name": "mnist", "type": "mnist", "split": "test"}
    assert result["metrics"] == [{"type": "accuracy", "name": "Accuracy", "value": 0.988}]


def test_the_sections_and_the_numbers(source: CompletedRun) -> None:
    content = card.render(source)
    headings = re.findall(r"^## (.*)$", content, re.MULTILINE)
    assert headings[:5] == ["Model details", "Intended use", "Factors", "Metrics", "Evaluation data"]
    assert set(headings) >= {"Training data", "Quantitative analyses", "Ethical considerations"}
    assert "| test | 10,000 | 120 | 1.20 | 1.00 – 1.43 |" in content
    assert "| 3 | 1,000 | 12 | 1.20 | 0.69 – 2.09 |" in content
    assert "3 as 4: 12 images" in content
    assert "2 test images have a label that most raters of a study rejected; 1 of them count as errors here" in content
    assert "optimizer.learning_rate=0.002\n" in content
    assert "Licence of the data set: CC BY-SA 3.0." in content
    assert "mnist-exp optimizer.learning_rate=0.002 dataset.root=PATH\n" in content
    assert "Energy: not measured." in content
    assert "Some \\| CPU; device /CPU:0" in content
    assert "/home/me" not in content
    assert str(source.run.directory) not in content


def test_what_is_not_recorded_is_said(source: CompletedRun) -> None:
    source.run.environment.unlink()
    source.run.overrides.write_text("{not: a list}")
    content = card.render(replace(source, data=replace(source.data, mislabelled=None)))
    assert "Wrong labels among the test images: not recorded." in content
    assert "Computed on: not recorded; device not recorded." in content
    assert "Made by" not in content
    assert "mnist-exp  # not recorded" in content


ORIGIN = {"run": "../b_s1", "name": "b", "seed": 1, "config_hash": "0" * 16}


def with_summary(source: CompletedRun, **changes: Any) -> CompletedRun:
    (trained,) = source.runs
    summary = trained.row.summary.model_copy(update=changes)
    row = replace(trained.row, record=replace(trained.row.record, summary=summary))
    return replace(source, row=row, runs=[replace(trained, row=row)])


def test_an_earlier_run_is_named(source: CompletedRun) -> None:
    lineage = Lineage.model_validate({"continued": ORIGIN | {"epochs": 3}})
    content = card.render(with_summary(source, lineage=lineage))
    assert "- `a_s7` learned before, in another run: continues b, seed 1 (../b_s1) after epoch 3." in content


def test_initial_weights_are_named_by_their_hash_and_not_by_a_place(source: CompletedRun) -> None:
    weights = {"sha256": "1" * 64, "dataset": "mnist", "network": "mlp", "copied": ["logits"], "initialized": {}}
    lineage = Lineage.model_validate({"initial_weights": ORIGIN | weights | {"validation_seen": 9}})
    settings = source.row.summary.settings | {"initial_weights": "/home/me/runs/b_s1", "initial_weights_sha256": "1" * 64}
    source.run.overrides.write_text("[initial_weights=/home/me/runs/b_s1]\n")
    content = card.render(with_summary(source, lineage=lineage, settings=settings))
    assert "/home/me" not in content
    assert f"initial_weights_sha256={'1' * 64}\n" in content
    assert "mnist-exp initial_weights=PATH\n" in content
    assert "trained on some of the validation images before; the validation error is too low." in content
    assert "validation error is too low" not in card.render(source)


def test_the_writers_of_the_digits_are_known(source: CompletedRun) -> None:
    known = replace(source.data, file_sha256=datasets.load("mnist").file_sha256)
    assert "by 297 people who wrote no training image" in card.render(replace(source, data=known))
    assert "297" not in card.render(source)


def test_a_hostile_name_is_text(source: CompletedRun) -> None:
    names = (HOSTILE, *source.data.class_names[1:])
    summary = source.row.summary.model_copy(update={"name": HOSTILE, "settings": {"model.name": f"```\n{HOSTILE}"}})
    row = replace(source.row, record=replace(source.row.record, summary=summary))
    content = card.render(replace(source, row=row, data=replace(source.data, name=HOSTILE, class_names=names)))
    assert metadata_of(content)["model-index"][0]["results"][0]["dataset"]["name"] == HOSTILE.replace("\n", "�")
    body = content.partition("\n---\n")[2]
    outside = re.sub(r"^(````*)text\n.*?^\1$", "", body, flags=re.DOTALL | re.MULTILINE)
    lines = [line for line in outside.splitlines() if "evil" in line]
    assert len(lines) > 3
    assert not any(active_markdown(re.sub(r"`+.*?`+", "", line)) for line in lines)
    assert body.count("\n# ") == 1  # the title
    assert body.count("````text") == 1  # a longer fence than any in the settings


def test_code_has_longer_ticks_than_its_content() -> None:
    assert code("a") == "`a`"
    assert code("a``b") == "```a``b```"
    assert code("`a") == "`` `a ``"
    assert block(["```", "x"]) == "````text\n```\nx\n````"


def test_only_a_card_that_was_not_edited_is_replaced(source: CompletedRun, tmp_path: Path) -> None:
    card.refuse_other_file(tmp_path)
    path = card.write(source, tmp_path, [])
    card.refuse_other_file(tmp_path)
    content = path.read_text()
    for edited in ("# My project\n", content.replace("\n---\n", "\nlicense: mit\n---\n", 1), ""):
        path.write_text(edited)
        with pytest.raises(InputError, match=r"README.md: exists, and is not a model card .* or was edited"):
            card.refuse_other_file(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match=r"README.md: exists"):
        card.refuse_other_file(tmp_path)


def test_the_table_of_files_has_those_that_are_unchanged(source: CompletedRun, tmp_path: Path) -> None:
    score = source.row.summary.test.model_dump(mode="json")
    for name, sha256, run in (
        ("model.onnx", None, "m"),
        ("model.tflite", "0" * 64, "m"),  # the file was changed
        ("saved_model", None, "m"),
        ("changed_model", None, "m"),
        ("other.onnx", None, "another model"),
        ("damaged.onnx", None, 7),
    ):
        if name.endswith("_model"):  # a directory
            (tmp_path / name / "variables").mkdir(parents=True)
            (tmp_path / name / "variables" / "index").write_text(name)
        else:
            (tmp_path / name).write_text(name)
        content = {
            "file": name,
            "bytes": 7,
            "sha256": sha256 or sidecars.content_sha256(tmp_path / name),
            "run": {"model_sha256": run},
            "check": {"largest_difference": 2e-7, "changed": 0, "error": score, "mcnemar": {"p": 1.0}, "more": None},
        }
        files.write_json(sidecars.path_of(tmp_path / name), content)
    (tmp_path / "changed_model" / "variables" / "index").write_text("changed")
    (tmp_path / "package.json").write_text('{"name": "x"}')
    found = sidecars.read_all(tmp_path, "m")
    assert [one.file for one in found] == ["model.onnx", "saved_model"]
    assert "| model.onnx | 7 | 2.0e-07 | 0 | 1.20 | 1 |" in card.render(source, found)
    assert read_json(tmp_path / "model.onnx.json")["file"] == "model.onnx"


def test_a_card_is_known_also_when_it_was_edited(source: CompletedRun, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# A project\n")
    assert not card.is_card(source, tmp_path)
    path = card.write(source, tmp_path, [])
    assert card.is_card(source, tmp_path)
    name = source.run.directory.resolve().name
    written = path.read_text().replace(f"of the run `{name}`", "of my best run")
    path.write_text("My words.\n\n---\n" + written.replace("pipeline_tag:", "license: mit\npipeline_tag:"))
    assert card.is_card(source, tmp_path)
    with pytest.raises(InputError, match="was edited"):
        card.refuse_other_file(tmp_path)


def test_the_card_of_another_run_is_not_written_again(source: CompletedRun, tmp_path: Path) -> None:
    path = card.write(source, tmp_path, [])
    name = source.run.directory.resolve().name
    path.write_text(path.read_text().replace(f"- name: {name}\n", f"- name: {name}_2\n"))
    assert not card.is_card(source, tmp_path)
    for index in ("model-index: {}\n- !!x name", "model-index:\n  []", "model-index:\n- []", "model-index:\n- !!x name"):
        path.write_text(f"---\n{index}\n---\n{card.START}")
        assert not card.is_card(source, tmp_path)


def test_a_later_export_writes_the_card_again_unless_it_was_edited(
    source: CompletedRun, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path, old = tmp_path / "README.md", b"# Of an earlier export\n"
    path.write_bytes(old + card._mark(old))
    export._update_card(source, tmp_path)
    assert card.render(source) in path.read_text()
    path.write_text("My words.\n" + path.read_text())
    export._update_card(source, tmp_path)
    assert path.read_text().startswith("My words.\n")
    assert "was edited, so it is kept" in capfd.readouterr().err
