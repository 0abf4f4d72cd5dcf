"""The command line without training: sub-commands, help, errors, exit codes, and imports."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from mnist_exp import cli
from mnist_exp.commands.arguments import COMMANDS
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.runs.directory import read_config
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import write_status
from mnist_exp.terminal import messages
from tests.conftest import ROOT
from tests.unit.run_directories import make_run


def test_help_names_all_groups_options_and_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    words = set(text.split())
    for path in (ROOT / "conf").rglob("*/*.yaml"):
        assert {str(path.parent.relative_to(ROOT / "conf")), path.stem} <= words
    assert set(COMMANDS) <= words
    for setting in ("name,", "seed,", "device,", "precision,", "threads,", "runs_dir,", "progress,", "sweep"):
        assert setting in words


@pytest.mark.parametrize("name", COMMANDS)
def test_all_commands_have_help_with_examples(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"usage: mnist-exp {name}" in text
    assert f"examples:\n  mnist-exp {name}" in text
    purpose = next(part for part in text.split("\n\n") if not part.startswith("usage:"))
    assert " ".join(purpose.split())[1:] == COMMANDS[name][1:] + "."
    assert max(map(len, purpose.splitlines())) < 80


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("mnist-exp 0.")


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["compre"], 2, "did you mean compare?"),
        (["zzz"], 2, "sub-commands: show"),
        (["fashion_mnist"], 2, "did you mean dataset=fashion_mnist?"),
        (["model", "cnn"], 2, "did you mean model=cnn?"),
        (["seed", "=", "3"], 2, "did you mean seed=3?"),
        (["training.epochs", "3"], 2, "did you mean training.epochs=3?"),
        (["seed=1", "cnn_larg"], 2, "cnn_larg: not a valid override\n  did you mean model=cnn_large?"),
        (["data", "show", "mnst"], 2, "did you mean dataset=mnist?"),
        (
            ["data", "shw"],
            2,
            "mnist-exp data shw: not allowed\n  allowed: show, list, fetch, verify, remove; did you mean show?",
        ),
        (
            ["compare", "--format", "pdf"],
            2,
            "--format pdf: not allowed\n  allowed: table, json, csv, markdown, latex, html\n",
        ),
        (["compare", "--top", "x"], 2, "--top x: not allowed\n  allowed: an integer\n"),
        (["watch", "--interval", "x"], 2, "--interval x: not allowed\n  allowed: a number\n"),
        (["predict", "a.png"], 2, "required: IMAGE|FOLDER|-\n  write mnist-exp predict RUN IMAGE|FOLDER|-; see"),
        (["diff", "a"], 2, "required: B\n  write mnist-exp diff A B; see mnist-exp diff --help"),
        (
            ["hydra/sweeper=optuna", "model.dropout=interval(0,0.5)"],
            2,
            "with: mnist-exp -m hydra/sweeper=optuna 'model.dropout",
        ),
        (["model=cnn_larg"], 2, "did you mean cnn_large?"),
        (["experiment=record"], 2, "the configuration is a sweep"),
        (["--experimental-rerun", "x"], 2, "unpickles"),
        (["show"], 2, "contains no run"),
        (["show", "nothing"], 2, "run not found"),
        (["show", "lates"], 2, "did you mean latest?"),
        (["diff", "nothing", "nothing"], 2, "run not found"),
        (["watch"], 2, "directory does not exist"),
        (["compare"], 2, "directory does not exist"),
        (["compare", "model=mlp"], 2, "select runs by a setting: --where"),
        (["resume"], 2, "required: RUN|SWEEP\n"),
        (["resume", "x", "--retry-faild"], 2, "did you mean --retry-failed? see mnist-exp resume --help"),
        (["resume", "nothing"], 2, "run not found"),
        (["resume", "."], 2, "not a run"),
        (["data", "show", "dataset=mnst"], 2, "did you mean mnist?"),
        (["data", "show", "augmentation=afine"], 2, "did you mean affine?"),
        (["data", "show", "augmentation=affine", "augmentation.rotatoin=3"], 2, "did you mean augmentation.rotation?"),
        (["data", "show", "augmentation=affine", "model=cnn"], 2, "model=cnn: has no effect on the images"),
        (["data", "show", "augmentation=affine,elastic"], 2, "not a sweep\n  give one value"),
        (["data", "show", "--output", "x"], 2, "ends in .png"),
        (["data", "show", "--count", "1", "--output", "nowhere/x.png"], 5, "nowhere/x.png: cannot be written"),
        (["show", "."], 2, "not a run"),
        (["compare", "."], 2, ".: contains no runs"),
        (["device=:x:"], 2, "device=:x:"),
        (["data", "show", "--count", "0"], 2, "an integer from 1 to 200"),
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


def test_a_configuration_of_another_version_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(make_run(Path("old"), 10))
    run.summary.unlink()
    write_status(run, "interrupted", 130)
    settings = read_config(run)
    del settings["schedule"]
    run.config.write_text(yaml.safe_dump(settings))
    assert cli.main(["resume", "old"]) == 2
    note, error, remedy = capsys.readouterr().err.splitlines()
    assert note.startswith("old/config.yaml: is not valid")
    assert error == "error: schedule: is missing"
    assert "cosine" in remedy


@pytest.mark.parametrize(
    ("error", "expected"),
    [(OSError(28, "No space left"), "No space left"), (OSError(28, "No space left", "x.npz"), "x.npz: No space left")],
)
def test_an_error_of_the_system_names_its_file_if_it_has_one(
    error: OSError, expected: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: list[str]) -> int:
        raise error

    monkeypatch.setattr(cli, "_dispatch", fail)
    assert cli.main(["show"]) == 5
    assert capsys.readouterr().err.splitlines()[0] == f"error: {expected}"


def test_debug_adds_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--debug", "training.epochs=0"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_unknown_flag_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--epochs", "3"]) == 2
    error, remedy = capsys.readouterr().err.splitlines()
    assert error == "error: unrecognized arguments: --epochs"
    assert "key=value" in remedy


def test_cfg_prints_the_composed_configuration(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--cfg", "job", "model=cnn_large", "training.epochs=3"]) == 0
    text = capfd.readouterr().out
    assert "name: cnn_large" in text
    assert "epochs: 3" in text
    assert not Path("runs").exists()


def modules_of(*arguments: str) -> set[str]:
    """Return the modules that a command has imported when it exits."""
    code = (
        "import sys; from mnist_exp import cli; code = cli.main(sys.argv[1:]); "
        "print('modules:', *sys.modules); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == (2 if "training.epochs=0" in arguments else 0), done.stderr
    return set(done.stdout.partition("modules: ")[2].split())


LIGHT = [
    ["--help"], ["help"], ["help", "tutorial"], ["compare"], ["show"], ["watch"], ["diff", "a", "b"], ["training.epochs=0"],
    ["--cfg", "job"], ["data", "show", "--count", "4"],
]  # fmt: skip


@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_tensorflow_hydra_and_pillow_are_imported_only_when_needed(arguments: list[str]) -> None:
    make_run(Path("runs/a"), 100)
    make_run(Path("runs/b"), 100)
    modules = modules_of(*arguments)
    assert "mnist_exp.cli" in modules
    assert not {"tensorflow", "keras", "vl_convert"} & modules
    assert ("PIL" in modules) == (arguments[0] == "data")
    assert ("hydra" in modules) == (arguments[0] in {"training.epochs=0", "--cfg"})


@pytest.mark.parametrize("arguments", [["model=mlp", "--help"], ["-m", "-h"], ["--config-dir", ".", "--help"]], ids=" ".join)
def test_help_works_at_any_position(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 0
    assert "usage: mnist-exp" in capsys.readouterr().out
    assert not Path("runs").exists()


def test_a_defect_is_two_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_dispatch", lambda _: 1 / 0)
    assert cli.main([]) == 1
    assert capsys.readouterr().err.splitlines()[0] == "error: ZeroDivisionError: division by zero"


def test_a_closed_pipe_prints_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m mnist_exp --help | head -n 1", shell=True, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("mnist-exp")
    assert done.stderr == ""


@pytest.mark.parametrize("status", ["running", "failed", "completed"])
def test_show_prints_the_status_of_a_run_without_a_result(
    status: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow_terminal(monkeypatch, 20)
    Path("runs/a").mkdir(parents=True)
    write_status(Run(Path("runs/a")), status, 1, "the cause", "continue: mnist-exp resume runs/a")  # type: ignore[arg-type]
    assert cli.main(["show"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"runs/a: {'incomplete' if status == 'completed' else status}"
    # Not broken at the width of the terminal: who copies a part of it would train the default.
    assert ("continue: mnist-exp resume runs/a" in lines) == (status != "completed")


def test_show_of_a_damaged_summary_is_exit_3(capsys: pytest.CaptureFixture[str]) -> None:
    Path("runs/a").mkdir(parents=True)
    Path("runs/a/summary.json").write_text("{")
    assert cli.main(["show"]) == 3
    assert "mnist-exp resume runs/a" in capsys.readouterr().err


def test_show_of_a_sweep_names_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    make_run(Path("runs/sweep/0_mlp_s7"), 100)
    assert cli.main(["show", "sweep"]) == 2
    assert "runs/sweep/0_mlp_s7" in capsys.readouterr().err
    assert cli.main(["show", "sweep/0_mlp_s7"]) == 0


def narrow_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Let standard output, which a test captures, look like a terminal of this width."""
    monkeypatch.setattr(messages, "PIPE_WIDTH", columns)
    monkeypatch.setenv("COLUMNS", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.mark.parametrize("arguments", [[], ["--once"]])
def test_watch_prints_no_heading_without_a_row(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow_terminal(monkeypatch, 80)
    Path("runs").mkdir()
    assert cli.main(["watch", *arguments]) == 0
    assert capsys.readouterr().out == "nothing is running in runs\n"


def test_data_show_and_list_fit_the_window(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    narrow_terminal(monkeypatch, 80)
    assert cli.main(["data", "show"]) == 0
    drawn = capsys.readouterr().out.splitlines()
    assert sum("▀" in line for line in drawn) == 2 * 28 // 2  # two lines of images; all 20 are in the PNG
    assert drawn[-1] == "the first 20 training images: runs/mnist.png"
    assert cli.main(["data", "list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    (row,) = (line for line in listed if line.startswith("qmnist_test50k "))
    assert row.split() == ["qmnist_test50k", "60,000", "50,000", "10", "28×28×1", "–", "BSD", "3-Clause"]
    assert f"mnist: {ROOT / 'mnist_exp/datasets/mnist'}" in listed


def test_data_show_prints_and_draws(digits: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "show", "dataset=mnist", "--count", "4"]) == 0
    text = capsys.readouterr().out
    for fact in ("60,000", "10,000", "28×28×1", "uint8", "33.318", "78.567", "5,923", "1,135", "ba891046e6505d7a"):
        assert fact in text
    with Image.open("runs/mnist.png") as grid:  # two by two, three pixels for each, 10 between them and 18 for a title
        assert grid.size == (2 * (3 * 28 + 10) + 10, 2 * (18 + 3 * 28 + 10) + 10)
        second = np.asarray(grid)[28 : 28 + 84 : 3, 10 + 94 : 10 + 94 + 84 : 3]
    assert np.array_equal(255 - second, digits.train_images[1, :, :, 0])
