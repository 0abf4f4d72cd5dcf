"""Every command of the README, of the manual and of --help does what they say it does."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_exp import datasets
from mnist_exp.commands import overview
from mnist_exp.commands.arguments import COMMANDS as SUB_COMMANDS
from tests.conftest import ROOT, TINY
from tests.documents import DOCUMENTS, blocks, unique_commands
from tests.forks import Forks
from tests.sheets import draw_sheet

# `schedule.warmup_epochs`: the one-cycle schedule's warm-up is longer than one epoch.
QUICK = ["dataset.limit=600", "training.epochs=1", "schedule.warmup_epochs=0", "evaluation.tta=0", "progress=quiet"]
NOT_TRAINING = {*SUB_COMMANDS, "--cfg", "--help", "sweep.dry_run=true"}
# With -m: test_clusters runs the launchers; the recipes take long, and cnn_best is trained without -m; test_sweep trains all
# combinations of a learning rate and seeds, and until it is decided; another search is trained; networks of changed layers
# are built by the tests of models.
ONLY_COMPOSED = {
    "hydra/launcher=submitit_slurm", "hydra/launcher=ray", "experiment=record", "experiment=cnn_best",
    "optimizer.learning_rate=1e-3,2e-3", "optimizer.learning_rate=1e-4,1e-3", "sweep.until_decided=true",
    "hydra.sweeper.n_trials=4", "model.layers.0.filters=8,16",
}  # fmt: skip
# Other commands train the same network. To predict all test images takes it seconds.
TRAINED_BY_OTHERS = {
    "mnist-exp experiment=tutorial_cnn_simple seed=8",
    "mnist-exp experiment=tutorial_cnn_large seed=8",
    "mnist-exp model=cnn_large augmentation=affine",
    "mnist-exp model=cnn_large schedule=cosine optimizer.learning_rate=2e-3",
}
OTHER_PROGRAMS = {"pip", "source", "ray", "tensorboard", "wandb", "mlflow"}  # not run here

COMMANDS = unique_commands()
OURS = {command: output for command, output in COMMANDS.items() if command.startswith("mnist-exp")}
NAMED = {name for command in OURS for name in re.findall(r"\d{4}-\S+_s\d+", command)}  # runs that commands name
EXAMPLES = [line.strip().partition("  ")[0] for line in overview.USE.partition("examples:")[2].splitlines() if line.strip()]
SCRIPTS = {
    document.name: "\n".join(code) for document in DOCUMENTS if (code := list(blocks(document.read_text(), "python")))
}  # all blocks of a page, which follow each other
NEED_A_RUN = {"predict", "export"}  # `latest` may be a sweep here


def run(command: str, place: Path, forks: Forks, trained: str) -> subprocess.CompletedProcess[str]:
    """Run a documented mnist-exp command; one that would train does so on few images."""
    arguments = shlex.split(command.partition(" | ")[0])[1:]
    if not NOT_TRAINING & set(arguments) and "training.epochs=0" not in arguments:
        few = [re.sub(r"seed=range\(.*\)", "seed=range(1)", argument) for argument in arguments]
        arguments = [re.sub(r"max_seeds=\d+", "max_seeds=3", argument) for argument in few] + QUICK
    if ONLY_COMPOSED & set(arguments) and "-m" in arguments:
        arguments += ["sweep.dry_run=true"]
    if command in TRAINED_BY_OTHERS:
        arguments += ["--cfg", "job"]
    if arguments[0] in NEED_A_RUN:
        arguments = [trained if argument == "latest" else argument for argument in arguments]
    return forks.run(*arguments, cwd=place)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, trained: Path, forks: Forks) -> Path:
    """The directory in which the commands are run, by a user who has trained before."""
    tour = tmp_path_factory.mktemp("tour")
    shutil.copytree(trained, tour / "runs" / trained.name)
    for seed, name in enumerate(sorted(NAMED)):  # an ensemble needs different runs
        forks.run(*TINY, "training.epochs=1", f"seed={seed}", f"runs_dir=trained/{seed}", cwd=tour).check_returncode()
        (run,) = (tour / "trained" / str(seed)).iterdir()
        run.rename(tour / "runs" / name)
    shutil.rmtree(tour / "trained")
    images, labels = np.random.default_rng(0).integers(0, 256, (700, 28, 28), np.uint8), np.arange(700) % 3
    np.savez(tour / "shapes.npz", x_train=images, y_train=labels, x_test=images[:30], y_test=labels[:30])
    (tour / "scans").mkdir()
    sheet = draw_sheet(datasets.load("mnist").test_images[..., 0], np.random.default_rng(1), np.arange(4))
    for picture in ("note.jpg", "a.png", "scans/1.png"):
        Image.fromarray(sheet.pixels).save(tour / picture)
    return tour


def test_there_are_commands_to_run() -> None:
    assert len(OURS) > 30
    assert len(EXAMPLES) == 9
    assert {*OURS, *EXAMPLES} >= TRAINED_BY_OTHERS
    assert {"README.md", "python.md", "runs.md"} == set(SCRIPTS)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in OURS])
def test_other_documented_command(command: str) -> None:
    program = shlex.split(command)[0]
    if program in OTHER_PROGRAMS:
        return
    assert program == "make", f"{command}: neither mnist-exp nor make nor one of {OTHER_PROGRAMS}"
    # What `make run` does is tested with the installation; here, that the target exists.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    arguments = [*shlex.split(command), "--dry-run"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("command", "output"), OURS.items(), ids=list(OURS))
def test_documented_command(command: str, output: str, place: Path, forks: Forks, trained: Path) -> None:
    done = run(command, place, forks, trained.name)
    if command.startswith("mnist-exp resume") and "completed" in done.stderr:  # nothing was interrupted here
        assert done.returncode == 2
        return
    assert done.returncode == (2 if output else 0), done.stderr
    assert done.stderr == output or not output
    if not output:
        assert done.stdout.strip()


@pytest.mark.parametrize("command", [example for example in EXAMPLES if example not in OURS])
def test_help_example(command: str, place: Path, forks: Forks, trained: Path) -> None:
    done = run(command, place, forks, trained.name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_python_of_a_page_is_a_script(name: str, place: Path, forks: Forks, trained: Path) -> None:
    script = re.sub(r'"runs/[^"]*"', repr(str(trained / "model.keras")), SCRIPTS[name])
    script = re.sub(r"(mx\.run\w*\(\[)", r'\1"dataset.limit=600", "progress=quiet", ', script)
    script = script.replace("range(3)", "range(1)").replace(', "hydra/launcher=joblib"', "")
    if "probabilities" in script:
        script += "\nassert probabilities.shape[1:] == (10,)"
    (place / "script.py").write_text(script)
    done = forks.run("script.py", cwd=place, module="tests.notebook")
    assert done.returncode == 0, done.stderr
