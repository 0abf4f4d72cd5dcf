"""Uploads without a real tracker: what is sent and when, and that a failing tracker never harms a run."""

import importlib.util
import json
import os
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from mnist_exp import cli, tracking
from mnist_exp.commands import sweep as sweeps
from mnist_exp.config.command_line import parse_arguments
from mnist_exp.config.composition import Composition
from mnist_exp.config.trackers import MlflowTrackerConfig
from mnist_exp.errors import ConfigError, InputError, IntegrityError
from mnist_exp.machine import files
from mnist_exp.machine.logs import log_to_file
from mnist_exp.runs.directory import find_runs
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import write_status
from mnist_exp.sweep import plan
from mnist_exp.sweep.plan import Sweep
from mnist_exp.tracking import snapshot, uploader_process
from mnist_exp.tracking import uploads as uploads_module
from mnist_exp.tracking.snapshot import RunSnapshot
from mnist_exp.tracking.uploads import Uploads, upload_until
from tests.conftest import compose
from tests.unit.run_directories import complete_run, make_run, plan_of
from tests.unit.test_cli import modules_of

HEAD = (
    "epoch,learning_rate,train_loss,train_error_percent,validation_loss,validation_error_percent,seconds,images_per_second\n"
)
HOSTILE = "<script>alert(1)<script>[red]\x1b[31m"
URI = "tracker.tracking_uri=http://127.0.0.1:1"


def history(count: int) -> str:
    return HEAD + "".join(f"{number},0.001,{1 / number},50.0,,,2.0,1000.0\n" for number in range(1, count + 1))


def running(directory: Path, *overrides: str, epochs: int = 1) -> Run:
    """A run that this process trains, with this many epochs."""
    directory.mkdir(parents=True)
    run = Run(directory)
    run.config.write_text(yaml.safe_dump(compose(*overrides).model_dump(mode="json"), sort_keys=False))
    run.history.write_text(history(epochs))
    files.write_json(run.environment, {"started": "2026-11-22T07:35:03+00:00", "git": {"commit": "c" * 40}})
    write_status(run, "running")
    return run


class Fake:
    """A tracker that records what it receives, and may be down."""

    target = location = "fake"
    remedy = "start it"

    def __init__(self) -> None:
        self.received: list[RunSnapshot] = []
        self.opened: list[tuple[str, RunSnapshot | None]] = []
        self.closed = 0
        self.is_down = False
        self.address = "here"

    def open_run(self, snapshot: RunSnapshot, sweep: RunSnapshot | None) -> "Fake":
        self._answer()
        self.opened.append((snapshot.id, sweep))
        return self

    def send(self, snapshot: RunSnapshot) -> None:
        self._answer()
        self.received.append(snapshot)

    def close(self) -> None:
        self.closed += 1

    def send_sweep(self, snapshot: RunSnapshot) -> str:
        self.send(snapshot)
        return "the sweep"

    def _answer(self) -> None:
        if self.is_down:
            raise ConnectionRefusedError(111, "Connection refused")


def skip_without(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


@pytest.mark.parametrize("uri", ["http://me:secret@host", "https://secret@host:5000/path", "http://me:sec ret@host"])
def test_a_secret_in_the_address_is_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose("tracker=mlflow", f"tracker.tracking_uri='{uri}'")
    (problem,) = caught.value.problems
    assert "MLFLOW_TRACKING_PASSWORD" in problem.remedy
    assert "secret" not in str(caught.value)
    assert "sec ret" not in str(caught.value)


@pytest.mark.parametrize("uri", ["ftp://host", "host:5000", "http://host?token=x", "http://a b", "", "http://host/$HOME"])
def test_other_texts_than_a_server_address_are_refused(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"tracker\.tracking_uri=.*not allowed"):
        compose("tracker=mlflow", f"tracker.tracking_uri='{uri}'")


@pytest.mark.parametrize("uri", ["http://127.0.0.1:5000", "https://mlflow.example.org/team", "http://[::1]:5000/"])
def test_server_addresses_are_accepted(uri: str) -> None:
    tracker = compose("tracker=mlflow", f"tracker.tracking_uri='{uri}'").tracker
    assert isinstance(tracker, MlflowTrackerConfig)
    assert tracker.tracking_uri == uri


def test_the_tracker_does_not_change_the_experiment() -> None:
    assert sweeps.is_execution_override("tracker=mlflow")
    assert sweeps.is_execution_override("tracker.timeout=5")
    with pytest.raises(ConfigError, match="does not change the experiment"):
        Composition(parse_arguments(["-m", "tracker=none,mlflow"])).combinations()


@pytest.mark.parametrize("experiment", ["digits", "two words", "a='b' \"c\" [red]", "<script>"])
def test_the_overrides_in_the_warning_give_the_same_tracker(experiment: str) -> None:
    tracker = MlflowTrackerConfig(name="mlflow", tracking_uri="http://host:1", experiment=experiment, timeout=30)
    typed = shlex.split(uploader_process.overrides(tracker))
    assert compose(*typed).tracker == tracker
    assert not any(line.startswith("tracker.timeout") for line in typed)  # the default


def test_a_snapshot_has_all_data_of_a_run(tmp_path: Path) -> None:
    run = Run(make_run(tmp_path / "a", 123, "model.units=[16,8]", "tracker=mlflow", validation_errors=250))
    run.history.write_text(history(2))
    files.write_json(run.environment, {"started": "2026-11-22T07:35:03+00:00", "git": {"commit": "c" * 40}})
    files.write_json(run.errors, {"calibration": {"ece": 0.25}})
    read = snapshot.read_run(run)
    assert (read.name, read.status) == ("a", "completed")
    assert read.parameters["model.units"] == [16, 8]
    assert not any(key.startswith("tracker") for key in read.parameters)
    assert read.tags["git_commit"] == "c" * 40
    assert (read.tags["seed"], read.tags["status"], read.tags["dataset_sha256"]) == ("7", "completed", "a")
    assert len(read.tags["config_hash"]) == 16
    assert [(row.epoch, row.time - read.started) for row in read.epochs] == [(1, 2.0), (2, 4.0)]
    assert read.epochs[1].metrics["train_loss"] == 0.5
    assert "validation_loss" not in read.epochs[0].metrics
    assert read.results["test.error_percent"] == 1.23
    assert read.results["validation.error_percent"] == 2.5
    assert (read.results["test.ece"], read.results["model.parameters"]) == (0.25, 1000)
    assert read.ended is not None
    assert [path.name for path in read.files] == ["config.yaml", "history.csv", "errors.json", "summary.json"]
    assert snapshot.read_run(run).id == read.id


def test_links_are_not_uploaded(tmp_path: Path) -> None:
    run = running(tmp_path / "a")
    (tmp_path / "secret").write_text("s")
    run.report.symlink_to(tmp_path / "secret")
    run.model.symlink_to("config.yaml")
    assert [path.name for path in snapshot.read_run(run).files] == ["config.yaml", "history.csv"]


@pytest.mark.parametrize("history", ["epoch\nx\n", HEAD + "1,a,b,c,,,d,e\n", HEAD + "1\n", "\xff"])
def test_a_damaged_history_is_refused(tmp_path: Path, history: str) -> None:
    run = running(tmp_path / "a")
    run.history.write_text(history, encoding="latin-1")
    with pytest.raises(IntegrityError, match=r"history\.csv"):
        snapshot.read_run(run)


def test_a_history_that_cannot_be_read_is_refused_as_one_line_of_its_run(tmp_path: Path) -> None:
    run = Run(make_run(tmp_path / "run", 100))
    os.mkfifo(run.history)
    with pytest.raises(IntegrityError, match=r"run: cannot be uploaded: history\.csv: is not a regular file"):
        snapshot.read_run(run)


@pytest.mark.parametrize("content", ["{", "[]", '{"id": "x", "uploaded": {}}', '{"id": "%s", "uploaded": 1}' % ("a" * 32)])
def test_a_damaged_tracking_json_is_refused(tmp_path: Path, content: str) -> None:
    run = running(tmp_path / "a")
    run.tracking.write_text(content)
    with pytest.raises(IntegrityError, match="remove it"):
        snapshot.read_run(run)


def test_a_run_is_sent_whenever_it_has_something_new(tmp_path: Path) -> None:
    fake, run = Fake(), running(tmp_path / "a")
    with closing(Uploads(fake)) as uploads:
        assert uploads.is_due(run)
        assert uploads.send(run) == "here"
        assert not uploads.is_due(run)
        run.history.write_text(history(2))
        assert uploads.is_due(run)
        uploads.send(run)
        complete_run(run)
        assert uploads.is_due(run)
        uploads.send(run)
        assert not uploads.is_due(run)
        assert fake.closed == 1
    assert [len(sent.epochs) for sent in fake.received] == [1, 2, 2]
    assert [sent.ended is None for sent in fake.received] == [True, True, False]
    assert len(fake.opened) == 1
    with closing(Uploads(fake)) as uploads:
        assert not uploads.is_due(run)  # tracking.json records the upload
        uploads.send(run)  # an explicit upload is repeated
    with closing(Uploads(other := Fake())) as uploads:
        other.target = "another"
        assert uploads.is_due(run)


def test_a_resumed_run_keeps_its_identity(tmp_path: Path) -> None:
    fake, run = Fake(), running(tmp_path / "a")
    for status in ("interrupted", "running", "completed"):
        write_status(run, status)  # type: ignore[arg-type]
        if status == "completed":
            complete_run(run)
        with closing(Uploads(fake)) as uploads:
            assert uploads.is_due(run)
            uploads.send(run)
    assert [sent.status for sent in fake.received] == ["interrupted", "running", "completed"]
    assert len({run_id for run_id, _ in fake.opened}) == 1


def test_a_waiting_run_is_not_sent(tmp_path: Path) -> None:
    run = running(tmp_path / "a")
    write_status(run, "waiting")
    with closing(Uploads(Fake())) as uploads:
        assert not uploads.is_due(run)


def test_only_one_process_uploads_a_run(tmp_path: Path) -> None:
    run = running(tmp_path / "a")
    with closing(Uploads(Fake())) as first, closing(Uploads(Fake())) as second:
        first.send(run)
        with pytest.raises(InputError, match="another process"):
            second.send(run)
        first.close()
        second.send(run)


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """A sweep of a completed and a running job."""
    jobs, _ = plan.extend_jobs([], Composition(parse_arguments(["-m", "seed=1,2"])).combinations())
    sweep = Sweep(tmp_path / "sweep")
    make_run(sweep.run(jobs[0]).directory, 100, "seed=1")
    running(sweep.run(jobs[1]).directory, "seed=2")
    plan.write(sweep, plan_of(jobs, "seed=1,2"))
    return sweep


def test_the_jobs_of_a_sweep_have_one_parent(sweep: Sweep) -> None:
    fake = Fake()
    with closing(Uploads(fake)) as uploads:
        for directory in find_runs(sweep.directory):
            uploads.send(Run(directory))
        assert uploads.send(sweep) == "the sweep"
    sent = fake.received[-1]
    assert [(parent.id, parent.name, parent.started) for _, parent in fake.opened if parent] == [
        (sent.id, "sweep", sent.started)
    ] * 2
    assert fake.received[-1].status == "running"
    assert [path.name for path in fake.received[-1].files] == ["sweep.yaml"]


@pytest.mark.parametrize(
    ("status", "expected"), [("failed", "failed"), ("diverged", "failed"), ("pruned", "completed"), ("interrupted",) * 2]
)
def test_status_of_a_sweep(sweep: Sweep, status: str, expected: str) -> None:
    write_status(Run(sweep.directory / "002_mlp_s2"), status)  # type: ignore[arg-type]
    assert snapshot.read_sweep(sweep).status == expected


def test_a_damaged_job_does_not_stop_the_upload_of_a_sweep(sweep: Sweep) -> None:
    fake, replies, stop = Fake(), [], threading.Event()
    (sweep.directory / "001_mlp_s1" / "config.yaml").write_text("[")
    stop.set()
    with closing(Uploads(fake)) as uploads:
        assert upload_until(stop, sweep.directory, uploads, replies.append) == 0
    assert [next(iter(reply)) for reply in replies] == ["failed", "sent", "sent"]
    assert "config.yaml" in replies[0]["failed"]
    assert [sent.name for sent in fake.received] == ["002_mlp_s2", "sweep"]


def test_everything_is_sent_when_a_tracker_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads_module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(uploads_module, "RETRY_SECONDS", 0.0)
    fake, replies, stop = Fake(), [], threading.Event()
    run = running(tmp_path / "a")
    fake.is_down = True

    def reply(content: dict[str, Any]) -> None:
        replies.append(content)
        if fake.is_down and len(replies) == 3:
            fake.is_down = False
            complete_run(run)
        elif not fake.is_down:
            stop.set()

    with closing(Uploads(fake)) as uploads:
        assert upload_until(stop, run.directory, uploads, reply) == 0
    assert replies[:3] == [{"failed": "fake: Connection refused"}] * 3
    assert fake.received[-1].status == "completed"


def test_a_tracker_that_stays_down_is_tried_once_more_at_the_end(tmp_path: Path) -> None:
    fake, replies, stop = Fake(), [], threading.Event()
    run = running(tmp_path / "a")
    fake.is_down = True
    stop.set()
    with closing(Uploads(fake)) as uploads:
        assert upload_until(stop, run.directory, uploads, replies.append) == 1
    assert replies == [{"failed": "fake: Connection refused"}]
    with closing(Uploads(Fake())) as uploads:
        assert uploads.is_due(run)
        uploads.send(run)  # the lock was released


UPLOADERS = {
    "hangs": ("import time; time.sleep(1000)", "no answer for 1 s"),
    "hangs after a reply": ('import time; print(\'{"sent": "x"}\', flush=True); time.sleep(1000)', "no answer for 1 s"),
    "crashes": ("import sys; print('boom', file=sys.stderr); sys.exit(7)", "exited with code 7: boom"),
    "fails repeatedly": ('import sys; [print(\'{"failed": "down"}\') for _ in range(9)]; sys.exit(1)', "down"),
    "is killed": ("import os; os.kill(os.getpid(), 9)", "exited with code -9"),
}


@pytest.mark.parametrize("how", UPLOADERS)
def test_a_failing_uploader_process_costs_one_warning(
    how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, expected = UPLOADERS[how]
    monkeypatch.setattr(uploader_process, "COMMAND", (sys.executable, "-c", code))
    monkeypatch.setattr(uploader_process, "GRACE_SECONDS", 0.5 if "hangs" in how else 60.0)
    settings = compose("tracker=mlflow", URI, "tracker.timeout=1").tracker
    log = tmp_path / "train.log"
    log.touch()
    with uploader_process.upload_in_background(tmp_path, log, settings), log_to_file(log):
        pass  # the run closes its log before the uploader is waited for
    assert log.read_text().count("WARNING") == 1
    captured = capsys.readouterr()
    assert captured.err.count("warning") == 1
    assert expected in captured.err
    assert f"mnist-exp track {tmp_path} tracker=mlflow {URI}" in captured.err
    assert captured.out == ""


def test_the_address_is_printed_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"import json, sys; sys.stdin.read(); print(json.dumps({{'sent': {HOSTILE!r}}}))"
    monkeypatch.setattr(uploader_process, "COMMAND", (sys.executable, "-c", code))
    with uploader_process.upload_in_background(tmp_path, tmp_path / "train.log", compose("tracker=mlflow").tracker):
        pass
    captured = capsys.readouterr()
    assert captured.out == "mlflow: <script>alert(1)<script>[red]�[31m\n"
    assert captured.err == ""


def test_an_interrupted_wait_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploader_process, "COMMAND", (sys.executable, "-c", "import time; time.sleep(1000)"))
    join = threading.Thread.join

    def interrupted(thread: threading.Thread, timeout: float | None = None) -> None:
        if timeout is not None:
            raise KeyboardInterrupt
        join(thread)

    settings = compose("tracker=mlflow").tracker
    assert isinstance(settings, MlflowTrackerConfig)
    with tempfile.TemporaryFile() as errors:
        started = uploader_process.UploaderProcess(tmp_path, tmp_path / "train.log", settings, errors)
        monkeypatch.setattr(uploader_process.threading.Thread, "join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            started.finish()
    assert started._process.returncode == -9


def test_training_continues_if_no_process_can_be_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploader_process, "COMMAND", ("/nowhere/python",))
    done = []
    with uploader_process.upload_in_background(tmp_path, tmp_path / "train.log", compose("tracker=tensorboard").tracker):
        done.append("trained")
    assert done == ["trained"]
    assert capsys.readouterr().err.startswith("warning: tracker=tensorboard: No such file or directory")


@pytest.fixture
def _not_installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda _: None)
    return


@pytest.mark.usefixtures("_not_installed")
@pytest.mark.parametrize("arguments", [[], ["-m", "seed=1,2"], ["track", "a"]], ids=" ".join)
def test_a_missing_package_is_reported_before_anything_is_written(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(Path("a"), 100)
    before = sorted(path.name for path in Path().rglob("*"))
    assert cli.main([*arguments, "tracker=mlflow"]) == 5
    assert "pip install 'mnist-exp[mlflow]'" in capsys.readouterr().err
    assert sorted(path.name for path in Path().rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["a"], 2, "tracker=tensorboard, tracker=mlflow or tracker=wandb"),
        (["a", "tracker=mlflo"], 2, "did you mean mlflow?"),
        (["a", "tracker=mlflow", "tracker.timout=5"], 2, "did you mean tracker.timeout?"),
        (["a", "tracker=mlflow", "seed=8"], 2, "seed=8: not a setting of a tracker"),
        (["tracker=mlflow"], 2, "mnist-exp track latest tracker=mlflow"),
        (["nothing", "tracker=mlflow"], 2, "run not found"),
        (["empty", "tracker=mlflow"], 2, "empty: contains no run"),
        (["a", "tracker=mlflow", URI], 5, "http://127.0.0.1:1: Connection refused"),
    ],
)
def test_track_reports_mistakes(
    arguments: list[str], code: int, expected: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if code == 5:
        skip_without("mlflow")
    monkeypatch.setattr(os, "environ", os.environ.copy())  # changed by the library
    make_run(Path("a"), 100)
    Path("empty").mkdir()
    assert cli.main(["track", *arguments]) == code
    captured = capsys.readouterr()
    assert expected in captured.err
    assert len(captured.err.splitlines()) == 2
    assert captured.out == ""


def test_track_continues_after_a_damaged_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake()
    monkeypatch.setattr(tracking, "build_tracker", lambda _: fake)
    for name in ("a", "b", HOSTILE.replace("/", "")):
        make_run(Path("runs") / name, 100)
    Path("runs/b/config.yaml").write_text("[")
    assert cli.main(["track", "runs", "tracker=mlflow"]) == 1
    captured = capsys.readouterr()
    assert "runs/b" in captured.err
    lines = captured.out.splitlines()
    assert lines[0] == "1/3  runs/<script>alert(1)<script>[red]�[31m: here"
    assert lines[-1] == "mlflow: 3 runs, 1 of them failed"
    assert len(fake.received) == 2
    assert cli.main(["track", "runs/b", "tracker=mlflow"]) == IntegrityError.exit_code  # a single run: its own exit code
    assert "runs/b" in capsys.readouterr().err


@pytest.mark.parametrize("tracker", ["tensorboard", "mlflow", "wandb"])
def test_track_imports_no_tensorflow(tracker: str) -> None:
    skip_without(tracker)
    make_run(Path("a"), 100)
    if tracker == "mlflow":  # which has no server here
        modules = modules_of_failing("track", "a", "tracker=mlflow", URI)
    else:
        modules = modules_of("track", "a", f"tracker={tracker}")
    assert tracker in modules
    assert not {"tensorflow", "keras"} & modules


def modules_of_failing(*arguments: str) -> set[str]:
    code = "import json, sys; from mnist_exp import cli; assert cli.main(sys.argv[1:]) == 5; "
    code += "print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))
