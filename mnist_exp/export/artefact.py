"""Write an artefact and its sidecar file: first under a temporary name, checked there, then renamed."""

import contextlib
import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnist_exp.ensemble.network import PRECISION
from mnist_exp.errors import EnvironmentFailure, InputError, UserError
from mnist_exp.export import sidecars
from mnist_exp.export.check import Check, check
from mnist_exp.export.formats import Format, Quantization
from mnist_exp.export.network import ExportedNetwork
from mnist_exp.machine import files, locks
from mnist_exp.machine.plain_data import describe
from mnist_exp.runs.status import now
from mnist_exp.training.prediction import images_at_once

LOCK = ".lock"
UNFINISHED = f"{files.UNFINISHED}export."  # prefix of the directory in which an artefact is written and checked


@dataclass(frozen=True)
class Artefact:
    """A written and checked artefact."""

    format: Format
    quantization: Quantization | None
    path: Path
    size: int  # bytes
    check: Check


@contextlib.contextmanager
def prepared(directory: Path) -> Iterator[None]:
    """Create a directory for exports and lock it; what a killed process left in it is removed.

    Raises:
        InputError: another process exports into it.
        EnvironmentFailure: it cannot be written.
    """
    with files.writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
    lock, cause = directory / LOCK, f"{directory}: another process exports into it"
    with locks.locked(lock, in_use=lambda: InputError(cause, "wait for it, or use --output")):
        for unfinished in directory.glob(f"{UNFINISHED}*"):
            _remove(unfinished)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                lock.unlink()


def write(
    network: ExportedNetwork,
    chosen: Format,
    quantization: Quantization | None,
    directory: Path,
    advance: Callable[[int], None],
) -> Artefact:
    """Write one artefact into a prepared directory, check it on all test images and write its sidecar file.

    Args:
        advance: called with the number of images that were checked.

    Raises:
        UserError: it cannot be converted, or changes a prediction although it should not; there is no artefact then.
        EnvironmentFailure: a file cannot be written; an earlier artefact still exists.
    """
    final = directory / chosen.file_name(quantization)
    with files.writing(final):
        temporary = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=directory))
        try:
            path = temporary / final.name
            data = network.completed.data
            batch = max(images_at_once(data.test_images.shape[1:]) // sum(network.metadata["shifts"]), 1)
            if quantization == "dynamic":  # ONNX Runtime scales activations by all images of a call
                batch = 1
            with _quiet(), _library_errors(chosen):
                chosen.module.write(network, path, quantization)
                predict = chosen.module.load(path)
                checked = check(predict, data, network.probabilities, batch, advance)
            is_rounded = quantization is not None or checked.largest_difference <= chosen.tolerance
            if len(checked.changed) and not is_rounded:
                raise _changed(chosen, checked)
            artefact = Artefact(chosen, quantization, final, _size(path), checked)
            sidecar = sidecars.path_of(path)
            files.write_json(sidecar, _sidecar(network, artefact, path))
            _sync(temporary)
            sidecar.replace(final.with_name(sidecar.name))  # first: an artefact without one is not ours
            _remove(final)
            path.rename(final)
            files.sync_directory(directory)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return artefact


def reference(network: ExportedNetwork) -> Check:
    """Return the predictions of the exported network next to those that are stored in the run."""
    return Check(network.completed.data, network.probabilities, network.completed.probabilities)


def _sidecar(network: ExportedNetwork, artefact: Artefact, path: Path) -> dict[str, Any]:
    chosen = artefact.format
    precisions = sorted({run.experiment.precision for run in network.completed.runs})
    return {
        "schema": 1,
        "created": now(),
        "format": chosen.name,
        "quantization": artefact.quantization,
        "file": path.name,
        "bytes": artefact.size,
        "sha256": sidecars.content_sha256(path),
        **network.metadata,
        "runtime": {"name": chosen.runtime, "version": chosen.runtime_version},
        "check": artefact.check.to_json(),
        "original": {
            "precision": PRECISION,
            "precision_of_run": precisions[0] if len(precisions) == 1 else precisions,
            "compared_with_run": reference(network).to_json(),
        },
    }


def _changed(chosen: Format, checked: Check) -> UserError:
    """Return the error of an artefact that changes predictions: how many, and one of them."""
    index, names = int(checked.changed[0]), checked.data.class_names
    before, after = (names[one[index].argmax()] for one in (checked.original, checked.probabilities))
    second, first = np.sort(checked.original[index])[-2:]
    cause = (
        f"{chosen.name}: {len(checked.changed):,} of {len(checked.original):,} predictions change: that of test image "
        f"{index} from {before} to {after}, whose probabilities were {first:.7f} and {second:.7f}"
    )
    remedy = f"probabilities differ by up to {checked.largest_difference:.1e}; no file was written: choose another format"
    return UserError(cause, remedy)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the warnings of the libraries in this block from the terminal; this program prints its own in another way."""
    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)  # without one, a library's first warning would add a handler that prints
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.removeHandler(handler)


@contextlib.contextmanager
def _library_errors(chosen: Format) -> Iterator[None]:
    """Replace any exception of a library by one line.

    Raises:
        UserError: the library raised an exception.
        EnvironmentFailure: the disk is full.
    """
    try:
        yield
    except UserError as error:
        error.cause = f"{chosen.name}: {error.cause}"
        raise
    except OSError:
        raise
    except Exception as error:
        if files.FULL_DISK in str(error):
            raise EnvironmentFailure(f"{chosen.name}: cannot be written: {files.FULL_DISK}", "free disk space") from error
        cause = f"{chosen.name}: cannot be exported: {describe(error)}"
        raise UserError(cause, "choose another format, and report this") from error


def _size(path: Path) -> int:
    return sum(one.stat().st_size for one in (path.rglob("*") if path.is_dir() else [path]) if one.is_file())


def _sync(directory: Path) -> None:
    """Have all files of a directory on the disk."""
    for path in directory.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                files.sync(file.fileno())


def _remove(path: Path) -> None:
    """Remove a file or a directory that an earlier export wrote, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
