"""The search space in Hydra's grammar, and what a search refuses."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from mnist_exp.commands import resume_sweep
from mnist_exp.commands.results import finish_sweep, print_sweep
from mnist_exp.config.command_line import parse_arguments
from mnist_exp.config.composition import Composition
from mnist_exp.config.hydra_settings import OptunaSweeperConfig
from mnist_exp.config.search_space import SearchSpace
from mnist_exp.errors import ConfigError, InputError
from mnist_exp.runs.outcome import prepare_run
from mnist_exp.runs.status import Record, read_record, write_status
from mnist_exp.sweep import plan, sampling
from mnist_exp.sweep.plan import Job, Sweep
from mnist_exp.sweep.search import RETRY, Search
from tests import advice
from tests.unit.run_directories import complete_run, plan_of

RATE = "optimizer.learning_rate=tag(log, interval(1e-4,1e-1))"


def space(*overrides: str) -> tuple[SearchSpace, OptunaSweeperConfig]:
    composition = Composition(parse_arguments(["-m", "hydra/sweeper=optuna", *overrides]))
    settings = composition.hydra_settings.sweeper
    assert isinstance(settings, OptunaSweeperConfig)
    return composition.space(settings), settings


def causes(*overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        space(*overrides)
    advice.solve(["-m", "hydra/sweeper=optuna", *overrides], caught.value.problems)
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
        ("training.batch_size=range(64,16,-16)", IntDistribution(32, 64, step=16), ("32", "64")),
        ("training.batch_size=shuffle(range(16,64,16))", IntDistribution(16, 48, step=16), ("16", "48")),
        ("training.batch_size=sort(range(16,64,16),reverse=true)", IntDistribution(16, 48, step=16), ("16", "48")),
        ("model.dropout=choice(0.1,0.1)", CategoricalDistribution(("0.1",)), None),
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
        (["optimizer.learning_rate=interval(0,1)"], "optimizer.learning_rate=0.0: not allowed"),
        (["model.units=choice([64],[0])"], "model.units.0=0: not allowed"),
        (["training.batch_size=interval(16,512)"], "write 'training.batch_size=int(interval(16,512))'"),
        (["training.epochs=tag(log, interval(1,8))", RATE], "write 'training.epochs=tag(log, int(interval(1,8)))'"),
        (["training.batch_size=interval(16.5,64)"], "write 'training.batch_size=int(interval(17,64))'"),
        (["optimizer.learning_rate=interval(1e-1,1e-4)"], "write 'optimizer.learning_rate=interval(0.0001,0.1)'"),
        (["training.batch_size=tag(log, int(interval(64,16)))"], "tag(log, int(interval(16,64)))'"),
        (["optimizer.learning_rate=tag(log, interval(0,0.1))"], "a logarithm needs numbers above 0"),
        (["training.batch_size=tag(log, range(0,64,8))"], "a logarithm needs numbers above 0"),
        (["model.dropout=interval(nan,0.5)"], "infinite, or not a number"),
        (["model.dropout=interval(0,inf)"], "infinite, or not a number"),
        (["training.epochs=range(1,1e9)"], "1e+09 values"),
        (["experiment=record,cnn_best", RATE], "experiment=record: sets the launcher or a sweep of its own"),
        (["training.epochs=int(interval(0,8))"], "training.epochs=0: not allowed"),
        (["training.epochs=choice(0,8)"], "training.epochs=0: not allowed"),
        ([RATE, "hydra.sweeper.pruner=median", "hydra.sweeper.objectives=[model.parameters]"], "pruning needs"),
    ],
)
def test_invalid_searches_are_refused_before_they_start(overrides: Sequence[str], expected: str) -> None:
    assert any(expected in cause for cause in causes(*overrides))


NUMBERS = st.sampled_from(["0", "1", "-1", "2", "64", "0.1", "0.5", "1e-4", "1e-300", "1e30", "nan", "inf", "-inf", "3.5"])


@given(
    st.sampled_from(["interval({},{})", "range({},{})", "range({},{},{})", "int(interval({},{}))", "int(range({},{},{}))"]),
    st.sampled_from(["{}", "tag(log, {})"]),
    st.lists(NUMBERS, min_size=3, max_size=3),
)
@settings(max_examples=200, derandomize=True)
def test_optuna_accepts_every_space_that_is_accepted(form: str, tag: str, numbers: Sequence[str]) -> None:
    line = "optimizer.learning_rate=" + tag.format(form.format(*numbers))
    try:
        found = advice.compositions(parse_arguments(["-m", "hydra/sweeper=optuna", line])).space()
    except ConfigError:
        return
    (parameter,) = found.parameters
    assert sampling.domain(sampling.distribution(parameter))


def test_settings_of_a_searched_option_are_checked_with_each_option() -> None:
    found, _ = space("optimizer=sgd,rmsprop", "optimizer.momentum=interval(0.1,0.9)")
    for name in ("sgd", "rmsprop"):
        optimizer = found.combination([name, "0.5"]).experiment.optimizer
        assert (optimizer.name, getattr(optimizer, "momentum", None)) == (name, 0.5)


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("hydra.sweeper.n_trial=5", "did you mean hydra.sweeper.n_trials?"),
        ("hydra.launcher.n_jobs=2", "it belongs to hydra/launcher=joblib: choose"),
    ],
)
def test_a_wrong_key_is_named_where_the_search_has_an_interval(line: str, remedy: str) -> None:
    (found,) = causes(RATE, line)
    assert found.startswith(f"{line}: unknown key | ")
    assert remedy in found


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


def write_plan(sweep: Sweep, *overrides: str) -> None:
    """Write the plan of a search that has no trials."""
    plan.write(sweep, plan_of((), *overrides))


@pytest.mark.parametrize("retry_failed", [False, True])
def test_resume_hands_on_whether_failed_trials_are_repeated(
    retry_failed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plan(Sweep(tmp_path), "hydra/sweeper=optuna", RATE)
    monkeypatch.setattr(resume_sweep, "search", lambda *arguments: arguments[-1])
    assert resume_sweep.resume(tmp_path, [], retry_failed) is retry_failed


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
    write_plan(sweep, "hydra/sweeper=optuna", RATE, "hydra.sweeper.n_trials=1")
    Search(sweep, *space(RATE, "hydra.sweeper.n_trials=1"), retry_failed=False)
    before = sweep.plan.read_bytes()
    with pytest.raises(InputError, match=expected):
        resume_sweep.resume(tmp_path, [override], retry_failed=False)
    assert sweep.plan.read_bytes() == before


def test_the_overrides_of_a_search_are_stored_when_its_study_accepts_them(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    write_plan(sweep, RATE)
    Search(sweep, *space(RATE, "hydra.sweeper.n_trials=3"), retry_failed=False)
    assert plan.read(sweep).overrides == ("hydra/sweeper=optuna", RATE, "hydra.sweeper.n_trials=3")


def test_a_repetition_that_an_earlier_version_left_waiting_is_trained(tmp_path: Path) -> None:
    """All trials of the search are drawn."""
    sweep = Sweep(tmp_path)
    found, settings = new_search(sweep, 1)
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


def new_search(sweep: Sweep, trials: int) -> tuple[SearchSpace, OptunaSweeperConfig]:
    """Write the plan of a search, and return its space and settings."""
    write_plan(sweep)
    return space(RATE, f"hydra.sweeper.n_trials={trials}")


def train(sweep: Sweep, search: Search) -> int:
    """Complete the remaining jobs of a search; return their number."""
    count = 0
    while (taken := search.take()) is not None:
        job, experiment = taken
        run = sweep.run(job)
        run.directory.mkdir(exist_ok=True)
        prepare_run(experiment, run, job.overrides, "waiting")
        complete_run(run, validation_errors=100)
        search.finish(job, read_record(run.directory))
        count += 1
    return count


def states(search: Search) -> list[TrialState]:
    return [trial.state for trial in search._study.get_trials(deepcopy=False)]


def test_a_journal_that_was_cut_anywhere_is_continued(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In each line of a trial (start, parameter, job, result): before it, after a byte, in its middle and before its end."""
    sweep = Sweep(tmp_path)
    found, settings = new_search(sweep, 2)
    assert train(sweep, Search(sweep, found, settings, retry_failed=False)) == 2
    content = sweep.study.read_bytes()
    lines = content.splitlines(keepends=True)
    second = [b'"op_code":4' in line for line in lines].index(True, 4)
    assert len(lines) - second >= 4
    starts = list(itertools.accumulate(map(len, lines), initial=0))
    lengths = [(low, low + 1, (low + high) // 2, high - 1) for low, high in itertools.pairwise(starts[second:])]
    for length in (*itertools.chain(*lengths), len(content)):
        sweep.study.write_bytes(content[:length])
        search = Search(sweep, found, settings, retry_failed=False)
        train(sweep, search)
        assert states(search).count(TrialState.COMPLETE) == 2, content[:length]
        assert sweep.study.read_bytes().endswith(b"\n")
        incomplete = content[:length].rpartition(b"\n")[2]
        assert ("last line is incomplete" in capsys.readouterr().err) == bool(incomplete)
    assert Search(sweep, found, settings, retry_failed=False).take() is None


def test_a_journal_of_one_incomplete_line_is_started_again(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    found, settings = new_search(sweep, 1)
    sweep.study.write_bytes(b'{"op_code":0,"worker_')
    assert train(sweep, Search(sweep, found, settings, retry_failed=False)) == 1


@pytest.mark.parametrize("replacement", [None, b"", b"{"])
def test_a_journal_that_was_removed_during_the_search_is_written_again(
    replacement: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = Sweep(tmp_path)
    found, settings = new_search(sweep, 3)
    search = Search(sweep, found, settings, retry_failed=False)
    taken = search.take()
    assert taken is not None
    before = sweep.study.read_bytes()
    sweep.study.unlink()
    if replacement is not None:
        sweep.study.write_bytes(replacement)
    run = sweep.run(taken[0])
    run.directory.mkdir()
    prepare_run(taken[1], run, taken[0].overrides, "waiting")
    complete_run(run, validation_errors=100)
    search.finish(taken[0], read_record(run.directory))
    assert "was removed or replaced; it is written again" in capsys.readouterr().err
    assert sweep.study.read_bytes().startswith(before)
    assert train(sweep, search) == 2
    assert capsys.readouterr().err == ""
    assert states(Search(sweep, found, settings, retry_failed=False)) == [TrialState.COMPLETE] * 3


def search_with_a_job(sweep: Sweep) -> tuple[SearchSpace, OptunaSweeperConfig, Search, Job]:
    """Start a search of one trial, whose job has an empty directory."""
    found, settings = new_search(sweep, 1)
    search = Search(sweep, found, settings, retry_failed=False)
    taken = search.take()
    assert taken is not None
    sweep.run(taken[0]).directory.mkdir()
    return found, settings, search, taken[0]


def test_a_trial_whose_outcome_could_not_be_written_is_continued_by_a_plain_resume(tmp_path: Path) -> None:
    """The disk was full: the study has a failure, and the status says "running" without a process."""
    sweep = Sweep(tmp_path)
    found, settings, first, job = search_with_a_job(sweep)
    run = sweep.run(job)
    write_status(run, "running")
    run.lock.touch()
    first.finish(job, Record(run.directory, "failed", "No space left on device", None, None))
    assert states(first) == [TrialState.FAIL]
    for _ in range(2):  # interrupted again: no second repetition
        again = Search(sweep, found, settings, retry_failed=False)
        assert again.total - len(again.finished) == 1
        assert states(again) == [TrialState.FAIL, TrialState.RUNNING]
    assert train(sweep, again) == 1
    assert states(again) == [TrialState.FAIL, TrialState.COMPLETE]
    last = Search(sweep, found, settings, retry_failed=False)
    assert (last.take(), last.total - len(last.finished)) == (None, 0)


def test_a_failed_trial_is_not_repeated_by_a_plain_resume(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    found, settings, first, job = search_with_a_job(sweep)
    run = sweep.run(job)
    write_status(run, "failed", 1, "cause", "remedy")
    first.finish(job, read_record(run.directory))
    assert Search(sweep, found, settings, retry_failed=False).take() is None
    assert train(sweep, Search(sweep, found, settings, retry_failed=True)) == 1
    assert Search(sweep, found, settings, retry_failed=True).take() is None  # a completed trial is never repeated


def test_a_trial_that_the_machine_failed_is_repeated_by_a_plain_resume(tmp_path: Path) -> None:
    """The disk was full, but the status could be written."""
    sweep = Sweep(tmp_path)
    found, settings, first, job = search_with_a_job(sweep)
    run = sweep.run(job)
    write_status(run, "failed", 5, "No space left on device", "free some space")
    first.finish(job, read_record(run.directory))
    again = Search(sweep, found, settings, retry_failed=False)
    assert (again.total, again.finished) == (1, {})
    assert train(sweep, again) == 1
    assert states(again) == [TrialState.FAIL, TrialState.COMPLETE]


def test_a_plan_that_was_removed_during_the_sweep_is_written_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = Sweep(tmp_path)
    found, settings = new_search(sweep, 1)
    search = Search(sweep, found, settings, retry_failed=False)
    train(sweep, search)
    before = sweep.plan.read_bytes()
    sweep.plan.unlink()
    assert finish_sweep(sweep, search.plan, search.total, interrupted=True) == 0
    assert sweep.plan.read_bytes() == before
    capsys.readouterr()
    assert print_sweep(sweep) == 0
    assert capsys.readouterr().out.endswith(f"{tmp_path}: 1 job completed\n")  # more trials may be drawn
