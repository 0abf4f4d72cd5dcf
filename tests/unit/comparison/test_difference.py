"""The differences between two runs, also with damaged and hostile files."""

import contextlib
import json
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mnist_exp import cli
from mnist_exp.comparison import difference
from mnist_exp.comparison.difference import RunDifference
from mnist_exp.comparison.difference_tables import describe_errors
from mnist_exp.comparison.predictions import PairedErrors
from mnist_exp.comparison.ranking import compare
from mnist_exp.comparison.rows import read_rows
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs import environment
from mnist_exp.runs.history import Epoch
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import write_status
from mnist_exp.terminal import messages
from tests.unit.run_directories import make_run, set_wrong_images

Pair = tuple[Run, Run]
GIT = {"commit": "0123456789abcdef" * 2 + "01234567", "dirty": False}


def make_trained_run(name: str, labels: np.ndarray, wrong: dict[int, int], *overrides: str, **recorded: Any) -> Run:
    """Create a completed run with these wrong predictions, by index of the image."""
    run = Run(make_run(Path("runs") / name, len(wrong), *overrides))
    set_wrong_images(run.directory, wrong)
    classes = labels.copy()
    classes[list(wrong)] = list(wrong.values())
    probabilities = np.full((len(labels), 10), 0.01, np.float32)
    probabilities[np.arange(len(labels)), classes] = 0.91 - np.arange(len(labels)) / 100_000  # decreasing confidence
    files.write_arrays(run.predictions, {"probabilities": probabilities, "labels": labels})
    files.write_json(run.environment, environment.describe() | {"git": GIT, "resumed": []} | recorded)
    write_history(run, [5.0, 3.0, 2.0])
    return run


def write_history(run: Run, errors: list[float | None]) -> None:
    rows = [Epoch(number, 0.001, 0.5, 9.0, error, error, 1.0, 1000.0) for number, error in enumerate(errors, 1)]
    files.write_table(run.history, rows, Epoch)


@pytest.fixture(scope="module")
def runs(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs: A has 7 errors, B has 3, both are wrong on 2 images, on one of them with the same prediction."""
    labels = digits.test_labels
    other = (labels + 1) % 10
    with contextlib.chdir(place := tmp_path_factory.mktemp("pair")):
        make_trained_run("a", labels, {**{n: other[n] for n in range(10, 15)}, 20: other[20], 21: other[21]}, "seed=1")
        make_trained_run("b", labels, {30: other[30], 20: other[20], 21: (labels[21] + 2) % 10}, "seed=2")
    return place / "runs"


@pytest.fixture
def pair(runs: Path) -> Pair:
    shutil.copytree(runs, "runs")
    return Run(Path("runs/a")), Run(Path("runs/b"))


def compare_pair(pair: Pair) -> RunDifference:
    return difference.compare_runs(*pair)


def test_errors_on_the_same_images_are_counted(pair: Pair) -> None:
    errors = compare_pair(pair).errors
    assert isinstance(errors, PairedErrors)
    counts = errors.n, errors.both_right, errors.only_a, errors.only_b, errors.both_wrong, errors.same_prediction
    assert counts == (10_000, 9_992, 5, 1, 2, 1)
    assert errors.disagreements.tolist() == [10, 11, 12, 13, 14, 21, 30]
    assert errors.difference.p == pytest.approx(2 * 7 / 2**6)
    assert errors.difference.value == pytest.approx(0.04)
    assert describe_errors(errors).startswith(
        "A compared with B, test error %: undecided, p = 0.22; error of A minus error of B: +0.04"
    )


def test_a_significant_difference_is_reported(digits: Dataset) -> None:
    labels = digits.test_labels
    pair = make_trained_run("a", labels, {}), make_trained_run("b", labels, {n: (labels[n] + 1) % 10 for n in range(20)})
    errors = compare_pair(pair).errors
    assert isinstance(errors, PairedErrors)
    assert re.match(
        r"A compared with B, test error %: better by 0\.20 \(0\.\d\d – 0\.\d\d\), p < 0\.0001; error of A minus",
        describe_errors(errors),
    )


@pytest.mark.parametrize("wrong", [range(3), range(7), range(40)])
def test_the_verdict_is_that_of_compare(digits: Dataset, wrong: range) -> None:
    labels = digits.test_labels
    pair = (
        make_trained_run("a", labels, {n: (labels[n] + 1) % 10 for n in range(100, 103)}, "seed=1"),
        make_trained_run("b", labels, {n: (labels[n] + 1) % 10 for n in wrong}, "seed=2"),
    )
    a, b = read_rows([run.directory for run in pair])
    lines = {line.group.rows[0].name: line for line in compare([a, b], by=["run"], baseline=b).lines}
    verdict = lines["a"].significance
    assert verdict is not None
    errors = difference.to_json(compare_pair(pair), None)["images"]
    assert (errors["words"], errors["verdict"], errors["question"]) == (verdict.text, verdict.verdict, "two networks")
    assert verdict.verdict == ("better" if len(wrong) == 40 else "undecided")


@pytest.mark.usefixtures("pair")
def test_differences_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["diff", "a", "b"]) == 0
    text = capsys.readouterr().out
    for part in (
        "│ seed │ 1 │ 2 │", "only the seed differs: two repetitions of one configuration", "environment: no differences",
        "both from commit 0123456789ab\n", "│ both right                 │ 9,992 │",
        "│ only A wrong               │     5 │",
        "│ only B wrong               │     1 │", "│ both wrong                 │     2 │",
        "│   with the same prediction │     1 │",
        "undecided, p = 0.22", "p: McNemar's exact test; one run each: the test compares two networks",
        "validation error % by epoch",
        "│     3 │                  2.00 │                  2.00 │", "7 images with different predictions, 7 of them",
        "0.07  (95 %: 0.03 – 0.14)",
    ):  # fmt: skip
        assert part in text
    assert "missing" not in text
    assert "▀" not in text  # only in a terminal
    with Image.open("runs/a/diff_b.png") as grid:
        assert grid.size == (7 * (3 * 28 + 10) + 10, 18 + 3 * 28 + 10 + 10)


def test_environments_and_commits_are_compared(digits: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    known = environment.describe()
    cpu = {"model": "another", "instructions": [*known["cpu"]["instructions"], "sve2"]}
    dirty = {"commit": "f" * 40, "dirty": True}
    make_trained_run("a", digits.test_labels, {}, device="/CPU:0")
    make_trained_run("b", digits.test_labels, {}, device="/GPU:0", cpu=cpu, git=dirty, resumed=[{}, {}])
    assert cli.main(["diff", "a", "b", "--output", "none"]) == 0
    text = capsys.readouterr().out
    assert "no differences: the same configuration and seed" in text
    assert re.search(r"│ device +│ /CPU:0 +│ /GPU:0 +│", text)
    assert re.search(r"│ cpu\.instructions +│ no other +│ sve2 +│", text)
    assert re.search(r"│ git\.commit +│ 0123456789ab +│ ffffffffffff +│", text)
    assert "different commits of the program, with uncommitted changes in B; B was resumed 2 times" in text
    assert "no image has different predictions" in text


@pytest.mark.usefixtures("pair")
def test_json_keys_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["diff", "a", "b", "--format", "json", "--output", "x.png"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"schema", "runs", "settings", "environment", "history", "images", "reason", "image_grid"}
    assert found["settings"] == {"seed": {"a": 1, "b": 2}}
    assert found["environment"] == {}
    assert found["history"] == {"error": "validation", "a": [5.0, 3.0, 2.0], "b": [5.0, 3.0, 2.0]}
    assert (found["schema"], found["image_grid"], found["reason"]) == (2, "x.png", None)
    assert found["images"]["disagreements"] == [10, 11, 12, 13, 14, 21, 30]
    assert found["images"]["mcnemar_p"] == pytest.approx(14 / 64)
    assert found["runs"]["a"]["directory"] == "runs/a"
    assert found["runs"]["b"]["test"]["errors"] == 3


def test_a_missing_setting_differs_from_null(digits: Dataset) -> None:
    a = make_trained_run("a", digits.test_labels, {}, "model=cnn_simple")
    b = make_trained_run(
        "b", digits.test_labels, {}, "training.ema_decay=0.9", "name=other", "runs_dir=elsewhere", "progress=quiet"
    )
    found = difference.to_json(compare_pair((a, b)), None)["settings"]
    assert found["model.filters"] == {"a": [32]}
    assert found["training.ema_decay"] == {"a": None, "b": 0.9}
    assert not {"name", "runs_dir", "progress"} & set(found)


def test_training_errors_are_compared_if_a_run_has_no_validation_errors(pair: Pair) -> None:
    write_history(pair[1], [None, None])
    history = difference.to_json(compare_pair(pair), None)["history"]
    assert history == {"error": "training", "a": [9.0] * 3, "b": [9.0] * 2}


def test_an_unfinished_run_is_compared(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    run = pair[1]
    for path in (run.summary, run.predictions, run.environment):
        path.unlink()
    write_status(run, "running")
    write_history(run, [])
    assert cli.main(["diff", "a", "b"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"│ status +│ completed +│ running +│", text)
    assert "not compared: no predictions of B" in text
    assert "runs/b: has no predictions.npz" in text
    assert "environment: not compared" in text
    assert "│     3 │                  2.00 │                     – │" in text
    assert not list(Path().rglob("*.png"))


def test_predictions_for_different_images_are_not_compared(
    pair: Pair, digits: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = read_json(pair[1].summary)
    files.write_json(pair[1].summary, summary | {"dataset": summary["dataset"] | {"sha256": "b"}})
    found = compare_pair(pair)
    assert found.errors == "the runs were evaluated on different test images"
    make_trained_run("c", digits.test_labels[::-1].copy(), {})
    assert cli.main(["diff", "a", "c"]) == 0
    assert "not compared: the runs were evaluated on different test images" in capsys.readouterr().out


def test_images_missing_from_the_data_set_are_counted_but_not_drawn(
    digits: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = (digits.test_labels + 3) % 10
    make_trained_run("a", labels, {5: 1 if labels[5] != 1 else 2}), make_trained_run("b", labels, {})
    assert cli.main(["diff", "a", "b"]) == 0
    text = capsys.readouterr().out
    assert "│ only A wrong               │     1 │" in text
    assert "the images cannot be shown: they are not in the installed version of the data set mnist" in text
    assert not list(Path().rglob("*.png"))


def damage_predictions(run: Run) -> None:
    run.predictions.write_bytes(run.predictions.read_bytes()[:-200])


def swap_predictions(run: Run) -> None:
    run.predictions.write_bytes(Path("runs/a/predictions.npz").read_bytes())


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (damage_predictions, "predictions.npz: is damaged: File is not a zip file"),
        (
            swap_predictions,
            "predictions.npz: is damaged: 7 of 10,000 predictions are wrong, but summary.json states 3 of 10,000",
        ),
        (lambda run: run.summary.write_text("{"), "runs/b: summary.json: "),
    ],
)
@pytest.mark.parametrize("output", ["table", "json"])
def test_a_damaged_file_exits_with_3_after_printing_the_rest(
    pair: Pair, damage: Any, cause: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(pair[1])
    assert cli.main(["diff", "a", "b", "--format", output]) == 3
    captured = capsys.readouterr()
    assert cause in captured.err
    assert len(captured.err.splitlines()) == 2
    assert "seed" in captured.out


YAML_BOMB = "\n".join(
    ["a: &a [1, 1, 1, 1]", *(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in pairwise("abcdefghi"))]
)
CONFIGS = [
    "a: &a [*a]", "a: &a {b: *a}", f"x: 0x{'f' * 10_000}", "x: .nan", "1: 2", "? [1, 2]\n: 3", "x: 2026-01-01",
    "x: ['\\e[31m', \"\\e]0;title\\a\", \"\\uD800\"]", "x: " + "[" * 300 + "]" * 300, "dataset: {name: [1]}", "dataset: 3",
    "x: [red]y[/]", "x: " + "y" * 5_000, "- 1", "", "x: !!binary AAAA", "x: !!set {a, b}", YAML_BOMB,
]  # fmt: skip
ENVIRONMENTS = [
    "", "[]", "3", '{"git": 3, "resumed": 3}',
    '{"git": {"commit": {}, "dirty": "x"}}', '{"device": "\\u001b[31m\\ud800\\u202e"}',
    '{"git": ' + "[" * 500 + "]" * 500 + "}", '{"versions": {"a": NaN, "b": 1e999}}', '{"cpu": {"instructions": [[], {}]}}',
    '{"git": {"commit": [1, 2]}}',
]  # fmt: skip


def check_harmless(capfd: pytest.CaptureFixture[str]) -> None:
    for output in ("table", "json"):
        assert cli.main(["diff", "a", "b", "--format", output, "--output", "none"]) == 0
        captured = capfd.readouterr()
        assert captured.err == ""
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", captured.out)
        assert "y" * 400 not in captured.out or output == "json"
    assert json.loads(captured.out)["runs"]["b"]["test"]["errors"] == 3


@pytest.mark.parametrize("content", CONFIGS, ids=lambda content: content[:20].encode("unicode_escape").decode())
def test_a_hostile_config_is_harmless(pair: Pair, content: str, capfd: pytest.CaptureFixture[str]) -> None:
    pair[1].config.write_text(content)
    check_harmless(capfd)


@pytest.mark.parametrize("content", ENVIRONMENTS, ids=lambda content: content[:40])
def test_a_hostile_environment_is_harmless(pair: Pair, content: str, capfd: pytest.CaptureFixture[str]) -> None:
    pair[1].environment.write_text(content)
    check_harmless(capfd)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_output_fits_the_terminal(
    pair: Pair, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "PIPE_WIDTH", width)
    monkeypatch.setenv("COLUMNS", "1")
    write_history(pair[0], [float(error) for error in range(90, 10, -1)])
    assert cli.main(["diff", "a", "b"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert any("⠤" in line or "⢄" in line or "⡀" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["a", "nothing"], "nothing: run not found"),
        (["a", "runs/a"], "runs/a and runs/a: are the same run"),
        (["a", "b", "--output", "x.jpg"], "--output x.jpg: unknown ending"),
    ],
)
@pytest.mark.usefixtures("pair")
def test_invalid_arguments_are_errors(arguments: list[str], cause: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["diff", *arguments]) == 2
    assert cause in capsys.readouterr().err
