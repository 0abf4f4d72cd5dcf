"""States to resume from: each a directory that is there whole or not at all, and says what it must contain.

A checkpoint is written beside its final place, synced, given a manifest of SHA-256 sums, and renamed; the last two stay.
"""

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mnist_exp import runs
from mnist_exp.errors import IntegrityError
from mnist_exp.training.history import Epoch

KEPT = 2
MANIFEST, STATE, HISTORY = "manifest.json", "state.npz", "history.json"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The end of an epoch: the trainer's state and all rows of the history so far."""

    epoch: int
    state: dict[str, np.ndarray]
    history: list[Epoch]


def save(directory: Path, checkpoint: Checkpoint) -> None:
    """Add a checkpoint to a run's `checkpoints/` and remove all but the last two.

    Raises:
        EnvironmentFailure: it cannot be written; the earlier ones are still there.
    """
    final = directory / f"epoch_{checkpoint.epoch:05d}"
    temporary = directory / f".{final.name}.tmp"
    with runs.writing(final):
        directory.mkdir(exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        with (temporary / STATE).open("wb") as file:
            np.savez(file, **checkpoint.state)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        runs.write_json(temporary / HISTORY, [asdict(row) for row in checkpoint.history])
        sums = {name: _sha256(temporary / name) for name in (STATE, HISTORY)}
        runs.write_json(temporary / MANIFEST, {"schema": 1, "epoch": checkpoint.epoch, "sha256": sums})
        shutil.rmtree(final, ignore_errors=True)
        temporary.replace(final)
        runs.sync_directory(directory)
        for old in _listed(directory)[:-KEPT]:
            shutil.rmtree(old)


def load_latest(directory: Path) -> tuple[Checkpoint | None, list[str]]:
    """The last checkpoint that is whole, and what is wrong with those behind it; None where there never was one.

    Raises:
        IntegrityError: there are checkpoints, and none is whole.
    """
    faults: list[str] = []
    for candidate in reversed(_listed(directory)):
        try:
            return _load(candidate), faults
        except (OSError, ValueError, KeyError, TypeError) as error:
            faults.append(f"{candidate}: {error}")
    if faults:
        raise IntegrityError("; ".join(faults), "no checkpoint of this run is whole: train again from the start")
    return None, []


def _load(directory: Path) -> Checkpoint:
    manifest = json.loads((directory / MANIFEST).read_bytes())
    for name in (STATE, HISTORY):
        found = _sha256(directory / name)
        if found != manifest["sha256"][name]:
            raise ValueError(f"{name}: SHA-256 is {found}, expected {manifest['sha256'][name]}")
    with np.load(directory / STATE, allow_pickle=False) as archive:
        state = {name: archive[name] for name in archive.files}
    history = [Epoch(**row) for row in json.loads((directory / HISTORY).read_bytes())]
    return Checkpoint(int(manifest["epoch"]), state, history)


def _listed(directory: Path) -> list[Path]:
    return sorted(directory.glob("epoch_*"))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
