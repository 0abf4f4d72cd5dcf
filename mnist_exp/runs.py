"""A run directory: create, write, read. Every file name and every atomic write of a run stands here."""

import contextlib
import csv
import io
import json
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mnist_exp.errors import EnvironmentFailure, InputError

SUMMARY_SCHEMA = 1
Status = Literal["running", "completed", "interrupted", "failed", "diverged"]


@dataclass(frozen=True)
class Run:
    """The files of one run."""

    directory: Path

    @property
    def config(self) -> Path:
        return self.directory / "config.yaml"

    @property
    def overrides(self) -> Path:
        return self.directory / "overrides.yaml"

    @property
    def environment(self) -> Path:
        return self.directory / "environment.json"

    @property
    def log(self) -> Path:
        return self.directory / "train.log"

    @property
    def history(self) -> Path:
        return self.directory / "history.csv"

    @property
    def checkpoints(self) -> Path:
        return self.directory / "checkpoints"

    @property
    def model(self) -> Path:
        return self.directory / "model.keras"

    @property
    def predictions(self) -> Path:
        return self.directory / "predictions.npz"

    @property
    def errors(self) -> Path:
        return self.directory / "errors.json"

    @property
    def report(self) -> Path:
        return self.directory / "report.html"

    @property
    def figures(self) -> Path:
        return self.directory / "figures"

    @property
    def status(self) -> Path:
        return self.directory / "status.json"

    @property
    def summary(self) -> Path:
        return self.directory / "summary.json"


def create_directory(runs_dir: Path, label: str) -> Path:
    """Make a new directory `<time>_<label>` below `runs_dir`; two that start in the same second never share one.

    Raises:
        EnvironmentFailure: it cannot be made.
    """
    stamp = datetime.now().astimezone().strftime("%Y-%m-%dT%H-%M-%S")
    with writing(runs_dir):
        runs_dir.mkdir(parents=True, exist_ok=True)
        attempt = 1
        while True:
            directory = runs_dir / (f"{stamp}_{label}" if attempt == 1 else f"{stamp}_{label}_{attempt}")
            try:
                directory.mkdir()
            except FileExistsError:
                attempt += 1
            else:
                return directory


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure of the file system into an error that says where and what to do."""
    try:
        yield
    except OSError as error:
        raise EnvironmentFailure(
            f"{error.filename or path}: {error.strerror}",
            "free space or mend permissions there, or choose another place with runs_dir=PATH",
        ) from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to, which then takes the place of `path`.

    At every moment either the old or the new file is there, whole, even after a power cut.

    Raises:
        EnvironmentFailure: it cannot be written; the old file is still there.
    """
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    with writing(path):
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def write(path: Path, content: bytes) -> None:
    """Write a file atomically.

    Raises:
        EnvironmentFailure: it cannot be written; the old content is still there.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def sync_directory(directory: Path) -> None:
    """Make a rename in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, content: Any) -> None:
    """Write JSON that people can read, without NaN."""
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
    write(path, (text + "\n").encode())


def write_table(path: Path, rows: Iterable[Any], row_type: type) -> None:
    """Write dataclass instances of one type as CSV, None as an empty field; floats keep all their digits."""
    if not is_dataclass(row_type):
        raise TypeError(f"{row_type} is no dataclass")
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(row_type)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(row) for row in rows)
    write(path, text.getvalue().encode())


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a compressed .npz archive."""
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    write(path, content.getvalue())


def write_status(
    run: Run, status: Status, exit_code: int | None = None, cause: str | None = None, remedy: str | None = None
) -> None:
    """Say where the run stands and, if it did not complete, why; the exit code is None while it is running."""
    content = {"schema": 1, "status": status, "exit_code": exit_code, "cause": cause, "remedy": remedy}
    content |= {"time": now(), "pid": os.getpid(), "host": socket.gethostname()}
    write_json(run.status, content)


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Record:
    """What can be read of a directory that is, or looks like, a run; `summary` is there if and only if it completed."""

    directory: Path
    status: str
    cause: str | None
    summary: dict[str, Any] | None


def is_run(directory: Path) -> bool:
    """Whether a directory calls itself a run."""
    run = Run(directory)
    return run.status.exists() or run.summary.exists()


def find(place: Path) -> list[Path]:
    """The runs at or below a place in the order of their names, and what else lies directly in it.

    Raises:
        InputError: there is no such place.
    """
    if not place.is_dir():
        raise InputError(f"{place}: there is no such directory", "name a run directory or one that holds runs")
    if is_run(place):
        return [place]
    found = []
    for child in sorted(child for child in place.iterdir() if child.is_dir() and not child.name.startswith(".")):
        below = [] if is_run(child) else sorted(path.parent for path in child.glob("*/status.json"))
        found += below or [child]
    return found


def read(directory: Path) -> Record:
    """Read a run's summary, or why there is none; never fails on a half-written or foreign directory."""
    run = Run(directory)
    if run.summary.exists():
        try:
            summary = json.loads(run.summary.read_bytes())
            if summary["schema"] == SUMMARY_SCHEMA and isinstance(summary["test"]["error_percent"], float):
                return Record(directory, str(summary["status"]), None, summary)
            return Record(directory, "unreadable", f"summary.json has schema {summary['schema']}", None)
        except (OSError, ValueError, KeyError, TypeError) as error:
            return Record(directory, "unreadable", f"summary.json: {type(error).__name__}: {error}", None)
    try:
        status = json.loads(run.status.read_bytes())
        return Record(directory, str(status["status"]), status.get("cause"), None)
    except FileNotFoundError:
        return Record(directory, "no run", "no status.json and no summary.json", None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Record(directory, "unreadable", f"status.json: {type(error).__name__}: {error}", None)
