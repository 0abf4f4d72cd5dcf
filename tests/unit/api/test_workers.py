"""Training from Python without training: what is printed, and which exception the outcome of a run becomes."""

import os
import re
import sys
import tempfile
from collections.abc import Callable
from types import SimpleNamespace

import pytest

import mnist_exp as mx
from mnist_exp.api import boundary, progress, workers
from mnist_exp.machine import files, logs
from mnist_exp.runs.history import Epoch
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import write_status
from mnist_exp.terminal import messages, streams
from mnist_exp.training.progress import STEPS_FILE, display
from tests.unit.run_directories import complete_run

Follow = Callable[[], bool]
Work = Callable[[Run, Follow], None]


@pytest.fixture
def train_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[Work], None]:
    """Have a function play the process that trains."""

    def use(work: Work) -> None:
        class FakeSupervisor:
            def __init__(self, environment: dict[str, str]) -> None:
                monkeypatch.setenv(STEPS_FILE, environment[STEPS_FILE])

            def train(self, run: Run, timeout: float | None, must_stop: Follow) -> int:
                assert timeout is None
                with logs.log_to_file(run.log):
                    work(run, must_stop)
                assert not must_stop()
                return 0

            def end(self) -> None:
                pass

        monkeypatch.setattr(workers, "Supervisor", FakeSupervisor)

    return use


def epochs(run: Run, count: int) -> None:
    rows = [Epoch(number, 0.1, 1.0, 5.0, None, None, 1.0, 100.0) for number in range(1, count + 1)]
    files.write_table(run.history, rows, Epoch)


@pytest.mark.parametrize("progress", ["auto", "quiet"])
def test_epochs_and_warnings_are_printed_once(
    progress: str, train_with: Callable[[Work], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def work(run: Run, _: Follow) -> None:
        messages.warning("the images are strange")
        messages.warning("tracker=mlflow: fails")  # the upload's own process prints it
        epochs(run, 2)
        complete_run(run)

    train_with(work)
    run = mx.run([f"progress={progress}", "training.epochs=2"])
    assert run.summary.test.errors == 100
    _, _, *printed = capsys.readouterr().err.splitlines()  # the first two are of the process that trains
    shown = ["warning: the images are strange"]
    assert printed[:1] == shown
    assert [line[:9] for line in printed[1:]] == ([] if progress == "quiet" else ["epoch 1/2", "epoch 2/2"])


def test_a_training_needs_no_place_for_temporary_files(
    train_with: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", "/dev/null")  # so that it is restored
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [os.environ["TMPDIR"]])
    train_with(lambda run, _: complete_run(run))
    assert mx.run(["progress=quiet"]).summary.test.errors == 100


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        ("failed", 1, mx.errors.UserError),
        ("failed", 2, mx.errors.InputError),
        ("failed", 3, mx.errors.IntegrityError),
        ("diverged", 4, mx.errors.DivergenceError),
        ("failed", 5, mx.errors.EnvironmentFailure),
    ],
)
def test_a_failure_is_the_exception_of_its_exit_code(
    status: str, code: int, expected: type[mx.errors.UserError], train_with: Callable[[Work], None]
) -> None:
    train_with(lambda run, _: write_status(run, status, code, "the cause", "the remedy"))  # type: ignore[arg-type]
    with pytest.raises(mx.errors.UserError) as raised:
        mx.run()
    assert type(raised.value) is expected
    run = mx.load("latest")
    assert raised.value.cause == f"{run.directory}: {status}: the cause"
    assert raised.value.remedy == f"the remedy\nlog: {run.directory}/train.log"


def test_an_interruption_names_how_to_continue(
    train_with: Callable[[Work], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def work(run: Run, _: Follow) -> None:
        epochs(run, 1)
        write_status(run, "interrupted", 130, "stopped by the user or the system")
        raise KeyboardInterrupt

    train_with(work)
    with pytest.raises(KeyboardInterrupt) as raised:
        mx.run(["training.epochs=3"])
    assert isinstance(raised.value, mx.errors.RunInterrupted)
    assert capsys.readouterr().err.startswith("epoch 1/3")
    run = mx.load("latest")
    assert f"mx.load('{run.directory}').resume(), or mnist-exp resume {run.directory}" in raised.value.remedy

    def rest(run: Run, _: Follow) -> None:
        epochs(run, 3)
        complete_run(run)

    train_with(rest)
    assert run.resume() is run
    assert run.status == "completed"
    note, *lines = capsys.readouterr().err.splitlines()
    assert note.endswith("has no checkpoint; training starts from the beginning")
    assert [line[:9] for line in lines] == ["epoch 2/3", "epoch 3/3"]
    with pytest.raises(mx.errors.InputError, match="is already completed"):
        run.resume()


def test_a_sweep_prints_no_leaderboard_and_reports_failed_jobs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mnist_exp.commands import sweep as command
    from mnist_exp.commands.results import finish_sweep
    from mnist_exp.sweep import plan

    def train(sweep: plan.Sweep, *_: object) -> int:
        known = plan.read(sweep)
        for job in known.jobs:
            run = sweep.run(job)
            run.directory.mkdir()
            write_status(run, "failed", 1, "the cause", "the remedy")
        return finish_sweep(sweep, known, len(known.jobs), interrupted=True)

    monkeypatch.setattr(command, "train", train)
    with pytest.raises(mx.errors.UserError) as raised:
        mx.run_sweep(["seed=1,2"])
    sweep = mx.load_sweep("latest")
    assert raised.value.cause == f"{sweep.directory}: 2 of 2 jobs failed"
    assert f"mx.load_sweep('{sweep.directory}').resume(retry_failed=True)" in raised.value.remedy
    assert capsys.readouterr().out == ""

    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "train", interrupt)
    with pytest.raises(mx.errors.RunInterrupted) as interrupted:
        mx.run_sweep(["seed=1,2"])
    assert "mx.load_sweep(" in interrupted.value.remedy


def test_a_notebook_shows_messages_as_output(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(streams, "is_notebook", lambda: True)
    boundary.public(messages.note)("a line")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("a line\n", "")


def test_a_notebook_shows_the_running_epoch(
    train_with: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[str] = []
    now = [0.0]

    def show(content: dict[str, str], **_: object) -> SimpleNamespace:
        shown.append(content["text/plain"])
        return SimpleNamespace(update=show)

    monkeypatch.setattr(streams, "is_notebook", lambda: True)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=show))  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace())  # type: ignore[arg-type]

    def work(run: Run, follow: Follow) -> None:
        steps = display("quiet", 3, images=1000)  # of the process that trains
        for count, seconds in ((0, 0.2), (0, 12.0), (1, 20.0), (2, 30.0), (2, 34.0), (3, 40.0)):
            now[0] = seconds
            if count:
                epochs(run, count)
            if seconds == 34.0:
                steps.steps_done(3, 500, 0.25, 7.5)
            follow()
        complete_run(run)

    train_with(work)
    mx.run(["training.epochs=3", "progress=auto"])
    assert [[line.split("  ")[0] for line in text.splitlines()] for text in shown] == [
        ["epoch 1/3: 12 s"],
        ["epoch 1/3"],
        ["epoch 1/3", "epoch 2/3"],
        ["epoch 1/3", "epoch 2/3", "epoch 3/3: 500 images, loss 0.2500, accuracy 92.50 %, 4 s; about 6 s left"],
        ["epoch 1/3", "epoch 2/3", "epoch 3/3"],
        ["epoch 1/3", "epoch 2/3", "epoch 3/3"],
    ]
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
    shown.clear()
    mx.run(["training.epochs=3", "progress=quiet"])
    assert shown == []


def test_a_terminal_shows_the_bar_of_the_command(
    train_with: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(run: Run, follow: Follow) -> None:
        steps = display("quiet", 2, images=1000)
        monkeypatch.delenv(STEPS_FILE)  # which the process of the user does not have
        epochs(run, 1)
        follow()
        steps.steps_done(2, 500, 0.25, 7.5)
        follow()
        complete_run(run)

    train_with(work)
    mx.run(["training.epochs=2", "progress=live"])
    printed = capsys.readouterr().err
    assert "epoch 1/2  loss 1.0000" in printed
    assert re.search(r"epoch 2/2 .*75 %", printed)


def test_an_error_of_the_system_is_an_environment_failure() -> None:
    def fail() -> None:
        raise OSError(28, "No space left", "x.npz")

    with pytest.raises(mx.errors.EnvironmentFailure, match=r"x\.npz: No space left"):
        boundary.public(fail)()
