"""The command line without training: dispatch, help, errors; and what it must not import."""

import subprocess
import sys
from pathlib import Path

import pytest

from mnist_exp import cli
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_help_names_every_group_option_and_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    words = set(text.split())
    for path in (ROOT / "conf").glob("*/*.yaml"):
        assert {path.parent.name, path.stem} <= words
    assert set(cli.COMMANDS) <= words
    for setting in ("name,", "seed,", "device,", "precision,", "threads,", "runs_dir,", "progress"):
        assert setting in words


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help_with_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([name, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert f"usage: mnist-exp {name}" in text
    assert f"examples:\n  mnist-exp {name}" in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("mnist-exp 0.")


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["compre"], 2, "did you mean compare?"),
        (["zzz"], 2, "sub-commands: show"),
        (["model=cnn_larg"], 2, "did you mean cnn_large?"),
        (["--experimental-rerun", "x"], 2, "unpickles"),
        (["show"], 2, "holds no run"),
        (["show", "nothing"], 2, "there is no such run"),
        (["compare"], 2, "there is no such directory"),
        (["compare", "--format", "markdown"], 2, "add --group"),
        (["resume", "nothing"], 2, "there is no such run"),
        (["resume", "."], 2, "is no run"),
        (["data", "show", "dataset=mnst"], 2, "did you mean dataset=mnist?"),
        (["data", "show", "--count", "0"], 2, "an integer from 1 to 1000"),
    ],
)
def test_errors_have_a_cause_a_remedy_and_a_code(
    arguments: list[str], code: int, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == code
    captured = capsys.readouterr()
    assert expected in captured.err
    assert captured.err.startswith("error: ")
    assert "Traceback" not in captured.err
    assert len(captured.err.splitlines()) == 2
    assert not Path("runs").exists()


def test_debug_adds_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--debug", "training.epochs=0"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_unknown_flag_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--epochs", "3"])
    assert caught.value.code == 2
    assert "--epochs" in capsys.readouterr().err


def test_cfg_prints_the_composed_configuration(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--cfg", "job", "model=cnn_large", "training.epochs=3"]) == 0
    text = capfd.readouterr().out
    assert "name: cnn_large" in text
    assert "epochs: 3" in text
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["compare"],
        ["show"],
        ["training.epochs=0"],
        ["--cfg", "job"],
        ["data", "show", "--count", "4"],
        ["compre"],
    ],
    ids=" ".join,
)
def test_only_training_imports_tensorflow(arguments: list[str]) -> None:
    code = (
        "import sys; from mnist_exp import cli; cli.main(sys.argv[1:]); "
        "heavy = {'tensorflow', 'keras'} & set(sys.modules); sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_help_and_compare_do_without_hydra() -> None:
    code = "import sys; from mnist_exp import cli; cli.main(sys.argv[1:]); sys.exit('hydra' in sys.modules)"
    for arguments in (["--help"], ["compare"], ["show"]):
        assert subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, check=False).returncode == 0


def test_data_show_prints_and_draws(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "show", "dataset=mnist", "--count", "4"]) == 0
    text = capsys.readouterr().out
    for fact in ("60,000", "10,000", "28×28×1", "uint8", "33.318", "78.567", "5,923", "1,135", "ba891046e6505d7a"):
        assert fact in text
    assert Path("mnist.png").read_bytes().startswith(b"\x89PNG")


def test_half_blocks_draw_two_pixels_a_character(digits) -> None:
    from mnist_exp.commands.data import half_blocks

    text = half_blocks(digits, 3, width=60)
    lines = text.plain.splitlines()
    assert lines[0].split() == ["5", "0"]
    assert len(lines) == 2 * (1 + 14)
    assert lines[1].count("▀") == 2 * 28
    colors = {span.style.color.triplet for span in text.spans}
    assert (255, 255, 255) in colors
    assert len(colors) > 50
