"""The search space in Hydra's grammar, and what a search refuses."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from mnist_exp.commands.sweep import resume
from mnist_exp.config.command_line import parse_arguments
from mnist_exp.config.composition import Composition
from mnist_exp.config.hydra_settings import OptunaSweeperConfig
from mnist_exp.config.search_space import SearchSpace
from mnist_exp.errors import ConfigError, InputError
from mnist_exp.run.status import read_record, write_status
from mnist_exp.sweep import plan, sampling
from mnist_exp.sweep.plan import Plan, Sweep
from mnist_exp.sweep.search import RETRY, Search

RATE = "optimizer.learning_rate=tag(log, interval(1e-4,1e-1))"


def space(*overrides: str) -> tuple[SearchSpace, OptunaSweeperConfig]:
    composition = Composition(parse_arguments(["-m", "hydra/sweeper=optuna", *overrides]))
    settings = composition.hydra_settings.sweeper
    assert isinstance(settings, OptunaSweeperConfig)
    return composition.space(settings), settings


def causes(*overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        space(*overrides)
    return [f"{problem.cause} | {problem.remedy}" for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("override", "expected", "ends"),
    [
        (RATE, FloatDistribution(1e-4, 1e-1, log=True), ("0.0001", "0.1")),
        ("model.dropout=interval(0,0.5)", FloatDistribution(0, 0.5), ("0.0", "0.5")),
        ("training.epochs=int(interval(1,8))", IntDistribution(1, 8), ("1", "8")),
        ("training.batch_size=tag(log, int(interval(16,256)))", IntDistribution(16, 256, log=True), ("16", "256")),
        ("training.batch_size=range(32,257,32)", IntDistribution(32, 256, step=32), ("32", "256")),
        ("model.dropout=range(0.1,0.5,0.1)", FloatDistribution(0.1, 0.4, step=0.1), ("0.1", "0.4")),
        ("model.units=choice([64],[128,64])", CategoricalDistribution(("[64]", "[128,64]")), None),
        ("model=mlp,cnn_simple", CategoricalDistribution(("mlp", "cnn_simple")), None),
    ],
)
def test_overrides_define_the_search_space(override: str, expected: object, ends: tuple[str, str] | None) -> None:
    (parameter,) = space(override)[0].parameters
    assert sampling.distribution(parameter) == expected
    if ends is not None:
        assert parameter.values == ends  # type: ignore[union-attr]


def test_other_overrides_are_the_same_for_all_trials() -> None:
    found, _ = space(RATE, "seed=3", "model=cnn_simple")
    point = found.combination(["0.01"])
    assert (point.experiment.seed, point.experiment.model.name, point.experiment.optimizer.learning_rate) == (
        3, "cnn_simple", 0.01,
    )  # fmt: skip
    assert point.swept == ("optimizer.learning_rate=0.01",)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([RATE, "hydra.sweeper.objectives=[test.error_percent]"], "a search must not use the test images"),
        ([RATE, "dataset.validation=0"], "there are no validation images to search by"),
        ([RATE, "hydra.sweeper.sampler=grid"], "cannot try every value of an interval"),
        ([RATE, "hydra.sweeper.sampler=tpee"], "tpe, random, gp, cmaes, grid, qmc; did you mean tpe?"),
        ([RATE, "seed=1,2"], "a search compares settings at one seed"),
        ([], "nothing to search"),
        (["optimizer.learning_rate=interval(0,1)"], "optimizer.learning_rate=0: not allowed"),
        (["model.units=choice([64],[0])"], "model.units.0=0: not allowed"),
        (["training.batch_size=interval(16,512)"], "write training.batch_size=int(interval(16,512))"),
        (["training.epochs=tag(log, interval(1,8))", RATE], "write training.epochs=tag(log, int(interval(1,8)))"),
        (["training.epochs=int(interval(0,8))"], "training.epochs=0: not allowed"),
        (["training.epochs=choice(0,8)"], "training.epochs=0: not allowed"),
        ([RATE, "hydra.sweeper.pruner=median", "hydra.sweeper.objectives=[model.parameters]"], "pruning needs"),
    ],
)
def test_invalid_searches_are_refused_before_they_start(overrides: Sequence[str], expected: str) -> None:
    assert any(expected in cause for cause in causes(*overrides))


@pytest.mark.parametrize("name", ["tpe", "random", "gp", "cmaes", "grid", "qmc"])
def test_every_sampler_exists_in_optuna(name: str) -> None:
    if name == "gp":
        pytest.importorskip("torch", reason="sampler=gp is not tested: torch is not installed")
    _, settings = space("model.units=choice([16],[32])", f"hydra.sweeper.sampler={name}")
    sampler = type(sampling.sampler(settings, 0)).__name__
    assert sampler.lower().startswith("random" if name == "grid" else name)  # the trials of a grid wait in the study


def test_an_interval_needs_a_search() -> None:
    with pytest.raises(ConfigError, match="hydra/sweeper=optuna"):
        Composition(parse_arguments(["-m", RATE])).combinations()


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.batch_size=choice(16,32)", "a search keeps its settings"),
        ("seed=9", "a search keeps its settings"),
        ("+hydra.sweeper.params.seed=9", "a search keeps its settings"),
        ("hydra.sweeper.objectives=[model.parameters]", "other parameters or objectives"),
    ],
)
def test_a_refused_override_does_not_change_a_search(override: str, expected: str, tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    fields = {"created": "2026-11-22T07:40:12+00:00", "version": "1", "config_dir": None, "config_name": None}
    overrides = ("hydra/sweeper=optuna", RATE, "hydra.sweeper.n_trials=1")
    plan.write(sweep, Plan(layout=1, overrides=overrides, extensions=(), jobs=(), **fields))
    Search(sweep, *space(*overrides[1:]), retry_failed=False)
    before = sweep.plan.read_bytes()
    with pytest.raises(InputError, match=expected):
        resume(tmp_path, [override], retry_failed=False)
    assert sweep.plan.read_bytes() == before


def test_the_overrides_of_a_search_are_stored_when_its_study_accepts_them(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    fields = {"created": "2026-11-22T07:40:12+00:00", "version": "1", "config_dir": None, "config_name": None}
    plan.write(sweep, Plan(layout=1, overrides=(RATE,), extensions=(), jobs=(), **fields))
    Search(sweep, *space(RATE, "hydra.sweeper.n_trials=3"), retry_failed=False)
    assert plan.read(sweep).overrides == ("hydra/sweeper=optuna", RATE, "hydra.sweeper.n_trials=3")


def test_a_repetition_that_an_earlier_version_left_waiting_is_trained(tmp_path: Path) -> None:
    """All trials of the search are drawn."""
    sweep = Sweep(tmp_path)
    fields = {"created": "2026-11-22T07:40:12+00:00", "version": "1", "config_dir": None, "config_name": None}
    plan.write(sweep, Plan(layout=1, overrides=(), extensions=(), jobs=(), **fields))
    found, settings = space(RATE, "hydra.sweeper.n_trials=1")
    first = Search(sweep, found, settings, retry_failed=False)
    taken = first.take()
    assert taken is not None
    run = sweep.run(taken[0])
    run.directory.mkdir()
    write_status(run, "failed", 1, "cause", "remedy")
    first.finish(taken[0], read_record(run.directory))
    assert first.take() is None

    study = first._study
    study.enqueue_trial(study.get_trials()[0].params, user_attrs={RETRY: True})
    second = Search(sweep, found, settings, retry_failed=False)
    assert second.total - len(second.finished) == 1
    again = second.take()
    assert again is not None
    assert again[0] == taken[0]
    assert second.take() is None
    assert [trial.state for trial in study.get_trials()] == [TrialState.FAIL, TrialState.RUNNING]
