"""`mnist-exp data fetch`, `list`, `verify`, `remove` and `dataset.fetch=true`, with a real server on loopback."""

import json
import multiprocessing
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mnist_exp import cli, datasets
from mnist_exp.datasets import download, places, store
from mnist_exp.errors import EnvironmentFailure, InputError, IntegrityError
from mnist_exp.machine import locks
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import write_status
from tests.documents import MANUAL, blocks
from tests.unit.datasets.test_finding import ARCHIVE, assert_right, in_archive
from tests.unit.datasets.tiny import (
    CONTENTS,
    NAMES,
    STORED,
    Server,
    described,
    serving,
    sha256,
    source,
    stalls,
    status,
    write_files,
    write_option,
)
from tests.unit.run_directories import make_run

pytestmark = pytest.mark.usefixtures("own_places", "impatient")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving({**STORED, "all.zip": ARCHIVE}) as started:
        yield started


def stored_names(directory: str = "tiny") -> list[str]:
    return sorted(path.name for path in Path("data", directory).iterdir() if path.name != store.LOCK)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main([*arguments, "--config-dir", "own"])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_fetch_verify_list_and_remove(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    write_option(Path("own"), described(server.address))
    code, out, err = run(capsys, "data", "fetch", "tiny")
    assert (code, stored_names()) == (0, sorted(NAMES))
    assert "tiny: fetched and verified 4 files" in out
    assert "licence: CC0; nobody" in out
    assert err.count("downloading") == 4
    assert [Path("data/tiny", name).read_bytes() for name in NAMES] == list(STORED.values())
    requests = len(server.requests)
    assert "tiny: is complete" in run(capsys, "data", "fetch", "tiny")[1]
    assert len(server.requests) == requests

    code, out, _ = run(capsys, "data", "verify", "tiny")
    assert (code, out.count(": verified: ")) == (0, 4)
    assert "data/tiny" in run(capsys, "data", "list")[1]
    entries = json.loads(run(capsys, "data", "list", "--format", "json")[1])["sets"]
    assert next(iter(entries)) == "mnist"
    assert entries["tiny"] | {"fingerprint": ""} == {
        "train_images": 36,
        "test_images": 6,
        "image_shape": [5, 4, 1],
        "class_names": ["a", "b", "c"],
        "bytes": sum(map(len, STORED.values())),
        "licence": "CC0",
        "attribution": "nobody",
        "fingerprint": "",
        "place": str(Path("data/tiny").absolute()),
    }
    assert entries["kmnist"]["place"] is None

    Path("data/tiny/notes.txt").write_text("mine")
    code, out, _ = run(capsys, "data", "remove", "tiny")
    assert (code, out.count("removed"), stored_names()) == (0, 4, ["notes.txt"])
    code, _, err = run(capsys, "data", "remove", "tiny")
    assert (code, "was not fetched" in err) == (2, True)


def test_only_what_is_missing_or_damaged_is_fetched(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    write_option(Path("own"), described(server.address))
    run(capsys, "data", "fetch", "tiny")
    Path("data/tiny", NAMES[0]).unlink()
    Path("data/tiny", NAMES[1]).write_bytes(STORED[NAMES[3]])
    code, out, err = run(capsys, "data", "verify", "tiny")
    assert (code, "tiny: not on this machine" in out, "fetch it: mnist-exp data fetch tiny" in err) == (2, True, True)
    server.requests.clear()
    assert run(capsys, "data", "fetch", "tiny")[0] == 0
    assert [path for path, _ in server.requests] == [f"/{name}" for name in NAMES[:2]]
    Path("data/tiny", NAMES[1]).write_bytes(STORED[NAMES[3]])
    code, out, err = run(capsys, "data", "verify", "tiny")
    assert (code, out.count(": verified: "), "train-labels: not verified" in out) == (3, 3, True)
    assert sha256(CONTENTS[1]) in err
    assert sha256(CONTENTS[3]) in err


def test_a_wrong_file_is_never_stored(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    write_option(Path("own"), described(server.address))
    server.files[NAMES[1]] = STORED[NAMES[1]][:20]
    code, _, err = run(capsys, "data", "fetch", "tiny")
    assert code == 3
    assert f"has 20 bytes, expected {len(STORED[NAMES[1]])}" in err
    assert stored_names() == [NAMES[0]]


def test_files_with_the_same_name_in_different_directories(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    description = described(server.address)
    server.files = {"images.gz": STORED[NAMES[2]]}
    server.script["images.gz"] = [lambda handler: handler.send(200, STORED[NAMES[0]])]
    server.files |= {"labels.gz": STORED[NAMES[3]]}
    server.script["labels.gz"] = [lambda handler: handler.send(200, STORED[NAMES[1]])]
    for part in ("train", "test"):
        for kind in ("images", "labels"):
            description[part][kind]["path"] = f"{part}/{kind}.gz"
    write_option(Path("own"), description)
    assert run(capsys, "data", "fetch", "tiny")[0] == 0
    assert [path for path, _ in server.requests] == [
        f"/{part}/{kind}.gz" for part in ("train", "test") for kind in ("images", "labels")
    ]
    data = datasets.load(source(description))
    assert_right(data)
    assert list(data.file_sha256) == ["train/images", "train/labels", "test/images", "test/labels"]
    assert run(capsys, "data", "remove", "tiny")[0] == 0
    assert not Path("data/tiny").exists()


def test_the_hash_of_the_content_is_checked_too(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    description = described(server.address)
    description["train"]["labels"]["content_sha256"] = "0" * 64
    write_option(Path("own"), description)
    code, _, err = run(capsys, "data", "fetch", "tiny")
    assert (code, f"SHA-256 is {sha256(CONTENTS[1])}, expected {'0' * 64}" in err) == (3, True)


def test_faults_of_the_network_and_the_disk(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_option(Path("own"), described(server.address))
    server.script[NAMES[0]] = [status(404)]
    code, _, err = run(capsys, "data", "fetch", "tiny")
    assert (code, "404" in err, "check the network" in err) == (5, True, True)
    Path("data/tiny").rename("data/old")
    Path("data/tiny").write_text("a file")
    code, _, err = run(capsys, "data", "fetch", "tiny")
    assert (code, "cannot be written" in err) == (5, True)
    Path("data/tiny").unlink()
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 3}))
    code, _, err = run(capsys, "data", "fetch", "tiny")
    assert (code, "MNIST_EXP_DATA" in err, stored_names()) == (5, True, [])


def test_names_and_files_of_a_users_directory_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    write_option(Path("own"), described())
    assert "did you mean tiny?" in run(capsys, "data", "fetch", "tyny")[2]
    write_option(Path("own"), described(addresses=["file:///etc/"]))
    code, _, err = run(capsys, "data", "list")
    assert (code, "tiny.yaml: " in err, "addresses" in err) == (2, True, True)
    write_option(Path("own"), described() | {"train": described()["train"] | {"images": {"path": "../x"}}})
    assert "train.images.path" in run(capsys, "data", "list")[2]
    same = described()
    same["test"]["images"]["path"] = NAMES[0]
    write_option(Path("own"), same)
    assert "two files have the same path" in run(capsys, "data", "list")[2]
    no_hash = described()
    no_hash["train"]["images"] = {"path": "x.gz"}
    write_option(Path("own"), no_hash)
    assert "x.gz needs sha256" in run(capsys, "data", "list")[2]
    assert cli.main(["data", "list", "--config-dir", "nowhere"]) == 2


def test_what_is_on_this_machine_already_is_not_fetched(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "SYSTEM", Path("system"))
    Path("own").mkdir()
    code, out, _ = run(capsys, "data", "fetch", "mnist")
    assert (code, str(places.PACKAGE / "mnist") in out, Path("data").exists()) == (0, True, False)
    code, out, _ = run(capsys, "data", "verify")
    assert (code, "kmnist: not on this machine" in out) == (0, True)


def test_the_example_of_the_manual_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = blocks((MANUAL / "datasets.md").read_text(), "yaml")
    Path("own/dataset").mkdir(parents=True)
    Path("own/dataset/shapes.yaml").write_text(example)
    entries = json.loads(run(capsys, "data", "list", "--format", "json")[1])["sets"]
    assert (entries["shapes"]["train_images"], entries["shapes"]["test_images"]) == (600, 120)
    code, _, err = run(capsys, "dataset=shapes")
    assert (code, "mnist-exp data fetch shapes" in err) == (2, True)


def test_the_manual_lists_every_described_set_with_its_size_and_licence() -> None:
    page = (MANUAL / "datasets.md").read_text()
    for name, known in datasets.shipped().items():
        described_set = known.description
        (row,) = re.findall(rf"^\| `{name}` \| (.*) \|$", page, re.MULTILINE)
        for number in (described_set.train.used_count, described_set.test.used_count):
            assert f"{number:,}" in row
        _, classes, size, licence = row.split(" | ")
        assert int(classes) == len(described_set.class_names)
        assert licence == described_set.licence
        offered = described_set.files if described_set.archive is None else (described_set.archive,)
        sizes = [file.bytes for file in offered]
        if name != "mnist" and None not in sizes:
            assert size == f"{sum(number or 0 for number in sizes) / 1e6:.1f} MB"


def test_ctrl_c_leaves_a_part_file_that_is_continued(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    write_option(Path("own"), described(server.address))
    server.script[NAMES[0]] = [stalls(100)]
    command = [sys.executable, "-m", "mnist_exp", "data", "fetch", "tiny", "--config-dir", "own"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        part = Path("data/tiny", f"{NAMES[0]}.part")
        while not part.exists() or part.stat().st_size < 100:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, "continue: mnist-exp data fetch tiny" in err) == (130, True)
    assert part.stat().st_size == 100
    assert run(capsys, "data", "fetch", "tiny")[0] == 0
    assert server.requests[1][1]["Range"] == "bytes=100-"
    assert stored_names() == sorted(NAMES)


def test_a_damaged_file_of_the_system_can_be_replaced_by_a_fetched_one(
    server: Server, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "SYSTEM", tmp_path / "system")
    write_option(Path("own"), described(server.address))
    write_files(tmp_path / "system" / "tiny")
    assert "on this machine already" in run(capsys, "data", "fetch", "tiny")[1]
    write_files(tmp_path / "system" / "tiny", {NAMES[0]: STORED[NAMES[2]]})
    assert run(capsys, "data", "verify", "tiny")[0] == 3
    assert run(capsys, "data", "fetch", "tiny")[0] == 0
    assert run(capsys, "data", "verify", "tiny")[0] == 0


# A shared archive


def test_an_archive_is_fetched_once_for_all_its_data_sets(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    option = in_archive(address=server.address) | {"directory": "common"}
    write_option(Path("own"), option)
    other = Path("own/dataset/tiny.yaml").read_text().replace("name: tiny", "name: other").replace("- c\n", "- d\n")
    Path("own/dataset/other.yaml").write_text(other)
    assert run(capsys, "data", "fetch", "tiny")[0] == 0
    assert stored_names("common") == ["gzip", "members.json"]
    assert "other: is complete" in run(capsys, "data", "fetch", "other")[1]
    assert len(server.requests) == 1
    assert_right(datasets.load(source(option)))
    assert run(capsys, "data", "verify", "other")[0] == 0
    Path("data/common/gzip", NAMES[0]).write_bytes(STORED[NAMES[2]])
    assert run(capsys, "data", "verify", "tiny")[0] == 3
    assert run(capsys, "data", "fetch", "tiny")[0] == 0
    code, _, err = run(capsys, "data", "remove", "tiny")
    assert (code, "other: shared these files" in err, Path("data/common").exists()) == (0, True, False)


# One process at a time


def fetch_tiny(description: dict[str, Any]) -> None:
    store.fetch(source(description))


def test_one_process_fetches_and_the_other_waits(server: Server) -> None:
    tries = [multiprocessing.get_context("fork").Process(target=fetch_tiny, args=(described(server.address),)) for _ in "ab"]
    for process in tries:
        process.start()
    for process in tries:
        process.join(20)
    assert [process.exitcode for process in tries] == [0, 0]
    assert sorted(path for path, _ in server.requests) == sorted(f"/{name}" for name in NAMES)


def test_a_process_that_keeps_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LOCK_SECONDS", 0.01)
    monkeypatch.setattr(locks, "READER_SECONDS", 0.01)
    directory = write_files(tmp_path / "data" / "tiny")
    with locks.locked(directory / store.LOCK), pytest.raises(EnvironmentFailure, match="another process has locked it"):
        store.remove(source(described()))
    assert stored_names() == sorted(NAMES)


# Training


def test_training_fetches_only_when_asked(server: Server) -> None:
    description = described(server.address)
    with pytest.raises(InputError, match="not on this machine") as caught:
        datasets.check_available(source(description))
    assert "mnist-exp data fetch tiny; or add dataset.fetch=true" in caught.value.remedy
    with pytest.raises(InputError):
        datasets.load(source(description))
    assert server.requests == []
    datasets.check_available(source(description, fetch=True))
    assert_right(datasets.load(source(description, fetch=True)))
    datasets.check_available(source(description))


def test_the_command_says_how_to_fetch_before_it_makes_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["dataset=kmnist"], ["-m", "dataset=mnist,kmnist"]):
        assert cli.main(arguments) == 2
        assert "fetch it: mnist-exp data fetch kmnist" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_files_of_another_set_in_the_root_do_not_stop_a_fetch(server: Server, tmp_path: Path) -> None:
    root = write_files(tmp_path / "root", dict.fromkeys(NAMES, b"another file"))
    with pytest.raises(IntegrityError, match="or is another file"):
        datasets.load(source(described(server.address), root))
    assert_right(datasets.load(source(described(server.address), root, fetch=True)))


def test_a_root_that_lacks_the_files_is_completed_by_fetch(server: Server, tmp_path: Path) -> None:
    root = write_files(tmp_path / "root", {NAMES[0]: STORED[NAMES[0]]})
    assert_right(datasets.load(source(described(server.address), root, fetch=True)))
    assert [path.name for path in root.iterdir()] == [NAMES[0]]


def test_a_run_whose_files_are_gone_is_not_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_directory = make_run(tmp_path / "runs" / "a", 100, "dataset=kmnist")
    (run_directory / "summary.json").unlink()
    write_status(Run(run_directory), "interrupted")
    assert cli.main(["resume", "runs/a"]) == 2
    assert "fetch it: mnist-exp data fetch kmnist" in capsys.readouterr().err
