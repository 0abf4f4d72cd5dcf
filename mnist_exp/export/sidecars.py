"""The sidecar files of exports, `NAME.json` next to NAME, read from an untrusted directory."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mnist_exp.errors import InputError
from mnist_exp.machine.files import exists, file_sha256
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs.lineage import Count
from mnist_exp.runs.summary import Amount, Score

ENDING = ".json"


class Part(BaseModel):
    """Base of every section: other keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)


class Origin(Part):
    """The run whose model was exported."""

    model_sha256: str


class McNemar(Part):
    """The test of the artefact against its original."""

    p: Annotated[float, Field(ge=0, le=1)]


class CheckPart(Part):
    """The check on all test images."""

    largest_difference: Amount
    changed: Count
    error: Score
    mcnemar: McNemar


class Sidecar(Part):
    """What the card needs."""

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+(\.[a-z]+)?$")]
    bytes: Count
    sha256: str  # as `content_sha256`
    run: Origin
    check: CheckPart


def path_of(artefact: Path) -> Path:
    """Return the path of the sidecar file of an artefact."""
    return artefact.with_name(artefact.name + ENDING)


def content_sha256(artefact: Path) -> str:
    """Return the SHA-256 of a file; for a directory, that of the names and hashes of its files, in order.

    Raises:
        OSError: it does not exist, or cannot be read.
    """
    if not artefact.is_dir():
        return file_sha256(artefact)
    files = sorted(path for path in artefact.rglob("*") if path.is_file())
    lines = [f"{file_sha256(path)}  {path.relative_to(artefact).as_posix()}\n" for path in files]
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def read_all(directory: Path, model_sha256: str) -> list[Sidecar]:
    """Read the sidecar files of the artefacts of a model in a directory; changed or damaged artefacts are left out."""
    found = []
    for path in sorted(directory.glob(f"*{ENDING}")):
        try:
            sidecar = Sidecar.model_validate(read_json(path))
            artefact = directory / sidecar.file
            actual = content_sha256(artefact)
        except (ValidationError, OSError):
            continue
        if path == path_of(artefact) and actual == sidecar.sha256 and sidecar.run.model_sha256 == model_sha256:
            found.append(sidecar)
    return found


def refuse_other_files(directory: Path, names: Iterable[str]) -> None:
    """Check that the artefacts with these names replace only what an earlier export wrote.

    Raises:
        InputError: a file or directory has such a name, but no sidecar file.
    """
    for name in names:
        path = directory / name
        if exists(path) and not path_of(path).is_file():
            cause = f"{path}: exists, and mnist-exp export did not write it"
            raise InputError(cause, "remove it, or choose another directory: --output DIR")
