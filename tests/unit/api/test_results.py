"""Runs and sweeps as objects: found as on the command line, read from their directories, shown in a notebook."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from markupsafe import escape

import mnist_exp as mx
from mnist_exp import cli
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs.history import Epoch
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import write_status
from tests.unit.run_directories import make_run, write_predictions


def make_sweep(jobs: int) -> Path:
    """Create a sweep whose last job has not started."""
    directory = Path("runs/sweep")
    listed = []
    for number in range(1, jobs + 1):
        name = f"{number:03}_mlp_s{number}"
        job = {"number": number, "directory": name, "overrides": [f"seed={number}"], "config_hash": "h", "seed": number}
        listed.append(job)
        if number < jobs:
            make_run(directory / name, 100 + number, f"seed={number}")
    plan = {"schema": 1, "created": "2026-11-22T07:00:00+00:00", "version": "1", "config_dir": None, "config_name": None}
    (directory / "sweep.yaml").write_text(yaml.safe_dump(plan | {"overrides": [], "extensions": [], "jobs": listed}))
    return directory


def test_a_completed_run_has_its_files_as_attributes() -> None:
    directory = make_run(Path("runs/a"), 100, validation_errors=200)
    write_predictions(directory, range(100))
    rows = [Epoch(1, 0.1, 2.0, 9.5, None, None, 1.0, 10.0), Epoch(2, 0.1, 1.0, 4.5, 0.5, 3.0, 1.0, 10.0, 2.0)]
    files.write_table(Run(directory).history, rows, Epoch)
    Run(directory).errors.write_text('{"schema": 1, "per_class": []}')
    run = mx.load("a")
    assert (run.name, run.status, run.directory) == ("a", "completed", directory.absolute())
    assert run.report == directory.absolute() / "report.html"
    assert run.summary.test.error_percent == 1.0
    assert run.errors["per_class"] == []
    assert run.history["epoch"].tolist() == [1, 2]
    assert run.history["epoch"].dtype == np.int64
    assert run.history["train_error_percent"].tolist() == [9.5, 4.5]
    assert np.isnan(run.history["validation_loss"]).tolist() == [True, False]
    predictions = run.predictions
    assert predictions.wrong.tolist() == list(range(100))
    assert predictions.probabilities.shape == (10_000, 10)
    assert predictions.classes[200] == predictions.labels[200]
    assert repr(run) == "<Run a: completed, test error 1.00 %>"


@pytest.mark.parametrize("name", ["a", "runs/a", "latest", Path("runs/a")])
def test_a_run_is_named_as_on_the_command_line(name: str | Path) -> None:
    make_run(Path("runs/a"), 100)
    assert mx.load(name).directory == mx.load(Path("runs/a").absolute()).directory == Path("runs/a").absolute()


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (lambda: mx.load("b"), ["show", "b"]),
        (lambda: mx.load("sweep"), ["show", "sweep"]),
        (lambda: mx.load("latest", runs_dir="elsewhere"), ["show", "--runs-dir", "elsewhere"]),
        (lambda: mx.compare("b"), ["compare", "b"]),
        (lambda: mx.compare(where="model.nam=x"), ["compare", "--where", "model.nam=x"]),
        (lambda: mx.compare(top=0), ["compare", "--top", "0"]),
        (lambda: mx.compare(by="nothing"), ["compare", "--by", "nothing"]),
        (lambda: mx.compare(baseline="b"), ["compare", "--baseline", "b"]),
        (lambda: mx.run(["model=cnn_larg", "training.epochs=0"]), ["model=cnn_larg", "training.epochs=0"]),
        (lambda: mx.run(["--config-dir", "nowhere"]), ["--config-dir", "nowhere"]),
        (lambda: mx.run(["dataset=folder", "dataset.path=nowhere"]), ["dataset=folder", "dataset.path=nowhere"]),
        (lambda: mx.run(["seed=1,2"]), ["seed=1,2"]),
        (lambda: mx.run_sweep(["seed=x,y"]), ["-m", "seed=x,y"]),
        (lambda: mx.load("old").resume(), ["resume", "old"]),
        (lambda: mx.Run("runs/a").resume(), ["resume", "runs/a"]),
        (lambda: mx.Run("runs/a").resume(["seed=3"]), ["resume", "runs/a", "seed=3"]),
        (lambda: mx.run(["initial_weights=nothing"]), ["initial_weights=nothing"]),
    ],
)
def test_a_mistake_has_the_message_of_the_command(call, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    make_run(Path("runs/a"), 100)
    make_run(Path("runs/sweep/0_mlp_s7"), 100)
    write_status(Run(make_run(Path("runs/old"), 100)), "interrupted", 130)
    Path("runs/old/summary.json").unlink()
    Path("runs/old/config.yaml").write_text("name: [")
    with pytest.raises(mx.errors.UserError) as raised:
        call()
    assert cli.main(arguments) == raised.value.exit_code
    printed = capsys.readouterr().err.replace(f"{Path.cwd()}/", "")
    for line in str(raised.value).replace(f"{Path.cwd()}/", "").splitlines():
        assert line.strip() in printed
    frames = []
    traceback = raised.tb.tb_next
    while traceback:
        frames.append(traceback.tb_frame.f_code.co_filename)
        traceback = traceback.tb_next
    assert [Path(frame).name for frame in frames] == ["test_results.py", "boundary.py"]
    assert not list(Path("runs").glob("*_s[0-9]*"))


def test_all_mistakes_of_overrides_are_listed() -> None:
    with pytest.raises(mx.errors.ConfigError) as raised:
        mx.run(["model=cnn_larg", "training.epochs=0"])
    assert [problem.key for problem in raised.value.problems] == ["model", "training.epochs"]
    assert "did you mean cnn_large?" in raised.value.problems[0].remedy


@pytest.mark.parametrize(
    ("call", "remedy"),
    [
        (lambda: mx.run("model=mlp"), "such as: ["),
        (lambda: mx.run(["model=mlp", 3]), "such as: ["),
        (lambda: mx.run(["-m", "seed=1,2"]), "mx.run_sweep([...])"),
        (lambda: mx.run(["--cfg", "job"]), "mnist-exp --cfg job"),
        (lambda: mx.run_sweep(["seed=1,2", "--info"]), "mnist-exp -m seed=1,2 --info"),
        (lambda: mx.run_sweep(["seed=1,2", "sweep.dry_run=true"]), "mnist-exp -m seed=1,2 sweep.dry_run=true"),
        (lambda: mx.load_sweep("a"), "use mx.load"),
        (lambda: mx.datasets.load("mnst"), "did you mean mnist?"),
    ],
)
def test_a_mistake_of_python_says_what_to_do(call, remedy: str, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    make_run(Path("runs/a"), 100)
    with pytest.raises(mx.errors.InputError) as raised:
        call()
    assert remedy in raised.value.remedy
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("status", "expected"), [("interrupted", mx.errors.InputError), (None, mx.errors.IntegrityError)])
def test_a_run_without_a_result_says_why(status: str | None, expected: type[Exception]) -> None:
    directory = make_run(Path("runs/a"), 100)
    Run(directory).summary.unlink()
    if status is None:
        Run(directory).summary.write_text("{")
    else:
        write_status(Run(directory), status, 130, "the cause", "the remedy")  # type: ignore[arg-type]
    run = mx.load("a")
    assert run.status == (status or "unreadable")
    assert run.history["epoch"].tolist() == []
    for read in (lambda: run.summary, lambda: run.predictions, lambda: run.errors, run.model):
        with pytest.raises(expected, match="runs/a: has no result"):
            read()
    assert run.status in run._repr_html_()


def test_missing_errors_are_reported() -> None:
    make_run(Path("runs/a"), 100)
    with pytest.raises(mx.errors.IntegrityError, match=r"errors\.json: is missing or damaged"):
        _ = mx.load("a").errors


def test_a_notebook_shows_escaped_tables() -> None:
    directory = make_run(Path("runs/a"), 100)
    files.write_json(Run(directory).summary, read_json(Run(directory).summary) | {"name": "<b>x</b>"})
    shown = mx.load("a")._repr_html_()
    assert "&lt;b&gt;x&lt;/b&gt;" in shown
    assert "<b>" not in shown
    assert "1.00 %" in shown
    Run(directory).summary.unlink()
    write_status(Run(directory), "failed", 1, "<script>\x1b[0m", "y")
    shown = mx.load("a")._repr_html_()
    assert "&lt;script&gt;�[0m" in shown
    assert "<script>" not in shown
    assert "<script>" not in mx.compare()._repr_html_()


def test_ipython_shows_an_error_without_a_traceback() -> None:
    error = mx.errors.InputError("the cause", "the remedy")
    assert error._render_traceback_() == ["InputError: the cause\nthe remedy"]
    assert mx.errors.RunInterrupted("x", "y")._render_traceback_() == ["RunInterrupted: x\ny"]


def test_a_sweep_has_its_runs_and_its_leaderboard() -> None:
    make_sweep(3)
    sweep = mx.load_sweep("sweep")
    assert [run.name for run in sweep.runs] == ["001_mlp_s1", "002_mlp_s2"]
    assert repr(sweep) == "<Sweep sweep>"
    assert sweep.comparison.rows[0]["n"] == 2
    assert "report.html" in sweep._repr_html_()
    assert mx.compare([sweep, sweep.runs[0]]).rows[0]["n"] == 2
    assert mx.load_sweep("latest").directory == sweep.directory


def test_a_sweep_has_a_comparison_for_each_set_of_images() -> None:
    sweep = mx.load_sweep(make_sweep(4))
    (comparison,) = sweep.comparisons
    assert repr(comparison) == repr(sweep.comparison) == repr(mx.compare(sweep.directory))
    run = Run(sweep.runs[0].directory)
    content = read_json(run.summary)
    files.write_json(run.summary, content | {"dataset": content["dataset"] | {"sha256": "c"}})
    assert [repr(one).partition("\n")[0] for one in sweep.comparisons] == ["images=1", "images=2"]
    assert [[row["n"] for row in one.rows] for one in sweep.comparisons] == [[2], [1]]
    assert ">images=2<" in sweep._repr_html_()


def test_a_comparison_has_the_numbers_and_words_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        make_run(Path(f"runs/a{seed}"), 100 + seed, f"seed={seed}")
        make_run(Path(f"runs/b{seed}"), 300 + 2 * seed, "model=cnn", f"seed={seed}")
    comparison = mx.compare(by="model.name", sort=["-test.error_percent"], equivalence=0.1, on="these-images")
    options = ["--by", "model.name", "--sort", "-test.error_percent", "--equivalence", "0.1", "--on", "these-images"]
    assert cli.main(["compare", *options, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["configurations"] == json.loads(json.dumps(comparison.rows))
    assert cli.main(["compare", *options, "--format", "table"]) == 0
    printed = capsys.readouterr().out
    assert [row["rank"] for row in comparison.rows] == [2, 1]
    assert comparison.verdicts[0].startswith("worse by ")
    for text in (*comparison.verdicts, *comparison.notes):
        assert text in printed
        assert escape(text) in comparison._repr_html_()
    assert repr(comparison).strip() == printed.strip()
    assert len(mx.compare(top=1).rows) == 1


def test_a_comparison_becomes_a_data_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas", exc_type=ImportError)
    make_run(Path("runs/a"), 100)
    make_run(Path("runs/b"), 150, "model=cnn")
    comparison = mx.compare()
    frame = comparison.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame["test_mean"].tolist() == [1.0, 1.5]
    assert frame["significance_words"][1] == comparison.verdicts[1]
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(mx.errors.EnvironmentFailure, match="pip install pandas"):
        comparison.to_pandas()


def test_data_cannot_be_changed_by_mistake() -> None:
    """They are loaded once in a process, and checked against the hashes of its runs."""
    data = mx.datasets.load("mnist")
    for array in (data.train_images, data.train_labels, data.test_images, data.test_labels):
        assert not array.flags.writeable
