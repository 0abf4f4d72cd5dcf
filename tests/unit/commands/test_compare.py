"""`mnist-exp compare` on generated runs: options, formats and errors."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from mnist_exp import cli
from tests.unit.run_directories import make_run


class Done(NamedTuple):
    """The exit code and the output of the command."""

    returncode: int
    stdout: str
    stderr: str


Compare = Callable[..., Done]


@pytest.fixture
def compare(capfd: pytest.CaptureFixture[str]) -> Compare:
    """Run the command in this process."""

    def run(*arguments: str) -> Done:
        return Done(cli.main(["compare", *arguments]), *capfd.readouterr())

    return run


@pytest.fixture(scope="module")
def runs_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two configurations with three seeds, one with one seed, a run with a different split, and a damaged run."""
    tmp_path = tmp_path_factory.mktemp("runs_directory")
    for seed in range(3):
        make_run(tmp_path / "runs" / f"mlp{seed}", 180 + 7 * seed, f"seed={seed}", validation_errors=170 + 5 * seed)
        make_run(
            tmp_path / "runs" / "s" / f"cnn{seed}", 90 + seed, "model=cnn_large", f"seed={seed}", validation_errors=80 + seed
        )
    make_run(tmp_path / "runs" / "one", 100, "model=cnn_simple", validation_errors=120)
    make_run(tmp_path / "runs" / "other_split", 10, "dataset.split_seed=3", validation_errors=10)
    (tmp_path / "runs" / "half").mkdir()
    (tmp_path / "runs" / "half" / "summary.json").write_text('{"schema": 3, "na')
    return tmp_path


@pytest.fixture
def place(runs_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of these runs, as the current directory."""
    monkeypatch.chdir(runs_directory)
    return runs_directory


@pytest.mark.usefixtures("place")
def test_the_default_table(compare: Compare) -> None:
    done = compare()
    assert done.returncode == 0, done.stderr
    lines = {cells[2]: cells for line in done.stdout.splitlines() if len(cells := [c.strip() for c in line.split("│")]) > 5}
    assert list(lines) == ["cnn_large", "one", "mlp"]
    assert "best" in lines["cnn_large"]
    assert any(cell.startswith("worse by 0.96") for cell in lines["mlp"])
    assert "not tested: only one seed" in lines["one"]
    assert "0.81 ± 0.01" in lines["cnn_large"]
    assert "not ranked, unreadable: half (summary.json: " in done.stdout
    assert (
        "not ranked, different validation images: dataset.split_seed=3; --metric test.error_percent ranks all" in done.stdout
    )
    assert done.stderr == ""


def test_runs_are_given_by_name_sweep_or_pattern(compare: Compare, place: Path) -> None:
    for names in (["s"], ["runs/s"], ["runs/s/cnn*"], ["s/cnn[0-2]"], [str(place / "runs" / "s" / "*")]):
        done = compare(*names, "--format", "json")
        assert done.returncode == 0, done.stderr
        (line,) = json.loads(done.stdout)["configurations"]
        assert (line["name"], line["n"]) == ("cnn_large", 3)
    done = compare("nothing*")
    assert done.returncode == 2
    assert "nothing*: no matching directory, here or in runs" in done.stderr


@pytest.mark.usefixtures("place")
def test_options(compare: Compare) -> None:
    done = compare("--where", "model.name~cnn_* and test.error_percent<1", "--format", "json")
    assert [line["name"] for line in json.loads(done.stdout)["configurations"]] == ["cnn_large"]
    done = compare(
        "--by", "model.name", "--sort", "-test.error_percent", "--top", "2",
        "--columns", "model.name,n,test.error_percent", "--format", "markdown",
    )  # fmt: skip
    assert done.stdout.splitlines()[:4] == [
        "| model.name | n | test error %, mean ± std |",
        "| --- | --- | --- |",
        "| mlp | 3 | 1.87 ± 0.07 |",
        "| cnn_simple | 1 | 1.00 |",
    ]
    assert "2 of 3 are shown" in done.stdout
    done = compare("--metric", "test.error_percent", "--baseline", "mlp1", "--format", "json")
    content = json.loads(done.stdout)
    assert content["ranked_by"] == "test.error_percent"
    assert content["against"]["is"] == "baseline"
    results = {line["name"]: line["significance"] for line in content["configurations"] if line["n"] > 1}
    assert results["mlp"] is None
    assert results["cnn_large"]["words"].startswith("better by 0.96")


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["--where", "model.nam=mlp"], "--where model.nam: unknown field"),
        (["--where", "model.name="], "expected a value after model.name="),
        (["--where", "model.name=none_of_them"], "matches none of 9 runs"),
        (["--by", "modle.name"], "--by modle.name: unknown field"),
        (["--sort", "x"], "--sort x: unknown field"),
        (["--columns", "x"], "--columns x: unknown column"),
        (["--metric", "accuracy"], "--metric accuracy: unknown metric"),
        (["--top", "0"], "--top 0: not allowed"),
        (["--baseline", "nobody"], "nobody: run not found"),
        (["s", "--baseline", "one"], "--baseline one: not among the compared runs"),
        (["--runs-dir", "nowhere"], "nowhere: directory does not exist"),
    ],
)
def test_errors_have_a_cause_and_a_remedy(compare: Compare, arguments: list[str], cause: str) -> None:
    done = compare(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert cause in done.stderr
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.usefixtures("place")
def test_a_condition_without_matches_lists_the_values(compare: Compare) -> None:
    done = compare("--where", "model.name=cnn_larg and test.error_percent<0.1 and dataset.augmentation=1 or seed=9")
    assert "dataset.augmentation: unknown field" in done.stderr
    done = compare("--where", "model.name=cnn_larg and test.error_percent<0.1 and name=none or seed=9")
    assert done.stderr.splitlines()[-1].endswith(
        "in these runs, model.name is cnn_large, cnn_simple, mlp; name is cnn_large, cnn_simple, mlp; "
        "seed is 0, 1, 2, 7; test.error_percent is 0.1, 0.9, 0.91, 0.92, 1, 1.8, 1.87, 1.94"
    )


@pytest.mark.usefixtures("place")
def test_a_group_is_named_by_its_labels(compare: Compare) -> None:
    done = compare("--by", "dataset.name", "--metric", "test.error_percent", "--columns", "name,n", "--format", "markdown")
    assert done.stdout.splitlines()[2] == "| mlp, cnn_simple, cnn_large | 8 |"
    content = json.loads(compare("--by", "dataset.name", "--format", "json").stdout)
    assert [one["name"] for one in content["configurations"]] == ["mlp, cnn_simple, cnn_large"]


def test_every_format_is_written_to_a_file(compare: Compare, place: Path) -> None:
    for name in ("a.json", "a.csv", "a.md", "a.tex", "a.txt"):
        done = compare("--output", name)
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
        assert name in done.stderr
    assert len(json.loads((place / "a.json").read_text())["configurations"]) == 3
    rows = list(csv.DictReader(io.StringIO((place / "a.csv").read_text())))
    assert [row["name"] for row in rows] == ["cnn_large", "cnn_simple", "mlp"]
    assert (place / "a.md").read_text().startswith("| ")
    assert re.search(r"\\begin\{tabular\}\{.*\\bottomrule", (place / "a.tex").read_text(), re.DOTALL)
    assert "┡" in (place / "a.txt").read_text()
    done = compare("--format", "csv", "--output", "nowhere/a.csv")
    assert done.returncode == 5
    assert "nowhere/a.csv: cannot be written" in done.stderr
