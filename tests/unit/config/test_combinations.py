"""The combinations of a sweep: their order, and that each is composed as if it were alone."""

import itertools

import pytest

from mnist_exp.config.command_line import parse_arguments
from mnist_exp.config.composition import Composition
from mnist_exp.config.search_space import Combination
from mnist_exp.errors import ConfigError
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
