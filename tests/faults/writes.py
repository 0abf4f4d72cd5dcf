"""Each file operation of a save fails in turn, or is the last before the process is killed."""

import builtins
import contextlib
import errno
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from mnist_exp.errors import EnvironmentFailure
from mnist_exp.machine import files
from mnist_exp.runs.history import Epoch
from mnist_exp.training import checkpoints
from mnist_exp.training.checkpoints import Checkpoint

OPERATIONS = ("fsync", "rename", "replace", "mkdir", "unlink", "remove", "rmdir", "open")
IDENTITY = {"seed": 7}


class Crash(BaseException):
    """The process is killed: no further operation happens, and no clean-up."""


class Faults:
    """Allows some operations and fails the next one, or all further ones."""

    def __init__(self, before: int, error: OSError | Crash | None, lasting: bool) -> None:
        self.count = 0
        self._before = before
        self._error = error
        self._lasting = lasting

    def strikes(self) -> bool:
        """Count an operation; return whether it must fail."""
        self.count += 1
        if self._error is None:
            return False
        return self.count > self._before if self._lasting else self.count == self._before + 1

    def operation(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """The same operation, which may fail."""

        def run(*arguments: Any, **options: Any) -> Any:
            if self.strikes():
                assert self._error is not None
                raise self._error
            return real(*arguments, **options)

        return run

    def opener(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """`open`, and every write of what it opens."""

        def run(path: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if "r" in mode:
                return real(path, mode, *arguments, **options)
            if self.strikes():
                assert self._error is not None
                raise self._error
            return _File(real(path, mode, *arguments, **options), self)

        return run

    def half(self, write: Callable[[Any], int], content: Any) -> int:
        """Write all, or write half and fail, as on a full disk."""
        if self.strikes():
            write(content[: len(content) // 2])
            assert self._error is not None
            raise self._error
        return write(content)

    @contextlib.contextmanager
    def injected(self) -> Iterator[None]:
        """Replace the operations of this process in this block."""
        with contextlib.ExitStack() as stack:
            for name in OPERATIONS:
                stack.enter_context(mock.patch.object(os, name, self.operation(getattr(os, name))))
            opened = self.opener(io.open)
            for module in (io, builtins):
                stack.enter_context(mock.patch.object(module, "open", opened))
            yield


class _File:
    def __init__(self, file: Any, faults: Faults) -> None:
        self._file = file
        self._faults = faults

    def write(self, content: Any) -> int:
        return self._faults.half(self._file.write, content)

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def checkpoint(epoch: int) -> Checkpoint:
    """Return a small state that depends on its epoch."""
    history = [Epoch(number, 0.1, 0.2, 0.3, None, 0.5, 0.6, 0.7) for number in range(1, epoch + 1)]
    return Checkpoint(IDENTITY, epoch, 0, 12.5, {"weights": np.full(1000, epoch, np.float32)}, history)


def checkpoint_survives(place: Path, faults: Faults) -> bool:
    """Save a third checkpoint under faults: the second or the third must be whole, and the next save must work."""
    directory = place / "checkpoints"
    for epoch in (1, 2):
        checkpoints.save(directory, checkpoint(epoch))
    possible = {2, 3}
    with contextlib.suppress(EnvironmentFailure, Crash), faults.injected():
        checkpoints.save(directory, checkpoint(3))
        possible = {3}  # it has returned
    latest, faults_found = checkpoints.load_latest(directory, IDENTITY)
    whole = (
        latest is not None
        and not faults_found
        and latest.epoch in possible
        and (latest.state["weights"] == latest.epoch).all()
    )
    checkpoints.save(directory, checkpoint(4))
    after, faults_found = checkpoints.load_latest(directory, IDENTITY)
    clean = sorted(path.name for path in directory.iterdir())[-1] == "epoch_000004" and len(list(directory.iterdir())) == 2
    return bool(whole and after is not None and after.epoch == 4 and not faults_found and clean)


def file_survives(place: Path, faults: Faults) -> bool:
    """Write a file again under faults: the old or the new content must be there, and the next write must work."""
    path = place / "status.json"
    files.write_json(path, {"is": "old"})
    possible = {"old", "new"}
    with contextlib.suppress(EnvironmentFailure, Crash), faults.injected():
        files.write_json(path, {"is": "new"})
        possible = {"new"}  # it has returned
    whole = json.loads(path.read_bytes())["is"] in possible
    files.write_json(path, {"is": "newer"})
    return whole and json.loads(path.read_bytes())["is"] == "newer"


SAVES: dict[str, Callable[[Path, Faults], bool]] = {"checkpoint": checkpoint_survives, "file": file_survives}
KINDS: tuple[tuple[type[Crash] | int, bool], ...] = (
    (errno.EIO, False),
    (errno.EIO, True),
    (errno.ENOSPC, False),
    (errno.ENOSPC, True),
    (Crash, True),
)


def failures(place: Path, save: Callable[[Path, Faults], bool]) -> tuple[int, int]:
    """Fail each operation of a save in each way; return the tries, and those that left the old or the new state."""
    place.mkdir()
    counted = Faults(0, None, False)
    assert save(place / _fresh(place), counted)
    assert counted.count > 2
    tries = survived = 0
    for before in range(counted.count):
        for kind, lasting in KINDS:
            error = Crash() if kind is Crash else OSError(kind, os.strerror(int(kind)))  # type: ignore[call-overload]
            faults = Faults(before, error, lasting)
            tries += 1
            survived += save(place / _fresh(place), faults)
            assert faults.count > before, "the operation that must fail was never reached"
    return tries, survived


def _fresh(place: Path) -> str:
    name = "run"
    shutil.rmtree(place / name, ignore_errors=True)
    (place / name).mkdir()
    return name
