"""Files that a user names with `--output`, and where files go without it."""

from pathlib import Path

import pytest

from mnist_exp import cli
from tests.unit.run_directories import make_run

DIRECTORIES = ["/", ".", "..", "", "runs", "runs/", "new/"]


@pytest.fixture(autouse=True)
def _two_runs() -> None:
    make_run(Path("runs/a"), 100)
    make_run(Path("runs/b"), 100)


@pytest.mark.parametrize("command", [["compare"], ["compare", "--format", "html"], ["data", "show"], ["diff", "a", "b"]])
@pytest.mark.parametrize("name", DIRECTORIES)
def test_a_directory_is_refused(command: list[str], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*command, "--output", name]) == 2
    captured = capsys.readouterr()
    assert "is a directory, not a file" in captured.err
    assert captured.out == ""
    assert not Path("new").exists()


@pytest.mark.parametrize(
    "command", [["compare"], ["data", "show"], ["diff", "a", "b"], ["draw", "a"], ["predict", "a", "b.png"]]
)
def test_an_unknown_ending_is_refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    option = "--explain" if command[0] == "predict" else "--output"
    assert cli.main([*command, option, "x.pdf"]) == 2
    error, remedy = capsys.readouterr().err.splitlines()
    assert error == f"error: {option} x.pdf: unknown ending"
    assert remedy.startswith("  allowed: a file name that ends in .")
    assert not Path("x.pdf").exists()


@pytest.mark.parametrize("place", ["nowhere/x", "runs/a/summary.json/x"])
@pytest.mark.parametrize(
    ("command", "ending"),
    [(["compare"], ".csv"), (["data", "show"], ".png"), (["draw", "a"], ".html"), (["predict", "a", "b.png"], ".html")],
)
def test_a_file_that_cannot_be_written_is_refused_at_once(
    command: list[str], ending: str, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the picture and the files of the run are read."""
    option = "--explain" if command[0] == "predict" else "--output"
    assert cli.main([*command, option, place + ending]) == 5
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"error: {place + ending}: cannot be written: " in captured.err


def test_an_ending_may_be_in_capitals_and_a_format_may_be_chosen() -> None:
    assert cli.main(["compare", "--output", "x.CSV"]) == 0
    assert Path("x.CSV").read_text().startswith("rank,")
    assert cli.main(["compare", "--format", "csv", "--output", "x.txt"]) == 0
    assert Path("x.txt").read_text() == Path("x.CSV").read_text()


def test_the_address_of_a_report_is_on_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert cli.main(["show", "a"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"report: {Path('runs/a/report.html').resolve().as_uri()}"
