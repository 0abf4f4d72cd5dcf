"""Every command of the README and of --help does what they say it does."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mnist_exp.commands import overview
from tests.conftest import ROOT
from tests.forks import Forks

README = (ROOT / "README.md").read_text()
QUICK = ["dataset.limit=600", "training.epochs=1", "progress=quiet"]
NOT_TRAINING = {"show", "watch", "diff", "compare", "ensemble", "track", "data", "resume", "--cfg", "--help"}


def commands_of(text: str) -> list[tuple[str, str]]:
    """The commands behind `$ ` in console blocks, each with the output printed below it."""
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    parts = [part.partition("\n") for block in blocks for part in block.split("$ ")[1:]]
    return [(command, output) for command, _, output in parts]


COMMANDS = commands_of(README)
NAMED = {name for command, _ in COMMANDS for name in re.findall(r"\d{4}-\S+_s\d+", command)}  # runs that commands name
EXAMPLES = [line.strip().partition("  ")[0] for line in overview.USE.partition("examples:")[2].splitlines() if line.strip()]


def run(command: str, place: Path, forks: Forks) -> subprocess.CompletedProcess[str]:
    """Run a documented mnist-exp command; one that would train does so on few images."""
    arguments = shlex.split(command)[1:]
    if not NOT_TRAINING & set(arguments) and "training.epochs=0" not in arguments:
        arguments = [re.sub(r"seed=range\(\d\)", "seed=range(1)", argument) for argument in arguments] + QUICK
    if {"hydra/launcher=submitit_slurm", "hydra/launcher=ray"} & set(arguments):
        arguments += ["sweep.dry_run=true"]  # test_clusters runs them on real ones
    return forks.run(*arguments, cwd=place)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> Path:
    """Where the tour is taken, by a user who has trained before."""
    tour = tmp_path_factory.mktemp("tour")
    for name in {trained.name, *NAMED}:
        shutil.copytree(trained, tour / "runs" / name)
    return tour


def test_there_are_commands_to_run() -> None:
    assert len(COMMANDS) > 12
    assert len(EXAMPLES) == 9


@pytest.mark.parametrize(("command", "output"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_readme_command(command: str, output: str, place: Path, forks: Forks) -> None:
    if command.startswith("make "):
        # What `make run` does is tested with the installation; here, that the target exists.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        arguments = [*shlex.split(command), "--dry-run"]
        done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        return
    done = run(command, place, forks)
    assert done.returncode == (2 if output else 0), done.stderr
    assert done.stderr == output or not output
    if not output:
        assert done.stdout.strip()


@pytest.mark.parametrize("command", [example for example in EXAMPLES if example not in dict(COMMANDS)])
def test_help_example(command: str, place: Path, forks: Forks) -> None:
    done = run(command, place, forks)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_readmes_python_uses_a_runs_model(trained: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code = re.sub(r'"runs/[^"]*"', repr(str(trained / "model.keras")), code) + "print(probabilities.shape)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "(3, 10)"


def test_the_readme_names_every_option() -> None:
    for path in (ROOT / "conf").rglob("*/*.yaml"):
        group = path.parent.relative_to(ROOT / "conf")
        assert re.search(rf"^\| `{group}` \|.*`{path.stem}`", README, re.MULTILINE), path


def test_the_readmes_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert len(links) >= 4
    assert all((ROOT / link).exists() for link in links)
