"""States to resume from. Each is a directory, complete or absent, with a manifest of what it must contain.

A checkpoint is written to a temporary directory with a manifest of SHA-256 sums, synced and renamed. The last two are kept.
"""

import hashlib
import json
import math
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mnist_exp.config.identity import changes
from mnist_exp.errors import InputError, IntegrityError
from mnist_exp.machine import files
from mnist_exp.machine.arrays import read_arrays
from mnist_exp.machine.plain_data import LISTS, describe, load_json, open_regular, read_bytes
from mnist_exp.runs.history import Epoch

KEPT = 2
OVERHEAD_BYTES = 2**20  # of an archive of arrays
SCHEMA = 2
MANIFEST, STATE, HISTORY = "manifest.json", "state.npz", "history.json"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training at one moment."""

    identity: dict[str, Any]  # the settings that determine the state
    epoch: int  # finished ones
    step: int  # finished ones of the next epoch
    wall_seconds: float  # spent so far, by all processes that trained the run
    state: Mapping[str, ArrayLike]  # from `Trainer.state`; tensors are copied from the device when it is saved
    history: list[Epoch]


def save(directory: Path, checkpoint: Checkpoint) -> None:
    """Add a checkpoint to a run's `checkpoints/` and remove all but the last two.

    Raises:
        EnvironmentFailure: it cannot be written; the earlier ones still exist.
    """
    final = directory / _name(checkpoint.epoch, checkpoint.step)
    temporary = directory / f".{final.name}.tmp"
    with files.writing(final):
        if not directory.exists():
            directory.mkdir()
            files.sync_directory(directory.parent)
        for unfinished in directory.glob(".epoch_*"):  # by a process that was killed, or on a full disk
            shutil.rmtree(unfinished, ignore_errors=True)
        temporary.mkdir()
        with (temporary / STATE).open("wb") as file:
            np.savez(file, **checkpoint.state)  # type: ignore[arg-type]
            file.flush()
            files.sync(file.fileno())
        files.write_json(temporary / HISTORY, [asdict(row) for row in checkpoint.history])
        sums = {name: files.file_sha256(temporary / name) for name in (STATE, HISTORY)}
        manifest = {"schema": SCHEMA, "sha256": sums}
        manifest |= {name: getattr(checkpoint, name) for name in ("identity", "epoch", "step", "wall_seconds")}
        files.write_json(temporary / MANIFEST, manifest | {"manifest_sha256": _json_sha256(manifest)})
        shutil.rmtree(final, ignore_errors=True)
        temporary.replace(final)
        files.sync_directory(directory)
        listed = sorted(directory.glob("epoch_*"))
        end = listed.index(final) + 1
        for other in listed[: max(end - KEPT, 0)] + listed[end:]:  # later ones are damaged, or continue a damaged one
            shutil.rmtree(other)


def load_latest(
    directory: Path, identity: dict[str, Any], state_bytes: float = math.inf
) -> tuple[Checkpoint | None, list[str]]:
    """Load the last undamaged checkpoint, or None if there never was one; also return what is wrong with each later one.

    Args:
        directory: of the checkpoints, which may be untrusted.
        identity: of the experiment.
        state_bytes: of the largest state that it can have.

    Raises:
        InputError: the checkpoint belongs to another experiment than `identity`; or none is undamaged, and one has schema 1.
        IntegrityError: there are checkpoints, and all are damaged.
    """
    faults: list[str] = []
    outdated: InputError | None = None
    for candidate in sorted(directory.glob("epoch_*"), reverse=True):
        try:
            manifest = _read_manifest(candidate)
            differing = changes(manifest["identity"], identity)
            checkpoint = None if differing else _load(candidate, manifest, state_bytes + OVERHEAD_BYTES)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, zipfile.BadZipFile) as error:
            faults.append(f"{candidate}: {describe(error)}")
            continue
        except InputError as error:  # a checkpoint before it may have this schema
            outdated = error
            faults.append(error.cause)
            continue
        if checkpoint is None:
            cause = f"{directory.parent}: config.yaml has changed since the run started: {'; '.join(differing)}"
            raise InputError(cause, "undo the change, or train the changed experiment as a new run")
        return checkpoint, faults
    if outdated is not None:
        raise outdated
    if faults:
        raise IntegrityError("; ".join(faults), "every checkpoint of this run is damaged: train it again")
    return None, []


def _read_manifest(directory: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = load_json(read_bytes(directory / MANIFEST))
    if manifest["schema"] == 1 and "manifest_sha256" not in manifest:  # nor the settings and the step
        cause = f"{directory}: is a checkpoint of schema 1, which this version of mnist-exp cannot resume"
        raise InputError(cause, f"train it again: its settings are in {directory.parent.parent / 'config.yaml'}")
    if manifest.pop("manifest_sha256") != _json_sha256(manifest):
        raise ValueError(f"{MANIFEST}: does not match its own SHA-256")
    if manifest.pop("schema") != SCHEMA or directory.name != _name(manifest["epoch"], manifest["step"]):
        raise ValueError(f"{MANIFEST}: belongs to another version of this program, or to another checkpoint")
    return manifest


def _load(directory: Path, manifest: dict[str, Any], limit: float) -> Checkpoint:
    sums = manifest.pop("sha256")
    for name, most in ((STATE, limit), (HISTORY, LISTS.size)):
        if (size := (directory / name).stat().st_size) > most:  # before its SHA-256 is computed
            raise ValueError(f"{name}: has {size:,} bytes, more than {most:,}")
        if (found := files.file_sha256(directory / name)) != sums[name]:
            raise ValueError(f"{name}: SHA-256 is {found}, expected {sums[name]}")
    with open_regular(directory / STATE) as file:
        state = read_arrays(file, limit)
    history = [Epoch(**row) for row in load_json(read_bytes(directory / HISTORY, LISTS.size), LISTS.values)]
    return Checkpoint(**manifest, state=state, history=history)


def _name(epoch: int, step: int) -> str:
    return f"epoch_{epoch:06d}" + (f"_step_{step:09d}" if step else "")


def _json_sha256(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
