"""Real trackers: an MLflow server, TensorBoard's files and W&B's offline files, each read back by its own library."""

import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mnist_exp import tracking
from mnist_exp.runs.lock import lock_run
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import write_status
from mnist_exp.tracking.uploads import Uploads
from tests.conftest import TINY, Command, compose
from tests.end_to_end.sweeps import sweep_of
from tests.end_to_end.test_run import weights
from tests.engines import mlflow
from tests.forks import Forks

FILES = {"config.yaml", "errors.json", "history.csv", "model.keras", "report.html", "summary.json"}
HOSTILE = "<script>alert(1)<script>[red]\x1b[31m"
WAIT = 120.0  # seconds
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    if missing := mlflow.missing():
        pytest.skip(f"tracker=mlflow is not tested: {missing}")
    with mlflow.running() as address:
        yield address


@pytest.fixture
def client(server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of the server."""
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    from mlflow import MlflowClient

    return MlflowClient(server)


def tracker(server: str, experiment: str) -> list[str]:
    return ["tracker=mlflow", f"tracker.tracking_uri={server}", f"tracker.experiment='{experiment}'"]


def runs_of(client: Any, experiment: str) -> list[Any]:
    """The runs of an MLflow experiment."""
    found = client.get_experiment_by_name(experiment)
    return [] if found is None else list(client.search_runs([found.experiment_id]))


def history(client: Any, run: Any, key: str = "train_loss") -> list[tuple[int, float]]:
    return [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, key)]


def history_rows(directory: Path, column: str = "train_loss") -> list[tuple[int, float]]:
    """A column of history.csv, by epoch."""
    head, *lines = [line.split(",") for line in (directory / "history.csv").read_text().splitlines()]
    return [(int(line[0]), float(line[head.index(column)])) for line in lines]


def assert_uploaded(client: Any, run: Any, directory: Path) -> None:
    """Check that everything of a completed run is on the server, once."""
    summary = json.loads((directory / "summary.json").read_text())
    assert run.info.run_name == directory.name
    assert run.info.status == "FINISHED"
    for column in ("train_loss", "validation_error_percent", "seconds", "learning_rate"):
        assert history(client, run, column) == history_rows(directory, column)
    assert history(client, run, "test.error_percent") == [(summary["epochs"], summary["test"]["error_percent"])]
    assert run.data.metrics["validation.loss"] == summary["validation"]["loss"]
    assert run.data.metrics["model.parameters"] == summary["model"]["parameters"]
    assert run.data.metrics["test.ece"] == json.loads((directory / "errors.json").read_text())["calibration"]["ece"]
    assert run.data.params["model.units"] == "[16]"
    assert run.data.params["optimizer.learning_rate"] == "0.001"
    assert run.data.tags["config_hash"] == summary["config_hash"]
    assert run.data.tags["dataset_sha256"] == summary["dataset"]["sha256"]
    assert (run.data.tags["seed"], run.data.tags["status"]) == (str(summary["seed"]), "completed")
    git = json.loads((directory / "environment.json").read_text())["git"]
    assert run.data.tags.get("mlflow.source.git.commit") == (git and git["commit"])
    artifacts = {file.path: file.file_size for file in client.list_artifacts(run.info.run_id)}
    assert artifacts == {name: (directory / name).stat().st_size for name in FILES}


def test_the_jobs_of_a_sweep_are_children_of_one_run(server: str, client: Any, command: Command, tmp_path: Path) -> None:
    done = command("-m", *TINY, "seed=1,2", *tracker(server, "a sweep"))
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    sweep = sweep_of(tmp_path)
    by_name = {run.info.run_name: run for run in runs_of(client, "a sweep")}
    assert set(by_name) == {sweep.name, "001_mlp_s1", "002_mlp_s2"}
    parent = by_name.pop(sweep.name)
    assert parent.info.status == "FINISHED"
    assert f"{server}/#/experiments/{parent.info.experiment_id}/runs/{parent.info.run_id}" in done.stdout
    assert {file.path for file in client.list_artifacts(parent.info.run_id)} == {
        "sweep.yaml", "leaderboard.json", "leaderboard.csv", "leaderboard.md", "report.html"
    }  # fmt: skip
    for name, run in by_name.items():
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert_uploaded(client, run, sweep / name)


def test_epochs_appear_while_a_run_trains_and_ctrl_c_ends_it(server: str, client: Any, forks: Forks, tmp_path: Path) -> None:
    arguments = (*TINY, "training.epochs=100000", *tracker(server, "live"))
    process = forks.start(*arguments, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + WAIT
    while not (found := runs_of(client, "live")) or len(history(client, found[0])) < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert (found[0].info.status, found[0].data.tags["status"]) == ("RUNNING", "running")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WAIT)
    assert process.returncode == 130
    assert "warning" not in err
    (run,) = runs_of(client, "live")
    assert (run.info.status, run.data.tags["status"]) == ("KILLED", "interrupted")
    (directory,) = (tmp_path / "runs").iterdir()
    assert history(client, run) == history_rows(directory)
    assert run.info.run_id in out


def test_a_run_without_a_server_is_uploaded_later(
    server: str, client: Any, command: Command, trained: Path, tmp_path: Path
) -> None:
    down = f"http://127.0.0.1:{mlflow.free_port()}"
    done = command(*TINY, *tracker(down, "later"))
    assert done.returncode == 0, done.stderr
    (warning,) = [line for line in done.stderr.splitlines() if "warning" in line]
    assert f"{down}: Connection refused" in warning
    (directory,) = (tmp_path / "runs").iterdir()
    assert weights(directory) == weights(trained)
    assert json.loads((directory / "status.json").read_text())["status"] == "completed"
    assert re.search("WARNING.*Connection refused", (directory / "train.log").read_text())
    assert runs_of(client, "later") == []
    later = warning.partition("upload it later: mnist-exp ")[2].replace(down, server).replace("'", "").split()
    for _ in range(2):
        done = command(*later)
        assert done.returncode == 0, done.stderr
        (run,) = runs_of(client, "later")
        assert run.info.run_id in done.stdout
        assert_uploaded(client, run, directory)


def test_the_wait_for_a_silent_server_is_limited(command: Command, trained: Path, tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = command("-m", *TINY, "seed=7,8", *tracker(address, "never"), "tracker.timeout=1")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("warning") == 1
    assert f"{address}: timed out" in done.stderr
    assert weights(sweep_of(tmp_path) / "001_mlp_s7") == weights(trained)


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """A run with a hostile name, hostile settings and a link to a file outside."""
    directory = tmp_path / "runs" / HOSTILE
    shutil.copytree(trained, directory)
    text = (directory / "config.yaml").read_text()
    (directory / "config.yaml").write_text(f"{text}'<img src=x>[red]../': '</td>{'x' * 9000}'\n..: {{'a/../b': 1}}\n")
    (directory / "model.keras").unlink()
    (directory / "model.keras").symlink_to("/etc/hostname")
    return directory


def test_hostile_runs_are_uploaded_as_text(server: str, client: Any, command: Command, copy: Path) -> None:
    done = command("track", str(copy), *tracker(server, "<script>[red]"))
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert HOSTILE.replace("\x1b", "�") in done.stdout
    (run,) = runs_of(client, "<script>[red]")
    assert run.info.run_name == HOSTILE.replace("\x1b", "�")
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == FILES - {"model.keras"}
    assert run.data.params["_img src_x__red_.._"].startswith("</td>xxx")
    assert run.data.params["_..a_.._b"] == "1"


def test_every_status_reaches_the_server(
    server: str, client: Any, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())  # changed by the tracker
    shutil.copytree(trained, tmp_path / "a")
    run, remote = Run(tmp_path / "a"), tracking.build_tracker(compose(*tracker(server, "states")).tracker)
    run.summary.unlink()
    expected = {"failed": "FAILED", "diverged": "FAILED", "running": "RUNNING", "pruned": "KILLED", "interrupted": "KILLED"}
    for status, state in expected.items():
        write_status(run, status, 1, "the cause", "the remedy")  # type: ignore[arg-type]
        with lock_run(run), closing(Uploads(remote)) as uploads:
            uploads.send(run)
        (found,) = runs_of(client, "states")
        assert (found.info.status, found.data.tags["status"], found.data.tags["cause"]) == (state, status, "the cause")
        assert history(client, found) == history_rows(run.directory)


def test_tensorboard_reads_its_files(command: Command, copy: Path) -> None:
    pytest.importorskip("tensorboard", reason="tracker=tensorboard is not tested")
    for _ in range(2):
        assert command("track", str(copy), "tracker=tensorboard").returncode == 0
        assert len(list((copy / "tensorboard").iterdir())) == 1
    code = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.util.tensor_util import make_ndarray
read = EventAccumulator(sys.argv[1])
read.Reload()
content = read.summary_metadata[metadata.SESSION_START_INFO_TAG].plugin_data.content
end = read.summary_metadata[metadata.SESSION_END_INFO_TAG].plugin_data.content
parameters = metadata.parse_session_start_info_plugin_data(content).hparams
print(json.dumps({
    "scalars": {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]},
    "parameters": {key: parameters[key].string_value or parameters[key].number_value for key in parameters},
    "status": metadata.parse_session_end_info_plugin_data(end).status,
    "tags": make_ndarray(read.Tensors("tags/text_summary")[0].tensor_proto)[0].decode(),
}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(copy / "tensorboard")], capture_output=True, text=True, check=True
    )
    read = json.loads(done.stdout.splitlines()[-1])
    for column in ("train_loss", "validation_error_percent", "seconds"):
        assert read["scalars"][column] == [[step, pytest.approx(value)] for step, value in history_rows(copy, column)]
    summary = json.loads((copy / "summary.json").read_text())
    assert read["scalars"]["test.error_percent"] == [[2, pytest.approx(summary["test"]["error_percent"])]]
    assert (read["parameters"]["model.units"], read["parameters"]["training.batch_size"]) == ("[16]", 64)
    assert read["status"] == 1  # success
    assert summary["dataset"]["sha256"] in read["tags"]


def test_wandb_offline_has_the_run(command: Command, copy: Path) -> None:
    pytest.importorskip("wandb", reason="tracker=wandb is not tested")
    no_network = os.environ | {"WANDB_BASE_URL": "http://127.0.0.1:1"}
    for _ in range(2):
        done = command("track", str(copy), "tracker=wandb", "tracker.project=digits", env=no_network)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        (offline,) = (copy / "wandb").glob("offline-run-*")
    assert {path.name for path in (offline / "files").iterdir()} >= FILES - {"model.keras"}
    assert (offline / "files" / "report.html").read_bytes() == (copy / "report.html").read_bytes()
    assert not (offline / "files" / "model.keras").exists()
    (log,) = offline.glob("*.wandb")
    records = wandb_records(log)
    (begun,) = [record.run for record in records if record.WhichOneof("record_type") == "run"][:1]
    assert begun.project == "digits"
    assert begun.display_name == HOSTILE.replace("\x1b", "�")
    assert begun.run_id == json.loads((copy / "tracking.json").read_text())["id"]
    config = {item.key: json.loads(item.value_json) for item in begun.config.update}
    assert (config["model.units"], config["seed"]) == ([16], 7)
    rows = [
        {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.WhichOneof("record_type") == "history"
    ]
    assert [(row["_step"], row["train_loss"]) for row in rows] == history_rows(copy)
    assert records[-1].exit.exit_code == 0


def wandb_records(path: Path) -> list[Any]:
    """The records of a .wandb file: LevelDB's log format behind a header of seven bytes; checksums are not checked."""
    from wandb.proto import wandb_internal_pb2

    data, place, block, records, whole = path.read_bytes(), 7, 32768, [], b""
    assert data.startswith(b":W&B")
    while place + 7 <= len(data):
        if block - place % block < 7:  # too little for a header: the rest of a block is padding
            place += block - place % block
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in {1, 4}:  # whole, or the last part of one
            records.append(wandb_internal_pb2.Record.FromString(whole))
            whole = b""
    return records
