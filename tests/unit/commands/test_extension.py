"""`mnist-exp resume RUN training.epochs=N`: which runs can be trained longer, and what the new run begins with."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from mnist_exp import cli
from mnist_exp.commands import extension, one_run
from mnist_exp.config.identity import config_hash, identity
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import EnvironmentFailure
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs import lineage
from mnist_exp.runs.history import Epoch
from mnist_exp.runs.lineage import InitialWeights, Lineage
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import write_status
from mnist_exp.training import checkpoints
from mnist_exp.training.checkpoints import Checkpoint
from tests.conftest import compose
from tests.unit.run_directories import make_run

SMALL = ("model.units=[8]", "training.epochs=3")
UNITS = "'model.units=[8]'"  # as an argument in a shell
STATE = {"position": np.array([3, 0]), "sums": np.zeros(4)}


@pytest.fixture(autouse=True)
def _nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_run, "train", lambda *_: 0)


def completed(*overrides: str, last_error: float = 1.0) -> Run:
    """A completed run of three epochs with a checkpoint after each of its last two."""
    run = Run(make_run(Path("runs/a"), 100, *SMALL, *overrides))
    run.overrides.write_text(yaml.safe_dump([*SMALL, *overrides]))
    known = identity(compose(*SMALL, *overrides))
    history = [Epoch(epoch, 0.001, 1.0, 9.0, 1.0, 9.0 if epoch < 3 else last_error, 1.0, 1.0) for epoch in (1, 2, 3)]
    for done in (2, 3):
        checkpoints.save(run.checkpoints, Checkpoint(known, done, 0, 5.0, STATE, history[:done]))
    return run


def resume(*arguments: str) -> int:
    return cli.main(["resume", "runs/a", *arguments])


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 2) -> tuple[str, str]:
    """The two lines of an error; nothing is created."""
    before = sorted(Path("runs").rglob("*"))
    assert resume(*arguments) == code
    assert sorted(Path("runs").rglob("*")) == before
    cause, remedy = capsys.readouterr().err.splitlines()[-2:]
    return cause, remedy.strip()


def new_run() -> Run:
    (directory,) = (path for path in Path("runs").iterdir() if path.name != "a")
    return Run(directory)


@pytest.mark.parametrize("schedule", ["constant", "exponential", "cosine"])
def test_the_new_run_begins_with_the_whole_state(schedule: str) -> None:
    overrides = (f"schedule={schedule}", *(["schedule.final_fraction=1"] if schedule == "cosine" else []))  # also constant
    source = completed(*overrides)
    files.write_json(source.environment, {"threads": {"towers": 2}})
    before = {path: path.read_bytes() for path in source.directory.rglob("*") if path.is_file()}
    assert resume("training.epochs=5") == 0
    run, experiment = new_run(), compose(*SMALL, *overrides, "training.epochs=5")
    latest, faults = checkpoints.load_latest(run.checkpoints, identity(experiment))
    assert latest is not None
    assert not faults
    assert (latest.epoch, latest.wall_seconds, [one.epoch for one in latest.history]) == (3, 5.0, [1, 2, 3])
    stored = Experiment.model_validate(yaml.safe_load(run.config.read_text()))
    assert config_hash(stored) == config_hash(experiment)  # bit-identical to a run of five epochs: its repetition
    assert yaml.safe_load(run.overrides.read_text()) == [SMALL[0], *overrides, "training.epochs=5"]
    assert read_json(run.environment) == {"threads": {"towers": 2}}
    assert len(run.history.read_text().splitlines()) == 4  # so that it is never trained from the beginning
    known = lineage.read(run)
    assert known is not None
    assert known.rows == {"continues": "mlp, seed 7 (../a) after epoch 3"}
    assert {path: path.read_bytes() for path in source.directory.rglob("*") if path.is_file()} == before


def test_the_first_origin_is_kept() -> None:
    source = completed()
    origin = InitialWeights(
        run="../../elsewhere/b", name="b", seed=1, config_hash="0", sha256="1", dataset="mnist", network="mlp",
        copied=["dense_1"], initialized={"logits": "other classes"}, validation_seen=0,
    )  # fmt: skip
    content = read_json(source.summary) | {"lineage": Lineage(initial_weights=origin).model_dump()}
    files.write_json(source.summary, content)
    assert resume("training.epochs=4") == 0
    known = lineage.read(new_run())
    assert known is not None
    assert known.initial_weights == origin
    assert known.rows["started from"] == "b, seed 1 (../../elsewhere/b): copied dense_1; initialized logits (other classes)"


@pytest.mark.parametrize("value", ["3", "2", "0", "x", "4.5", "[4", "4,5"])
def test_only_more_epochs_are_possible(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    completed()
    cause, remedy = refusal(capsys, f"training.epochs={value}")
    assert f"training.epochs={value}" in cause
    assert remedy.startswith("allowed: an integer from ")


@pytest.mark.parametrize("line", ["optimizer.learning_rate=0.1", "seed=1", "model=cnn", "progress=quiet"])
def test_no_other_setting_can_change(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    completed()
    cause, remedy = refusal(capsys, "training.epochs=5", line)
    assert cause == f"error: {line}: a run can be trained longer, but not with other settings"
    command = f"mnist-exp {UNITS} training.epochs=3 initial_weights=runs/a {line}"
    assert remedy == f"allowed: training.epochs=N; start a new run from its weights: {command}"


def test_a_mistyped_number_of_epochs_is_corrected(capsys: pytest.CaptureFixture[str]) -> None:
    completed()
    cause, remedy = refusal(capsys, "epochs=5")
    assert cause == "error: epochs=5: unknown key"
    assert remedy == "did you mean training.epochs=5?"


def test_a_number_of_images_that_the_data_set_does_not_have_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    source = completed()
    content = read_json(source.summary)
    content["dataset"]["train"] = 2**52
    files.write_json(source.summary, content)
    cause, _ = refusal(capsys, "training.epochs=5", code=3)
    assert cause.endswith("summary.json: states 4,503,599,627,370,496 training images of 60,000")


def test_the_advice_has_each_setting_once(capsys: pytest.CaptureFixture[str]) -> None:
    completed()
    _, remedy = refusal(capsys, "+training.epochs=5")
    assert remedy.endswith(f"mnist-exp {UNITS} initial_weights=runs/a +training.epochs=5")


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_a_schedule_for_a_number_of_epochs_cannot_continue(schedule: str, capsys: pytest.CaptureFixture[str]) -> None:
    more = (f"schedule={schedule}", "schedule.warmup_epochs=1")
    completed(*more)
    cause, remedy = refusal(capsys, "training.epochs=5")
    assert f"schedule={schedule} has its learning rates for 3 epochs; the first 3 of 5 epochs have others" in cause
    words = ("mnist-exp", UNITS, *more, "initial_weights=runs/a", "training.epochs=2")
    assert remedy == f"start a new run from its weights: {' '.join(words)}"


@pytest.mark.parametrize("status", ["interrupted", "failed", "pruned", "waiting"])
def test_a_run_that_is_not_completed_is_trained_to_its_end_first(status: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = completed()
    run.summary.unlink()
    write_status(run, status, 1, "a cause", "a remedy")
    cause, remedy = refusal(capsys, "training.epochs=5")
    assert cause == f"error: runs/a: {status}: only a completed run can be trained longer"
    assert remedy == "train it to its end first, with its own settings: mnist-exp resume runs/a"


def test_a_run_that_stopped_early_would_stop_again(capsys: pytest.CaptureFixture[str]) -> None:
    completed("training.early_stopping_patience=1", last_error=9.0)
    cause, remedy = refusal(capsys, "training.epochs=5")
    assert "stopped after epoch 3, since the validation error had not improved for 1 epoch;" in cause
    assert remedy.endswith(
        f"mnist-exp {UNITS} training.epochs=3 initial_weights=runs/a training.early_stopping_patience=null"
    )


def test_a_run_with_patience_left_is_trained_longer() -> None:
    completed("training.early_stopping_patience=2", "training.select=best")
    assert resume("training.epochs=5") == 0


def test_without_a_checkpoint_a_run_cannot_be_trained_longer(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(completed().checkpoints)
    cause, remedy = refusal(capsys, "training.epochs=5")
    assert cause.startswith("error: runs/a/checkpoints: no checkpoint found")
    assert remedy == f"start a new run from its weights: mnist-exp {UNITS} training.epochs=3 initial_weights=runs/a"


def test_a_damaged_checkpoint_is_skipped_unless_all_are(capsys: pytest.CaptureFixture[str]) -> None:
    source = completed()
    last, first = sorted(source.checkpoints.iterdir(), reverse=True)
    (last / "state.npz").write_bytes(b"damaged")
    assert resume("training.epochs=5") == 0
    assert "skipped a damaged checkpoint" in capsys.readouterr().err
    known = lineage.read(new_run())
    assert known is not None
    assert known.continued is not None
    assert known.continued.epochs == 2
    (first / "state.npz").write_bytes(b"damaged")
    cause, _ = refusal(capsys, "training.epochs=5", code=3)
    assert "epoch_000002" in cause


def test_a_checkpoint_larger_than_the_network_can_have_is_not_read(capsys: pytest.CaptureFixture[str]) -> None:
    source = completed()
    latest, _ = checkpoints.load_latest(source.checkpoints, identity(compose(*SMALL)))
    assert latest is not None
    shutil.rmtree(source.checkpoints)
    checkpoints.save(source.checkpoints, dataclasses.replace(latest, state={"huge": np.zeros(500_000)}))
    assert "bytes, more than" in refusal(capsys, "training.epochs=5", code=3)[0]


def test_an_ensemble_and_other_arguments_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    source = completed()
    assert "not a sweep" in refusal(capsys, "training.epochs=5", "--retry-failed")[0]
    source.ensemble.write_text("name: x")
    assert "is an ensemble" in refusal(capsys, "training.epochs=5")[0]


def test_if_the_new_run_cannot_be_written_nothing_is_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    completed()

    def full(*_: Any) -> None:
        raise EnvironmentFailure("no space left", "free some")

    monkeypatch.setattr(checkpoints, "save", full)
    assert "no space left" in refusal(capsys, "training.epochs=5", code=5)[0]


@pytest.mark.parametrize("place", ["runs", "elsewhere"])
def test_the_new_run_is_in_the_directory_of_runs_that_is_named(place: str) -> None:
    completed()
    assert resume("training.epochs=4", "--runs-dir", place) == 0
    (config,) = (path for path in Path(place).glob("*/config.yaml") if path.parent.name != "a")
    assert yaml.safe_load(config.read_text())["runs_dir"] == place


def test_of_a_run_that_is_interrupted_before_it_can_be_resumed_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    source = completed()
    monkeypatch.setattr(extension, "prepare_run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        extension.prepare(source, ["training.epochs=4"])
    assert [path.name for path in Path("runs").iterdir()] == ["a"]


def test_only_the_state_before_the_first_epoch_is_undamaged() -> None:
    source = completed()
    known = identity(compose(*SMALL))
    checkpoints.save(source.checkpoints, Checkpoint(known, 0, 0, 5.0, STATE, []))
    assert resume("training.epochs=4") == 0
    origin = lineage.read(new_run())
    assert origin is not None
    assert origin.rows == {"continues": "mlp, seed 7 (../a) after epoch 0"}
