"""Shell completion: candidates, the scripts in real shells, and that its table of options is that of the parsers."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mnist_exp import cli
from mnist_exp.commands.arguments import COMMANDS
from mnist_exp.commands.completion import FLAGS, OPTIONS, SCRIPTS, completions
from mnist_exp.config.command_line import INFORMATION
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def _runs() -> None:
    """An empty directory with two runs, a sweep with a job, and an option of a user."""
    for name, file in {
        "runs/a_mlp_s7": "summary.json", "runs/b_cnn_s1": "status.json", "runs/c_sweep": "sweep.yaml",
        "runs/c_sweep/001_mlp": "status.json", "other/d_mlp": "status.json", "runs/x${y} [1]": "status.json",
        "runs/escape\x1b]0;": "status.json", "runs/line\nbreak": "status.json",
    }.items():  # fmt: skip
        Path(name).mkdir(parents=True)
        (Path(name) / file).touch()
    Path("mine/model").mkdir(parents=True)
    Path(".hidden").mkdir()
    Path("mine/model/my_net.yaml").write_text("defaults: [mlp]\nwidth: 3\n")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("mnist-exp sh", ["show"]),
        ("mnist-exp compa", ["compare"]),
        ("mnist-exp show --r", ["--runs-dir"]),
        ("mnist-exp show a_", ["a_mlp_s7"]),
        ("mnist-exp show c_sweep/", ["c_sweep/001_mlp"]),
        ("mnist-exp show runs/b", ["runs/b_cnn_s1/"]),
        ("mnist-exp show --runs-dir other d", ["d_mlp"]),
        ("mnist-exp show --runs-dir=other d", ["d_mlp"]),
        ("mnist-exp watch --runs-dir oth", ["other/"]),
        ("mnist-exp compare --format m", ["markdown"]),
        ("mnist-exp compare --baseline a", ["a_mlp_s7"]),
        ("mnist-exp compare --runs-dir other --baseline=d", ["--baseline=d_mlp"]),
        ("mnist-exp show .", [".hidden/"]),
        ("mnist-exp show oth", ["other/"]),
        ("mnist-exp predict a_mlp_s7 ", ["mine/", "other/", "runs/"]),
        ("mnist-exp predict --runs-dir other d", ["d_mlp"]),
        ("mnist-exp predict --single --confidence 0.9 a", ["a_mlp_s7"]),
        ("mnist-exp evaluate latest spl", ["split=test", "split=train", "split=validation"]),
        ("mnist-exp dataset=folder dataset.path=mi", ["dataset.path=mine/"]),
        ("mnist-exp compare --format=j", ["--format=json"]),
        ("mnist-exp resume c_sweep see", ["seed="]),
        ("mnist-exp resume c_sweep --un", ["--until-decided"]),
        ("mnist-exp -m sweep.m", ["sweep.max_seeds="]),
        ("mnist-exp track runs/a tracker=w", ["tracker=wandb"]),
        ("mnist-exp data show augmentation=af", ["augmentation=affine"]),
        ("mnist-exp help gl", ["glossary"]),
        ("mnist-exp --cfg ", ["all", "hydra", "job"]),
        ("mnist-exp --config-d", ["--config-dir"]),
        ("mnist-exp --config-dir mi", ["mine/"]),
        ("mnist-exp --config-dir mine model=my", ["model=my_net"]),
        ("mnist-exp model=my_net --config-dir=mine model.w", ["model.width="]),
        ("mnist-exp initial_weights=a", ["initial_weights=a_mlp_s7"]),
        ("mnist-exp initial_weights=c_sweep/", ["initial_weights=c_sweep/001_mlp"]),
        ("mnist-exp -m initial_weights=a_mlp_s7,la", ["initial_weights=a_mlp_s7,latest"]),
        ("mnist-exp runs_dir=other initial_weights=d", ["initial_weights=d_mlp"]),
        ("mnist-exp model=mlp,cnn_s", ["model=mlp,cnn_simple"]),
        ("mnist-exp optim", ["optimizer.", "optimizer="]),
        ("mnist-exp optimizer=sgd optimizer.", ["optimizer.learning_rate=", "optimizer.momentum=", "optimizer.nesterov="]),
        ("mnist-exp training.batch_size=", ["training.batch_size=200"]),
        ("mnist-exp training=quick training.batch", ["training.batch_size="]),
        ("mnist-exp ++training.ep", ["++training.epochs="]),
        ("mnist-exp hydra/la", ["hydra/launcher="]),
        ("mnist-exp hydra/sweeper=optuna hydra.sweeper.n_t", ["hydra.sweeper.n_trials="]),
        ("mnist-exp model=cnn model.layers.0.fi", ["model.layers.0.filters="]),
        ("mnist-exp 'see", ["seed="]),
        ("mnist-exp name=", []),
        ("mnist-exp show escape", []),
        ("mnist-exp show line", []),
        ("mnist-exp show --runs-dir nowhere x", []),
        ("mnist-exp --config-dir nowhere mod", []),
    ],
)  # fmt: skip
def test_completions(line: str, expected: list[str]) -> None:
    assert completions(line) == expected


def test_the_first_word_is_a_command_or_an_override() -> None:
    assert {*COMMANDS, "model=", "model.", "seed=", "experiment="} <= set(completions("mnist-exp "))


@pytest.mark.parametrize("name", [*COMMANDS, ""])
def test_all_options_are_known(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main([name, "--help"] if name else ["--help"])
    text = capsys.readouterr().out
    expected = set(re.findall(r"--[a-z][a-z-]+", text.partition("examples:")[0] if name else text.partition("flags:")[2]))
    known = {*(OPTIONS[name] if name else FLAGS), "--help"} | (set() if name in {"", "help"} else {"--runs-dir"})
    assert expected <= known if not name else expected == known
    for option, choices in re.findall(r"(--[a-z-]+) {([a-z,-]+)}", text):
        assert OPTIONS[name][option] == tuple(choices.split(","))
    assert FLAGS["--info"] == INFORMATION


@pytest.mark.parametrize("content", ["a: [\n", "\xff", "- a\n", "a: &a [*a]\n"])
def test_nothing_gets_into_a_prompt(
    content: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("mine/model/my_net.yaml").write_bytes(content.encode("latin-1"))
    monkeypatch.setenv("COMP_LINE", "mnist-exp --config-dir mine model=my_net model.")
    assert cli.main(["-sc", "query=bash"]) == 0
    assert capfd.readouterr().out.strip() == ""
    assert capfd.readouterr().err == ""


def test_completion_imports_no_heavy_library() -> None:
    code = "import sys; from mnist_exp import cli; cli.main(['-sc', 'query=bash']); print(*sys.modules)"
    environment = os.environ | {"COMP_LINE": "mnist-exp optimizer.l", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    first, _, loaded = done.stdout.partition("\n")
    assert first == "optimizer.learning_rate="
    assert not {"hydra", "omegaconf", "pydantic", "numpy", "tensorflow", "rich"} & set(loaded.split())


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["-sc", "install=csh"]) == 2
    assert "bash, zsh, fish" in capsys.readouterr().err


IN_SHELL = {
    "bash": """eval "$(mnist-exp -sc install=bash)"; COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}
COMP_WORDS=("${{COMP_LINE##*[ =]}}"); compopt() {{ :; }}; _mnist_exp
for each in "${{COMPREPLY[@]}}"; do printf '%s\\n' "$each"; done""",
    "zsh": """compdef() {{ :; }}
compadd() {{ while [[ $1 != -- ]]; do shift; done; shift; for each; do print -r -- "$each"; done }}
eval "$(mnist-exp -sc install=zsh)"; line='{line}'; words=("${{(@s: :)line}}"); CURRENT=$#words
PREFIX=$words[-1]; _mnist_exp""",
    "fish": """mnist-exp -sc install=fish | source; complete -C '{line}'""",
}


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_script_of_a_shell(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    program = tmp_path / "bin" / "mnist-exp"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mnist_exp "$@"\n')
    program.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
    }
    replies = {"mnist-exp show a_": ["a_mlp_s7"], "mnist-exp name=mine": []}
    if shell == "bash":  # its script quotes, and replaces what follows the last "="
        replies |= {
            "mnist-exp optimizer=ad": ["adam", "adamw"],
            "mnist-exp -m model=mlp,cnn_s": ["mlp,cnn_simple"],
            "mnist-exp show x": [r"x\$\{y\}\ \[1\]"],
            'mnist-exp show "x': ["x${y} [1]"],
            "mnist-exp show ~/othe": ["~/other/"],
        }
    else:
        replies |= {"mnist-exp optimizer=ad": ["optimizer=adam", "optimizer=adamw"], "mnist-exp show x": ["x${y} [1]"]}
    for line, expected in replies.items():
        done = subprocess.run(
            [shell, "-c", IN_SHELL[shell].format(line=line)], env=environment, capture_output=True, text=True, check=False
        )
        assert done.stdout.split("\n")[:-1] == expected, done.stderr
        assert done.stderr == ""


def test_the_actions_of_data_and_the_names_of_described_sets(tmp_path: Path) -> None:
    assert completions("mnist-exp data ") == ["fetch", "list", "remove", "show", "verify"]
    assert "kmnist" in completions("mnist-exp data fetch ")
    assert completions("mnist-exp data fetch fash") == ["fashion_mnist"]
    assert completions("mnist-exp dataset=emnist_l") == ["dataset=emnist_letters"]
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "mine.yaml").write_text("kind: files\n")
    assert completions("mnist-exp data --config-dir . fetch mi") == ["mine"]
