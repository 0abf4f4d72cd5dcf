"""Searches with Optuna with the real command."""

import json
import shutil
import subprocess
from pathlib import Path

import optuna
import pytest
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from tests.conftest import TINY, Command
from tests.end_to_end.conftest import Once
from tests.end_to_end.sweeps import statuses, sweep_of, until, workers
from tests.forks import Forks

RATE = "optimizer.learning_rate=tag(log, interval(1e-4,1e-1))"
SEARCH = ("-m", "hydra/sweeper=optuna", *TINY, RATE)


def study_of(sweep: Path) -> optuna.Study:
    storage = JournalStorage(JournalFileBackend(str(sweep / "study.journal")))
    return optuna.load_study(study_name="sweep", storage=storage)


def errors_of(sweep: Path) -> dict[str, float]:
    """The validation error of every completed job."""
    return {
        path.parent.name: json.loads(path.read_text())["validation"]["error_percent"]
        for path in sorted(sweep.glob("*/summary.json"))
    }


def test_trials_have_the_results_of_their_jobs(command: Command, tmp_path: Path) -> None:
    more = (
        "hydra.sweeper.n_trials=4",
        "hydra.sweeper.n_startup_trials=2",
        "hydra.sweeper.objectives=[validation.error_percent,model.parameters]",
    )
    done = command(*SEARCH, "model.units=choice([8],[16])", *more)
    assert done.returncode == 0, done.stderr
    sweep = sweep_of(tmp_path)
    study = study_of(sweep)
    jobs = yaml.safe_load((sweep / "sweep.yaml").read_text())["jobs"]
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 4
    for trial in study.trials:
        job = jobs[trial.user_attrs["job"] - 1]
        assert f"optimizer.learning_rate={trial.params['optimizer.learning_rate']!r}" in job["overrides"]
        summary = json.loads((sweep / job["directory"] / "summary.json").read_text())
        assert trial.values == [summary["validation"]["error_percent"], summary["model"]["parameters"]]
    assert f"{len(jobs)} of {len(jobs)} jobs completed" in done.stdout

    refused = command("resume", str(sweep), "model.units=choice([8],[32])")
    assert (refused.returncode, "a search keeps its settings" in refused.stderr) == (2, True)


def test_resume_continues_a_killed_search(command: Command, forks: Forks, tmp_path: Path) -> None:
    arguments = (*SEARCH, "hydra.sweeper.n_trials=4", "hydra/launcher=joblib")
    process = forks.start(*arguments, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: list(tmp_path.glob("runs/*/*/summary.json")))
    process.kill()
    process.wait()
    sweep = sweep_of(tmp_path)
    finished = {path: path.stat().st_mtime_ns for path in sweep.glob("*/summary.json")}
    done = command("resume", str(sweep), "hydra.sweeper.n_trials=5")
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    trials = study_of(sweep).trials
    assert [trial.state for trial in trials if trial.state != TrialState.FAIL] == [TrialState.COMPLETE] * len(
        errors_of(sweep)
    )
    assert len(trials) == 5
    assert workers(tmp_path) == []


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_bad_trials_are_pruned(pruner: str, command: Command, tmp_path: Path) -> None:
    """A learning rate with which nothing is learnt, and one that works."""
    choices = "optimizer.learning_rate=choice(1e-2,1e-7)"
    sampling = ("hydra.sweeper.sampler=grid", f"hydra.sweeper.pruner={pruner}", "hydra.sweeper.n_startup_trials=2")
    length = ("training.epochs=60", "dataset.limit=2000")
    done = command("-m", "hydra/sweeper=optuna", *TINY, *length, choices, "dataset.split_seed=range(4)", *sampling)
    assert done.returncode == 0, done.stderr
    sweep = sweep_of(tmp_path)
    ended = statuses(sweep)
    assert len(ended) == len(study_of(sweep).trials) == 8  # each combination once, although 30 trials are allowed
    assert set(ended.values()) == {"completed", "pruned"}
    pruned = [name for name, status in ended.items() if status == "pruned"]
    assert f"{len(pruned)} pruned" in done.stdout
    assert all(pruner in json.loads((sweep / name / "status.json").read_text())["cause"] for name in pruned)
    states = [trial.state for trial in study_of(sweep).trials]
    assert states.count(TrialState.PRUNED) == len(pruned)
    assert sum("1e-07" in name for name in pruned) >= len(pruned) / 2


def test_a_dry_run_prints_the_search_space(command: Command, tmp_path: Path) -> None:
    done = command(*SEARCH, "sweep.dry_run=true")
    assert done.returncode == 0, done.stderr
    assert "optimizer.learning_rate: 0.0001 to 0.1, logarithmic" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def searched(once: Once, forks: Forks) -> Path:
    """A search of one trial."""
    arguments = (*SEARCH, "hydra.sweeper.n_trials=1", "training.epochs=1")
    return sweep_of(once("searched", lambda place: forks.run(*arguments, cwd=place).check_returncode()))


@pytest.mark.parametrize("damage", ["not JSON", ""])
def test_a_damaged_journal_is_an_error(damage: str, command: Command, tmp_path: Path, searched: Path) -> None:
    sweep = shutil.copytree(searched, tmp_path / searched.name)
    journal = sweep / "study.journal"
    if damage:
        lines = journal.read_text().splitlines()
        journal.write_text("\n".join([lines[0], damage, *lines[1:]]) + "\n")
    else:
        journal.unlink()
    refused = command("resume", str(sweep), "hydra.sweeper.n_trials=2")
    assert refused.returncode == 3, refused.stderr
    assert "study.journal" in refused.stderr
