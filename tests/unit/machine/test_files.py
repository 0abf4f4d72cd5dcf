"""Files are replaced atomically and keep their content exactly."""

import errno
import os
import stat
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_exp.errors import EnvironmentFailure
from mnist_exp.machine import files
from mnist_exp.runs.history import Epoch


def test_a_failed_write_keeps_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "status.json"
    files.write(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentFailure, match="No space left"):
        files.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]


def test_json_without_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert not (tmp_path / "x.json").exists()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_table_keeps_every_digit(tmp_path_factory: pytest.TempPathFactory, value: float) -> None:
    path = tmp_path_factory.mktemp("history") / "history.csv"
    files.write_table(path, [Epoch(1, value, value, value, None, None, value, value)], Epoch)
    header, row = path.read_text().splitlines()
    fields = dict(zip(header.split(","), row.split(","), strict=True))
    assert float(fields["train_loss"]) == value
    assert fields["validation_loss"] == ""


def test_arrays_are_stored_without_pickle(tmp_path: Path) -> None:
    files.write_arrays(tmp_path / "x.npz", {"a": np.arange(3)})
    assert np.load(tmp_path / "x.npz", allow_pickle=False)["a"].tolist() == [0, 1, 2]


def test_two_writers_of_one_file_use_two_temporary_names(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with files.replacing(path) as first, files.replacing(path) as second:
        assert first != second
        assert first.suffix == second.suffix == ".json"
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"  # its block ended last
    assert list(tmp_path.iterdir()) == [path]


def test_only_abandoned_temporary_files_are_removed(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    (abandoned := tmp_path / ".unfinished.0.json").touch()
    os.utime(abandoned, (0, 0))
    with files.replacing(path) as temporary:
        temporary.touch()
        files.remove_abandoned(tmp_path)  # by another process, such as one that resumes the run
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_fsync_is_used(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    files.write(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"new"


def test_without_a_place_for_temporary_files_the_given_directory_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", "/dev/null")
    before = os.environ["TMPDIR"]
    files.provide_temporary_directory(tmp_path)
    assert os.environ["TMPDIR"] == before  # the system has another place
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [os.environ["TMPDIR"]])
    files.provide_temporary_directory(tmp_path)
    with tempfile.NamedTemporaryFile() as file:
        assert Path(file.name).parent == tmp_path


def test_output_into_a_pipe(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(fifo.read_bytes()))
    reader.start()
    files.write_output(fifo, b"content")
    reader.join()
    assert found == [b"content"]
    assert fifo.is_fifo()


def test_output_to_a_closed_pipe_is_a_broken_pipe() -> None:
    read, write = os.pipe()
    os.set_inheritable(write, True)
    path = Path(f"/dev/fd/{write}")
    threading.Timer(0.1, os.close, [read]).start()
    with pytest.raises(BrokenPipeError):
        files.write_output(path, b"x" * 200_000)
    os.close(write)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a device")
def test_output_into_a_device(tmp_path: Path) -> None:
    device = tmp_path / "full"
    try:
        os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(1, 7))  # a full device of its own
        device.open("wb").close()
    except PermissionError:
        pytest.skip("this file system or container allows no device")
    with pytest.raises(EnvironmentFailure, match=r"full: cannot be written: No space left"):
        files.write_output(device, b"content")
    assert device.is_char_device()


def test_output_follows_links_and_keeps_mode_and_names(tmp_path: Path) -> None:
    target = tmp_path / "target.csv"
    target.write_text("old")
    target.chmod(0o600)
    (tmp_path / "link.csv").symlink_to("target.csv")
    files.write_output(tmp_path / "link.csv", b"new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"new", 0o600)

    (tmp_path / "dangling.csv").symlink_to("later.csv")
    files.write_output(tmp_path / "dangling.csv", b"later")
    assert (tmp_path / "later.csv").read_bytes() == b"later"

    (tmp_path / "second_name.csv").hardlink_to(target)
    files.write_output(target, b"newest")
    assert (tmp_path / "second_name.csv").read_bytes() == b"newest"

    (tmp_path / "loop.csv").symlink_to("loop.csv")
    with pytest.raises(EnvironmentFailure, match="symbolic links"):
        files.write_output(tmp_path / "loop.csv", b"x")
