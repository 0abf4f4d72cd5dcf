"""The advice of every problem of a configuration: each is followed, and solves the problem."""

import ast
import functools
import inspect
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from mnist_exp import config, errors
from mnist_exp.config import problems
from mnist_exp.errors import InputError, Problem
from mnist_exp.machine import devices
from tests import advice
from tests.conftest import ROOT, shared_composer
from tests.unit.datasets.tiny import described
from tests.unit.run_directories import make_run, write_weights

PROBLEMS = {"Problem", "not_allowed", "InputError"}  # what the program calls to make a problem with advice
Files = Mapping[str, str | None]  # in the directory of a user: content in Latin-1, or None for a file that is removed
Site = tuple[str, int]  # a file, and a line on which a problem is made

OWN = ["--config-dir", "own"]
GLOBAL = "# @package _global_\n"
SEARCH = ["-m", "hydra/sweeper=optuna"]


def deep(levels: int) -> str:
    """A model of residual layers in residual layers."""
    layers = "[{name: activation}]"
    for _ in range(levels):
        layers = f"[{{name: residual, layers: {layers}}}]"
    return f"defaults: [cnn]\nlayers: [{layers[1:-1]}, {{name: flatten}}, {{name: logits}}]\ndropout: 0\n"


def own_set(description: dict[str, Any]) -> str:
    """The option of a described data set."""
    option = yaml.safe_load((ROOT / "conf" / "dataset" / "mnist.yaml").read_text())
    return yaml.safe_dump(option | {"name": "mine", "description": description})


# Arguments; what follows the advice: other arguments (none: as `tests.advice` reads the advice), or other files.
COMMANDS: list[tuple[list[str], list[str] | None]] = [
    (["--unknown"], []),
    (["--experimental-rerun", "x"], ["seed=3"]),
    (["--config-path", "own"], []),
    (["--resolve"], ["--resolve", "--cfg", "job"]),
    (["training.epochs=${nowhere}"], ["training.epochs=${seed}"]),
    (["training.epochs=${oc.env:MNIST_EXP_NOWHERE}"], ["training.epochs=3"]),
    (["~model=cnn"], []),
    (["+optimizer.lr=0.1"], None),
    (["~training.epochs"], ["training.epochs=3"]),
    (["optimizer.epsilon=5e-324"], ["optimizer.epsilon=1.2e-38"]),
    (["training.epochs=1.0"], None),
    (["name=4.0"], None),
    (["sweep.dry_run=true"], None),
    (["hydra/launcher=joblib"], None),
    (["experiment=record"], None),
    (SEARCH, None),
    ([*SEARCH, "optimizer.learning_rate=choice(1e-3,1e-2)", "sweep.until_decided=true"],
     ["-m", "optimizer.learning_rate=1e-3,1e-2", "sweep.until_decided=true"]),
    ([*SEARCH, "hydra.sweeper.sampler=grid", "model.dropout=interval(0.1,0.2)"], None),
    (["-m", "experiment=record,cnn_best"], None),
    (["+model._target_=x"], ["model=mlp"]),
    (["hydra.run.dir=x"], ["runs_dir=x"]),
    (["-m", "~hydra/launcher", "seed=1"], ["-m", "hydra/launcher=basic", "seed=1"]),
    (["-m", "hydra.launcher.name=joblib", "seed=1"], None),
    (
        ["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=${oc.env:HOME}", "seed=1"],
        ["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=1"],
    ),
    (["model=cnn_simple", "model.kernel_sizes=[29]"], ["model=cnn_simple", "model.kernel_sizes=[28]", "model.pool_size=1"]),
    (["name=a;b"], ["name=a-b"]),
    (["model.units=[64,32"], None),
    (["model.units=64 32,"], None),
    (["model=mlp,"], None),
    (["model=cnn", "model.layers[0].filters=3"], None),
    (["model=cnn_larg"], None),
    (["+model=cnn"], None),
    (["++experiment=cnn_best"], None),
    (["model.name=cnn"], None),
    (["+model.units.1=32"], ["model.units=[784,32]"]),
    (["model=cnn", "+model.layers.20.name=flatten"], ["model=cnn", "model.layers.10.name=logits"]),
    (["hydra.sweeper.params.seed=9"], None),
    (["-m", "+hydra.sweeper.params.seed=1,2"], None),
    (["-m", "+hydra.sweeper.params.model.dropout=0.1"], None),
    (["optimzer.lr=0.1"], None),
    (["evaluation={foo:1}"], ["evaluation={tta:1}"]),
    (["tracker.project=x"], ["tracker=wandb", "tracker.project=x"]),
    (["seed@x=3"], ["seed=3"]),
    (
        ["experiment=cnn_best", "optimizer=adam", "~optimizer.weight_decay=3"],
        ["experiment=cnn_best", "optimizer=adam", "~optimizer.weight_decay"],
    ),
    (["+seed=3"], None),
    (["-m", "training.epochs=interval(1,3)"], None),
    ([*SEARCH, "training.epochs=interval(1,3)"], None),
    ([*SEARCH, "model=cnn", "model.layers.0.filters=interval(8,16)"], None),
    ([*SEARCH, "optimizer.learning_rate=interval(1e-1,1e-4)"], None),
    ([*SEARCH, "model.dropout=tag(log,interval(0,0.5))"], [*SEARCH, "model.dropout=tag(log, interval(1e-4,1e-1))"]),
    ([*SEARCH, "seed=1,2", "model.dropout=0,0.1"], None),
    (["-m", "seed=range(0,inf)"], ["-m", "seed=range(1,5)"]),
    (["-m", "seed=range(0,10,0)"], ["-m", "seed=range(0,10,2)"]),
    (["-m", "seed=range(0,1e9)"], ["-m", "seed=range(0,10)"]),
    (["-m", "seed=range(1,1)"], ["-m", "seed=range(3)"]),
    (["training.epochs=glob(*)"], ["-m", "model=glob(cnn*)"]),
    (["-m", "name=a,b"], ["-m", "name=a"]),
    (["seed=range(3)", "training.epochs=2"], None),
    (["model.units=64,32"], None),
    (["training.epochs=interval(1,3)"], None),
    (["model.dropout=tag(log, interval(0.01,0.3))"], None),
    (["seed=interval(1,3)"], ["seed=1"]),
    (["-m", "seed=range(1000)", "training.epochs=range(1,2000)"], ["-m", "seed=range(2)", "training.epochs=range(1,3)"]),
    (["model=cnn_deep", "threads.towers=2"], ["model=cnn_deep", "threads.towers=1"]),
    (["augmentation=flip", "augmentation.shift=28.5"], ["augmentation=flip", "augmentation.shift=28"]),
    (["model=cnn_deep", "training.batch_size=1"], ["model=cnn_deep", "training.batch_size=2"]),
    (["dataset.limit=15", "training.batch_size=5"], None),
    (["dataset.validation=5"], ["dataset.validation=10"]),
    (["dataset.limit=5"], ["dataset.limit=20", "training.batch_size=4"]),
    (["dataset.validation=-1"], ["dataset.validation=0"]),
    (["dataset=npz"], ["dataset=mnist"]),
    (["dataset=npz", "dataset.path=nowhere.npz"], ["dataset=mnist"]),
    ([f"dataset.fingerprint={'0' * 64}"], ["dataset.fingerprint=null"]),
    (["dataset.split=groups"], ["dataset.split=last"]),
    (["dataset=qmnist", "dataset.split=groups", "dataset.split_seed=null"], ["dataset=qmnist", "dataset.split=groups"]),
    (["dataset.limit=100"], ["dataset.limit=100", "training.batch_size=90"]),
    (["dataset.validation=0", "training.select=best"], None),
    (["schedule.warmup_epochs=10"], ["schedule.warmup_epochs=9"]),
    (["tracker=mlflow", "tracker.tracking_uri=http://u:p@h"], ["tracker=mlflow", "tracker.tracking_uri=http://h"]),
    ([*SEARCH, "dataset.validation=0", "model.dropout=0,0.1"], None),
    ([*SEARCH, "hydra.sweeper.pruner=median", "hydra.sweeper.objectives=[train_seconds]", "model.dropout=0,0.1"], None),
    (["initial_weights=nowhere"], ["initial_weights=null"]),
    (["model=cnn_large", "initial_weights=source"], ["model=cnn_simple", "initial_weights=source"]),
    (["initial_weights=source", "model=cnn_simple", "preprocessing=standardize"], None),
    (["initial_weights=source", "model=cnn_simple", f"initial_weights_sha256={'0' * 64}"], None),
    ([f"initial_weights_sha256={'0' * 64}"], ["initial_weights=null", "initial_weights_sha256=null"]),
    (["freeze=[dense_9]"], None),
    (["freeze=[*]"], ["freeze=[dense_1]"]),
    (["device=gpu:7"], ["device=cpu"]),
    (["precision=float16"], None),
    ([f"model.units={'[' * 400}{']' * 400}"], ["model.units=[8]"]),
    ([f"name={'${seed}' * 21}"], ["name=x${seed}"]),
    ([f"{'a' * 300}=1"], []),
]  # fmt: skip
# Arguments, a user's files, and what follows the advice: other arguments, or other files.
DIRECTORIES: list[tuple[list[str], Files, list[str] | Files | None]] = [
    (["--config-dir", "nowhere"], {}, OWN),
    (["--config-name", "/own/mine"], {"mine.yaml": "defaults: [config, _self_]\n"}, [*OWN, "--config-name", "mine"]),
    ([*OWN, "--config-name", "mine"], {"mine.yaml": "- config\n"}, {"mine.yaml": "defaults: [config, _self_]\n"}),
    (
        [*OWN, "model=mine"],
        {"model/mine.yaml": f"defaults: [mlp]\nactivation: {'x ' * 60_000}\n"},
        {"model/mine.yaml": "defaults: [mlp]\nactivation: tanh\n"},
    ),
    ([*OWN, "model=mine"], {"model/mine.yaml": deep(300)}, {"model/mine.yaml": deep(3)}),
    ([*OWN, "model=mine"], {"model/mine.yaml": "name: [mlp\n"}, {"model/mine.yaml": "defaults: [mlp]\n"}),
    ([*OWN, "modle=mine"], {"model/mine.yaml": "defaults: [mlp]\n", "modle/mine.yaml": "defaults: [mlp]\n"}, None),
    ([*OWN, "modle=cnn"], {"modle/mine.yaml": "", "model/mine.yaml": ""}, [*OWN, "model=cnn"]),
    ([*OWN, "model=mine"], {"model/mine.yaml": "defaults: mlp\n"}, {"model/mine.yaml": "defaults: [mlp]\n"}),
    ([*OWN, "model=mine"], {"model/mine.yaml": "defaults: [mpl]\n"}, {"model/mine.yaml": "defaults: [mlp]\n"}),
    ([*OWN, "model=mine"], {"model/mine.yaml": "name: \x00\n"}, {"model/mine.yaml": "defaults: [mlp]\n"}),
    ([*OWN, "experiment=mine"], {"experiment/mine.yaml": "seed: 3\n"}, {"experiment/mine.yaml": f"{GLOBAL}seed: 3\n"}),
    ([*OWN, "model=mine"], {"model/mine.yaml": "units: [8]\n"}, {"model/mine.yaml": "defaults: [cnn]\nname: cnn\n"}),
    ([*OWN, "model=mine"], {"model/mine.yaml": "defaults: [mlp]\nname: my_net\n"}, {"model/mine.yaml": "defaults: [mlp]\n"}),
    ([*OWN, "model=mine"], {"model/mine.yaml": "defaults: [mlp]\n3: 4\n"}, {"model/mine.yaml": "defaults: [mlp]\n"}),
    (
        [*OWN, "dataset=mine", "training.batch_size=8"],
        {"dataset/mine.yaml": own_set(described(train=described()["train"] | {"images": {"path": "x.gz"}}))},
        {"dataset/mine.yaml": own_set(described())},
    ),
    (OWN, {"model/mlp.yaml": "name: mlp\n"}, {"model/mlp.yaml": None, "model/mine.yaml": "name: mlp\n"}),
    (OWN, {"model/mine.yml": "name: mlp\n"}, {"model/mine.yml": None, "model/mine.yaml": "name: mlp\n"}),
    ([*OWN, "model=mine"], {"model/mine.yaml": "defaults: [mlp] # \xff\n"}, {"model/mine.yaml": "defaults: [mlp]\n"}),
    (OWN, {"modle/mine.yaml": ""}, {"modle/mine.yaml": None, "model/mine.yaml": ""}),
    (["--config-dir", "own/model"], {"model/mine.yaml": ""}, OWN),
    ([*OWN, "experiment=mine"], {"experiment/mine.yaml": f"{GLOBAL}sweep: {{dry_run: true}}\n"}, None),
    (
        ["-m", *OWN, "experiment=mine"],
        {"experiment/mine.yaml": f"{GLOBAL}hydra: {{sweeper: {{params: {{model: [mlp, cnn]}}}}}}\n"},
        {"experiment/mine.yaml": f"{GLOBAL}hydra:\n  sweeper:\n    params:\n      model: mlp,cnn\n"},
    ),
    (
        [*OWN, "experiment=mine"],
        {"experiment/mine.yaml": f"{GLOBAL}hydra:\n  sweeper:\n    params:\n      model.dropout: interval(0,0.5)\n"},
        [*OWN, "experiment=mine", "model.dropout=0.0"],
    ),
    (
        [*OWN, "--config-name", "mine"],
        {"mine.yaml": "defaults: [config, _self_]\nhydra: {searchpath: [own]}\n"},
        {"mine.yaml": "defaults: [config, _self_]\n"},
    ),
    (
        [*OWN, "experiment=mine"],
        {"experiment/mine.yaml": f"{GLOBAL}model: {{_target_: x}}\n"},
        {"experiment/mine.yaml": f"{GLOBAL}model: {{dropout: 0.1}}\n"},
    ),
    (
        [*OWN, "experiment=mine"],
        {"experiment/mine.yaml": f"{GLOBAL}hydra: {{run: {{dir: x}}}}\n"},
        {"experiment/mine.yaml": f"{GLOBAL}runs_dir: x\n"},
    ),
]  # fmt: skip


def test_every_advice_is_followed_and_solves_its_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "gpu_count", lambda: 0)
    shared_composer.cache_clear()  # it remembers problems
    made = record_problems(monkeypatch)
    write_weights(make_run(tmp_path / "source", 100, "model=cnn_simple"))
    followed: set[Site] = set()
    for arguments, files, advised in [*((given, {}, advised) for given, advised in COMMANDS), *DIRECTORIES]:
        directory = tmp_path / "case"
        directory.mkdir()
        (directory / "source").symlink_to(tmp_path / "source")
        monkeypatch.chdir(directory)
        write(files or {"model/mine.yaml": "defaults: [mlp]\n"})
        found = found_problems(arguments)
        assert found, arguments
        if advised is None:
            assert advice.solve(arguments, found), found
        else:
            write({} if isinstance(advised, list) else advised)
            assert found_problems(advised if isinstance(advised, list) else arguments) == [], (arguments, found)
        followed |= {made[problem] for problem in found}
        shutil.rmtree(directory)
    assert [site for site in problem_sites() if not any((site[0], line) in followed for line in site[1])] == []


def write(files: Files) -> None:
    """Write files into the directory of a user, or remove them."""
    for name, content in files.items():
        path = Path("own") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.unlink()
        else:
            path.write_text(content, encoding="latin-1")


def found_problems(arguments: Sequence[str]) -> list[Problem]:
    """Check a command line; a wrong flag is a problem too."""
    try:
        return advice.remaining(arguments)
    except InputError as error:
        return [Problem("", error.cause, error.remedy)]


def record_problems(monkeypatch: pytest.MonkeyPatch) -> dict[Problem, Site]:
    """Return a dictionary into which each problem is written, with the line that made it."""
    made: dict[Problem, Site] = {}
    for kind in (errors.Problem, errors.UserError):
        original = kind.__init__

        @functools.wraps(original)
        def record(self: object, *values: object, original: object = original) -> None:
            original(self, *values)  # type: ignore[operator]
            frame = inspect.currentframe()
            frame = frame.f_back if frame else None
            if frame and frame.f_code is problems.not_allowed.__code__:
                frame = frame.f_back
            problem = self if isinstance(self, Problem) else Problem("", *map(str, values))
            if frame and "test_advice" not in frame.f_code.co_filename:
                made.setdefault(problem, (Path(frame.f_code.co_filename).name, frame.f_lineno))

        monkeypatch.setattr(kind, "__init__", record)
    return made


def problem_sites() -> list[tuple[str, range]]:
    """Return all places in `mnist_exp.config` that make a problem: a file, and its lines."""
    sites = []
    for path in sorted(Path(inspect.getfile(config)).parent.glob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in PROBLEMS:
                sites.append((path.name, range(call.lineno, (call.end_lineno or call.lineno) + 1)))
    inside = problems.not_allowed.__code__.co_firstlineno
    return [site for site in sites if site[0] != "problems.py" or site[1].start not in (inside + 1, inside + 2)]
