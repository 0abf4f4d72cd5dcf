"""The combinations of a sweep: their order, and that each is composed as if it were alone."""

import itertools
from pathlib import Path

import pytest

from mnist_exp.config.command_line import parse_arguments
from mnist_exp.config.composition import Composition
from mnist_exp.config.search_space import Combination
from mnist_exp.errors import ConfigError
from tests import advice
from tests.conftest import compose


def combinations(*overrides: str) -> list[Combination]:
    return Composition(parse_arguments(["-m", *overrides])).combinations()


def test_the_order_is_that_of_itertools_product() -> None:
    found = combinations("model=mlp,cnn_simple", "optimizer.learning_rate=0.1,0.01", "seed=range(2)")
    expected = itertools.product(["model=mlp", "model=cnn_simple"], ["0.1", "0.01"], ["0", "1"])
    assert [combination.swept for combination in found] == [
        (model, f"optimizer.learning_rate={rate}", f"seed={seed}") for model, rate, seed in expected
    ]


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=mlp,cnn_simple", "model.dropout=0,0.1", "seed=1,2", "name=x"],
        ["model.units=[8],[16,4],[2,2,2]", "++training.epochs=3", "seed=1,2"],
        ["evaluation={tta:1},{tta:2}", "seed=1,2"],
        ["model.dropout=0.3", "optimizer.learning_rate=${model.dropout},0.1", "seed=1,2"],
        ["model=cnn", "model.layers.0.filters=8,4", "model.layers.1.name=activation,dropout", "model.dropout=0.1,0.2"],
        ["optimizer=sgd,adam", "training.epochs=1,2", "training.epochs=3,4"],
        # Settings that the default option does not have
        ["optimizer=sgd,rmsprop", "optimizer.momentum=0.9"],
        ["model=cnn_simple,cnn_large", "model.pool_size=2"],
        ["schedule=cosine,one_cycle", "schedule.final_fraction=0.1"],
        ["augmentation=affine,elastic", "augmentation.rotation=5"],
    ],
    ids=str,
)
def test_each_combination_is_composed_as_if_it_were_alone(overrides: list[str]) -> None:
    for combination in combinations(*overrides):
        assert combination.experiment == compose(*combination.overrides)


def test_problems_of_the_launcher_and_of_the_jobs_are_reported_together() -> None:
    composition = Composition(parse_arguments(["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=0", "seed=1,-1"]))
    with pytest.raises(ConfigError) as caught:
        _ = composition.hydra_settings
    assert [problem.key for problem in caught.value.problems] == ["hydra.launcher.n_jobs", "seed"]


def test_problems_of_a_search_and_of_its_trials_are_reported_together() -> None:
    search = ["-m", "hydra/sweeper=optuna", "hydra.sweeper.sampler=foo", "model.dropout=interval(0,1)"]
    with pytest.raises(ConfigError) as caught:
        _ = Composition(parse_arguments([*search, "model=xx", "seed=-1"])).hydra_settings
    keys = ["hydra.sweeper.sampler", "model", "seed", "model.dropout"]
    assert [problem.key for problem in caught.value.problems] == keys


@pytest.mark.parametrize(
    ("overrides", "cause"),
    [
        (["seed=range(0,10,0)"], "seed=range(0,10,0): a step of 0"),
        (["seed=int(range(0.1,0.5,0.1))"], "seed=int(range(0.1,0.5,0.1)): a step of 0"),
        (["seed=range(0,nan)"], "seed=range(0,nan): infinite, or not a number"),
        (["model.dropout=range(0.1,1,nan)"], "model.dropout=range(0.1,1,nan): infinite, or not a number"),
        (["seed=range(0,inf)"], "seed=range(0,inf): infinite, or not a number"),
        (["seed=range(0,1e30)"], "seed=range(0,1e30): 1e+30 values"),
        (["model.dropout=range(0.1,1,1e-300)"], "model.dropout=range(0.1,1,1e-300): 9e+299 values"),
        (["seed=range(1000)", "training.epochs=range(1,2001)"], "seed=range(1000) training.epochs=range(1,2001): 2,000,000"),
        (["seed=range(1,9,-1)"], "seed=range(1,9,-1): contains no value"),
        (["seed=int(range(0,inf))"], "seed=int(range(0,inf)): not a valid override"),
    ],
    ids=str,
)  # fmt: skip
def test_ranges_are_checked_before_they_are_listed(overrides: list[str], cause: str) -> None:
    with pytest.raises(ConfigError) as caught:
        combinations(*overrides)
    assert [problem.cause[: len(cause)] for problem in caught.value.problems] == [cause]


def test_ranges_contain_what_the_manual_says() -> None:
    rates = [each.experiment.optimizer.learning_rate for each in combinations("optimizer.learning_rate=range(0.5,2,0.5)")]
    assert rates == [0.5, 1.0, 1.5]
    assert [each.experiment.seed for each in combinations("seed=range(6,0,-3)")] == [6, 3]


@pytest.fixture
def own_recipes(tmp_path: Path) -> str:
    """A directory with recipes: a launcher, a list in `params`, and text in `params`."""
    (tmp_path / "experiment").mkdir()
    for name, part in {
        "launcher": "launcher:\n    name: joblib\n    n_jobs: 2",
        "list": "sweeper:\n    params:\n      model: [mlp, cnn_simple]",
        "text": "sweeper:\n    params:\n      model: mlp,cnn_simple\n      model.dropout: 1e-3",
    }.items():
        (tmp_path / "experiment" / f"{name}.yaml").write_text(f"# @package _global_\nhydra:\n  {part}\n")
    return f"--config-dir={tmp_path}"


@pytest.mark.parametrize("refused", ["record", "launcher", "text"])
def test_a_sweep_over_recipes_with_sweeps_or_launchers_is_refused(own_recipes: str, refused: str) -> None:
    arguments = ["-m", own_recipes, f"experiment=cnn_best,{refused}"]
    found = advice.remaining(arguments)
    assert [problem.cause.partition(":")[0] for problem in found] == [f"experiment={refused}"]
    assert f"-m {own_recipes} experiment={refused}" in found[0].remedy
    assert advice.solve(arguments, found) == 1


def test_recipes_with_a_sweep_whose_values_the_command_gives_can_be_swept() -> None:
    assert len(combinations("experiment=record,cnn_best", "model=cnn_5x5", "seed=1,2")) == 4


@pytest.mark.parametrize("flags", [[], ["-m"]], ids=["single", "sweep"])
def test_the_values_of_a_configured_sweep_are_text(own_recipes: str, flags: list[str]) -> None:
    (problem,) = advice.remaining([*flags, own_recipes, "experiment=list"])
    assert problem.cause == "hydra.sweeper.params.model=[mlp,cnn_simple]: not allowed"
    assert problem.remedy.endswith("model: mlp,cnn_simple")  # the recipe "text"
    assert len(combinations(own_recipes, "experiment=text")) == 2
