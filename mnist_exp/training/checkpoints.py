"""States to resume from: each a directory that is there whole or not at all, and says what it must contain.

A checkpoint is written beside its final place, synced, given a manifest of SHA-256 sums, and renamed; the last two stay.
"""

import hashlib
import json
import os
import shutil
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnist_exp.config.identity import changes
from mnist_exp.errors import InputError, IntegrityError
from mnist_exp.machine import files
from mnist_exp.run.history import Epoch

KEPT = 2
SCHEMA = 2
MANIFEST, STATE, HISTORY = "manifest.json", "state.npz", "history.json"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Where a training is: the trainer's state, all rows of the history so far, and whose they are.

    `identity` are the settings of which it is a state; `epoch` counts the finished ones, `step` those behind them;
    `wall_seconds` are those spent up to here, by all processes that trained the run.
    """

    identity: dict[str, Any]
    epoch: int
    step: int
    wall_seconds: float
    state: dict[str, np.ndarray]
    history: list[Epoch]


def save(directory: Path, checkpoint: Checkpoint) -> None:
    """Add a checkpoint to a run's `checkpoints/` and remove all but the last two.

    Raises:
        EnvironmentFailure: it cannot be written; the earlier ones are still there.
    """
    final = directory / _name(checkpoint.epoch, checkpoint.step)
    temporary = directory / f".{final.name}.tmp"
    with files.writing(final):
        if not directory.exists():
            directory.mkdir()
            files.sync_directory(directory.parent)
        for unfinished in directory.glob(".epoch_*"):  # by a process that was killed, or a disk that was full
            shutil.rmtree(unfinished, ignore_errors=True)
        temporary.mkdir()
        with (temporary / STATE).open("wb") as file:
            np.savez(file, **checkpoint.state)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        files.write_json(temporary / HISTORY, [asdict(row) for row in checkpoint.history])
        sums = {name: _sha256(temporary / name) for name in (STATE, HISTORY)}
        manifest = {"schema": SCHEMA, "sha256": sums}
        manifest |= {name: getattr(checkpoint, name) for name in ("identity", "epoch", "step", "wall_seconds")}
        files.write_json(temporary / MANIFEST, manifest | {"manifest_sha256": _canonical_sha256(manifest)})
        shutil.rmtree(final, ignore_errors=True)
        temporary.replace(final)
        files.sync_directory(directory)
        listed = _listed(directory)
        behind = listed.index(final) + 1  # later ones were passed over as damaged, and are of another past
        for other in listed[: max(behind - KEPT, 0)] + listed[behind:]:
            shutil.rmtree(other)


def load_latest(directory: Path, identity: dict[str, Any]) -> tuple[Checkpoint | None, list[str]]:
    """The last checkpoint that is whole, and what is wrong with any later one; None where there never was one.

    Raises:
        InputError: the checkpoint is of another experiment than `identity`, or of schema 1.
        IntegrityError: there are checkpoints, and none is whole.
    """
    faults: list[str] = []
    for candidate in reversed(_listed(directory)):
        try:
            found = _load(candidate)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
            faults.append(f"{candidate}: {error}")
            continue
        if differing := changes(found.identity, identity):
            cause = f"{directory.parent}: config.yaml has been changed since the run began: {'; '.join(differing)}"
            raise InputError(cause, "undo the change, or train the changed experiment as a run of its own")
        return found, faults
    if faults:
        raise IntegrityError("; ".join(faults), "no checkpoint of this run is whole: train again from the start")
    return None, []


def _load(directory: Path) -> Checkpoint:
    manifest = json.loads((directory / MANIFEST).read_bytes())
    if manifest["schema"] == 1:  # without the settings and the step
        cause = f"{directory}: is a checkpoint of schema 1, which this version of mnist-exp cannot resume"
        raise InputError(cause, f"train it again: its settings are in {directory.parent.parent / 'config.yaml'}")
    if manifest.pop("manifest_sha256") != _canonical_sha256(manifest):
        raise ValueError(f"{MANIFEST}: does not match its own SHA-256")
    if manifest["schema"] != SCHEMA or directory.name != _name(manifest["epoch"], manifest["step"]):
        raise ValueError(f"{MANIFEST}: is of another version of this program, or of another checkpoint")
    for name in (STATE, HISTORY):
        found = _sha256(directory / name)
        if found != manifest["sha256"][name]:
            raise ValueError(f"{name}: SHA-256 is {found}, expected {manifest['sha256'][name]}")
    with np.load(directory / STATE, allow_pickle=False) as archive:
        state = {name: archive[name] for name in archive.files}
    history = [Epoch(**row) for row in json.loads((directory / HISTORY).read_bytes())]
    return Checkpoint(manifest["identity"], manifest["epoch"], manifest["step"], manifest["wall_seconds"], state, history)


def _listed(directory: Path) -> list[Path]:
    return sorted(directory.glob("epoch_*"))


def _name(epoch: int, step: int) -> str:
    return f"epoch_{epoch:06d}" + (f"_step_{step:09d}" if step else "")


def _canonical_sha256(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
