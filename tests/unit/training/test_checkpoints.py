"""Checkpoints are complete or absent, verified, and the last two are kept."""

import dataclasses
import errno
import json
import os
import random
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mnist_exp.errors import EnvironmentFailure, InputError, IntegrityError
from mnist_exp.runs.history import Epoch
from mnist_exp.training import checkpoints
from mnist_exp.training.checkpoints import Checkpoint

IDENTITY = {"model.units": [4], "seed": 7}


def checkpoint(epoch: int, step: int = 0) -> Checkpoint:
    history = [Epoch(number, 0.1, 0.2, 0.3, None, 0.5, 0.6, 0.7) for number in range(1, epoch + 1)]
    return Checkpoint(
        IDENTITY, epoch, step, 12.5, {"model/000/dense/kernel": np.full((2, 3), epoch / 3, np.float32)}, history
    )


def test_a_saved_checkpoint_is_loaded(tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "checkpoints", checkpoint(1))
    loaded, faults = checkpoints.load_latest(tmp_path / "checkpoints", IDENTITY)
    assert loaded is not None
    assert faults == []
    assert (loaded.epoch, loaded.history) == (1, checkpoint(1).history)
    assert loaded.state["model/000/dense/kernel"].tobytes() == checkpoint(1).state["model/000/dense/kernel"].tobytes()


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    for epoch in range(1, 6):
        checkpoints.save(tmp_path, checkpoint(epoch))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch_000004", "epoch_000005"]


def test_a_run_without_checkpoints_has_none(tmp_path: Path) -> None:
    assert checkpoints.load_latest(tmp_path / "nowhere", IDENTITY) == (None, [])


def test_a_checkpoint_of_another_experiment_is_rejected(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, checkpoint(1))
    with pytest.raises(InputError) as caught:
        checkpoints.load_latest(tmp_path, {"model.units": [5], "model.dropout": 0.2})
    changes = "model.units: [4] → [5]; seed: 7 → absent; model.dropout: absent → 0.2"
    assert caught.value.cause == f"{tmp_path.parent}: config.yaml has changed since the run started: {changes}"


def test_a_checkpoint_inside_an_epoch_is_ordered_between_epochs(tmp_path: Path) -> None:
    for epoch, step in ((1, 0), (2, 0), (2, 125)):
        checkpoints.save(tmp_path, checkpoint(epoch, step))
    loaded, _ = checkpoints.load_latest(tmp_path, IDENTITY)
    assert loaded is not None
    assert (loaded.epoch, loaded.step) == (2, 125)
    checkpoints.save(tmp_path, checkpoint(3))
    loaded, _ = checkpoints.load_latest(tmp_path, IDENTITY)
    assert loaded is not None
    assert (loaded.epoch, loaded.step) == (3, 0)


def test_checkpoints_are_ordered_by_epoch_beyond_99999(tmp_path: Path) -> None:
    for epoch in (99_999, 100_000):
        checkpoints.save(tmp_path, dataclasses.replace(checkpoint(1), epoch=epoch))
    loaded, _ = checkpoints.load_latest(tmp_path, IDENTITY)
    assert loaded is not None
    assert (loaded.epoch, loaded.wall_seconds) == (100_000, 12.5)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink])
@pytest.mark.parametrize("name", ["state.npz", "history.json", "manifest.json"])
def test_a_damaged_checkpoint_is_skipped_and_reported(tmp_path: Path, damage: Callable[[Path], None], name: str) -> None:
    for epoch in (1, 2):
        checkpoints.save(tmp_path, checkpoint(epoch))
    damage(tmp_path / "epoch_000002" / name)
    loaded, faults = checkpoints.load_latest(tmp_path, IDENTITY)
    assert loaded is not None
    assert loaded.epoch == 1
    assert len(faults) == 1
    assert "epoch_000002" in faults[0]
    damage(tmp_path / "epoch_000001" / name)
    with pytest.raises(IntegrityError) as caught:
        checkpoints.load_latest(tmp_path, IDENTITY)
    assert caught.value.exit_code == 3


def test_a_failed_save_keeps_earlier_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints.save(tmp_path, checkpoint(1))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(EnvironmentFailure, match="No space left"):
            checkpoints.save(tmp_path, checkpoint(2))
    loaded, faults = checkpoints.load_latest(tmp_path, IDENTITY)
    assert loaded is not None
    assert (loaded.epoch, faults) == (1, [])
    checkpoints.save(tmp_path, checkpoint(2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch_000001", "epoch_000002"]


def test_a_flipped_bit_of_a_manifest_is_detected(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, checkpoint(1))
    path = tmp_path / "epoch_000001" / "manifest.json"
    content = path.read_bytes()
    expected = json.loads(content)
    for position in random.Random(0).sample(range(8 * len(content)), 300):
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << position % 8
        path.write_bytes(flipped)
        try:
            found, _ = checkpoints.load_latest(tmp_path, IDENTITY)
        except IntegrityError:
            continue
        assert found is not None  # white space between tokens
        assert json.loads(flipped) == expected


def test_a_save_removes_damaged_later_checkpoints(tmp_path: Path) -> None:
    for epoch in (8, 9):
        checkpoints.save(tmp_path, checkpoint(epoch))
    flip(tmp_path / "epoch_000009" / "state.npz")
    checkpoints.save(tmp_path, checkpoint(8, step=50))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch_000008", "epoch_000008_step_000000050"]
    loaded, faults = checkpoints.load_latest(tmp_path, IDENTITY)
    assert loaded is not None
    assert (loaded.epoch, loaded.step, faults) == (8, 50, [])


def test_every_file_is_synced_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the directory after the rename."""
    done: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def spy_fsync(descriptor: int) -> None:
        done.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        fsync(descriptor)

    def spy_replace(source: Path, target: Path, **options: int) -> None:
        done.append(("rename", Path(target).name))
        replace(source, target, **options)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(os, "replace", spy_replace)
    directory = tmp_path / "checkpoints"
    checkpoints.save(directory, checkpoint(1))
    final = done.index(("rename", "epoch_000001"))
    before, after = done[:final], done[final + 1 :]
    assert ("sync", "state.npz") in before
    for name in ("history.json", "manifest.json"):
        kind, temporary = before[before.index(("rename", name)) - 1]
        assert kind == "sync"
        assert re.fullmatch(r"\.unfinished\.[0-9a-f]{16}\.json", temporary)
    assert before.count(("sync", ".epoch_000001.tmp")) >= 2
    assert before[0] == ("sync", tmp_path.name)
    assert after == [("sync", "checkpoints")]


@pytest.mark.parametrize("name", ["state.npz", "history.json"])
def test_a_manifest_without_a_checksum_verifies_nothing(tmp_path: Path, name: str) -> None:
    """Even if it matches its own SHA-256."""
    checkpoints.save(tmp_path, checkpoint(1))
    path = tmp_path / "epoch_000001" / "manifest.json"
    manifest = json.loads(path.read_bytes())
    del manifest["sha256"][name], manifest["manifest_sha256"]
    path.write_text(json.dumps(manifest | {"manifest_sha256": checkpoints._json_sha256(manifest)}))
    with pytest.raises(IntegrityError, match=name):
        checkpoints.load_latest(tmp_path, IDENTITY)


@pytest.mark.parametrize("has_checksum", [True, False])
def test_a_later_checkpoint_of_schema_1_is_skipped(tmp_path: Path, has_checksum: bool) -> None:
    for epoch in (1, 2):
        checkpoints.save(tmp_path, checkpoint(epoch))
    path = tmp_path / "epoch_000002" / "manifest.json"
    manifest = json.loads(path.read_bytes()) | {"schema": 1}  # with its checksum, a damaged manifest of schema 2
    path.write_text(json.dumps(manifest if has_checksum else {"schema": 1, "epoch": 2, "sha256": manifest["sha256"]}))
    loaded, (fault,) = checkpoints.load_latest(tmp_path, IDENTITY)
    assert loaded is not None
    assert loaded.epoch == 1
    assert ("does not match its own SHA-256" if has_checksum else "is a checkpoint of schema 1") in fault


def test_a_state_that_no_trainer_has_is_not_read(tmp_path: Path) -> None:
    for epoch in (1, 2):
        checkpoints.save(tmp_path, checkpoint(epoch))
    with (tmp_path / "epoch_000002" / "state.npz").open("r+b") as file:
        file.truncate(2**40)  # sparse: its SHA-256 would take a day
    loaded, (fault,) = checkpoints.load_latest(tmp_path, IDENTITY, 1000)
    assert loaded is not None
    assert loaded.epoch == 1
    assert "state.npz: has 1,099,511,627,776 bytes, more than 1,049,576" in fault
