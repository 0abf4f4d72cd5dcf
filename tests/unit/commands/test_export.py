"""The arguments of `mnist-exp export`; the exports themselves are tested with TensorFlow."""

import importlib.util
from pathlib import Path

import pytest

from mnist_exp import cli
from mnist_exp.export import formats
from tests.unit.run_directories import make_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "runs" / "a", 100)


@pytest.mark.parametrize(
    ("arguments", "cause", "remedy"),
    [
        ([], "export: names no format", "add --format, with one or several of saved_model,onnx,litert"),
        (["--format", "tflite"], "--format tflite: unknown format", "allowed: saved_model, onnx, litert, html"),
        (["--format", "ONNX"], "--format ONNX: unknown format", "did you mean onnx?"),
        (["--format", "onnx", "--quantise", "int8"], "unrecognized arguments: --quantise int8", "did you mean --quantize?"),
        (["--format", "saved_model,onxx"], "--format onxx: unknown format", "did you mean onnx?"),
        (["--card", "--quantize", "int8"], "--quantize int8: without --format", "add --format onnx, litert or both"),
        (
            ["--format", "saved_model", "--quantize", "int8"],
            "--quantize int8: not possible for the format saved_model",
            "add one that can be quantised, onnx or litert; or leave out --quantize",
        ),
        (
            ["--format", "html,saved_model", "--quantize", "dynamic"],
            "--quantize dynamic: not possible for the formats html and saved_model",
            "add one that can be quantised",
        ),
        (["--format", "saved_model", "--output", "notes.txt"], "--output notes.txt: is not a directory", "name a directory"),
    ],
)
def test_a_mistake_is_reported_and_nothing_is_written(
    arguments: list[str], cause: str, remedy: str, run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("notes.txt").write_text("mine")
    assert cli.main(["export", "a", *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert cause in err
    assert remedy in " ".join(err.split())
    assert not (run / "exports").exists()
    assert Path("notes.txt").read_text() == "mine"


@pytest.mark.parametrize(("name", "module"), [("onnx", "tf2onnx"), ("litert", "ai_edge_litert")])
def test_a_missing_package_is_named_with_its_command(
    name: str, module: str, run: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda wanted, *more: None if wanted == module else find(wanted, *more))
    assert cli.main(["export", "a", "--format", name]) == 5
    error, remedy = capfd.readouterr().err.splitlines()
    assert error.startswith(f"error: --format {name}: not installed: ")
    assert module in error
    assert remedy == f"  pip install 'mnist-exp[{name}]'"
    assert not (run / "exports").exists()


def test_a_run_without_a_result_is_refused(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (run / "summary.json").unlink()
    assert cli.main(["export", "a", "--card"]) == 2
    assert "has no result" in capfd.readouterr().err
    assert not (run / "exports").exists()


def test_a_link_in_the_run_is_not_followed(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "elsewhere").mkdir()
    (run / "exports").symlink_to(tmp_path / "elsewhere")
    assert cli.main(["export", "a", "--card"]) == 3
    assert "is a symbolic link" in capfd.readouterr().err
    assert not list((tmp_path / "elsewhere").iterdir())


def test_formats_that_cannot_be_quantised_are_written_without() -> None:
    saved_model, onnx = formats.FORMATS["saved_model"], formats.FORMATS["onnx"]
    assert [saved_model.possible("int8"), onnx.possible("int8"), onnx.possible(None)] == [None, "int8", None]
    assert [one.file_name(one.possible("int8")) for one in (saved_model, onnx)] == ["saved_model", "model_int8.onnx"]
