"""The status of a run: written by the process that trains it, read from its directory by every other command."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from mnist_exp.errors import EnvironmentFailure, UserError
from mnist_exp.machine import files, locks
from mnist_exp.machine.plain_data import read_bytes, read_json
from mnist_exp.runs.directory import last_change, read_config
from mnist_exp.runs.lock import is_alive
from mnist_exp.runs.run import Run
from mnist_exp.runs.summary import Summary

Status = Literal["waiting", "running", "completed", "interrupted", "pruned", "failed", "diverged"]

SUCCESSFUL = frozenset({"completed", "pruned"})  # ended as planned
FAILED = frozenset({"failed", "diverged", "unreadable"})
FINISHED = SUCCESSFUL | {"failed", "diverged"}  # needs no more training
UNFINISHED = frozenset({"waiting", "running", "interrupted", "pruned", "incomplete"})  # has no result, but may be resumed
NOT_A_RUN = "not a run"  # the status of a directory that is not a run
REBUILD_HINT = "build it again: mnist-exp ensemble RUN…"  # it takes seconds, so an ensemble is not resumed
NO_STATUS_RECORDED = "its process exited without recording a status"


def write_status(
    run: Run, status: Status, exit_code: int | None = None, cause: str | None = None, remedy: str | None = None
) -> None:
    """Write status.json: the status and, if the run is not completed, why. The exit code is None while it is running."""
    content = {"schema": 1, "status": status, "exit_code": exit_code, "cause": cause, "remedy": remedy}
    time = datetime.now(UTC).isoformat(timespec="milliseconds")  # jobs of a sweep may end in the same second
    files.write_json(run.status, content | {"time": time} | locks.this_process())


def now() -> str:
    """Return the time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def recorded_time(run: Run) -> float:
    """Return when the status of a run last changed, in seconds since 1970, as recorded in it: a copy has another time.

    Where no valid time is recorded, it is the time of its files.
    """
    try:
        return datetime.fromisoformat(read_json(run.status)["time"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        return last_change(run) / 1e9


@dataclass(frozen=True)
class Record:
    """The status and result of a directory that may be a run; there is a `summary` if and only if the run is completed."""

    directory: Path
    status: str
    cause: str | None
    remedy: str | None
    summary: Summary | None
    exit_code: int | None = None  # of a run that failed

    @property
    def is_final(self) -> bool:
        """Whether a plain `resume` of a sweep leaves the run as it is; a failure of the machine is tried again."""
        return self.status in FINISHED and self.exit_code != EnvironmentFailure.exit_code

    @property
    def ensemble_settings(self) -> dict[str, Any] | None:
        """For an ensemble: the settings that its members share, by dotted key; None for a run."""
        return None if self.summary is None or self.summary.members is None else dict(self.summary.settings)


def read_record(directory: Path) -> Record:
    """Read a run's summary, or why there is none. Never raises, whatever the directory contains."""
    run = Run(directory)
    try:
        summary = Summary.model_validate_json(read_bytes(run.summary))
    except FileNotFoundError:
        return _without_summary(run)
    except ValidationError as error:
        if (schema_1 := read_json(run.summary)).get("schema") == 1:
            return _of_schema_1(run, schema_1)
        return Record(directory, "unreadable", f"summary.json: {first_fault(error)}", None, None)
    except OSError as error:
        return Record(directory, "unreadable", f"summary.json: {error.strerror}", None, None)
    return Record(directory, summary.status, None, None, summary)


def first_fault(error: ValidationError) -> str:
    """Return the first problem of a file, with the key where it is."""
    first = error.errors()[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))


def _of_schema_1(run: Run, content: dict[str, Any]) -> Record:
    from mnist_exp.runs import summary_schema_1  # loads the data set, which other summaries do not need

    try:
        summary = summary_schema_1.upgrade(content, read_config(run))
    except (ValueError, TypeError, UserError) as error:
        cause = f"summary.json: schema 1: {' '.join(str(error).split())}"
        return Record(run.directory, "unreadable", cause, None, None)
    return Record(run.directory, summary.status, None, None, summary)


def _without_summary(run: Run) -> Record:
    directory = run.directory
    try:
        run.status.stat()
    except (FileNotFoundError, NotADirectoryError):
        return Record(directory, NOT_A_RUN, "no status.json and no summary.json", None, None)
    except OSError as error:
        return Record(directory, "unreadable", f"status.json: {error.strerror}", None, None)
    content = read_json(run.status)
    status = content.get("status")
    if not isinstance(status, str):
        return Record(directory, "unreadable", "status.json: is damaged, or not written by mnist-exp", None, None)
    if status == "running" and not is_alive(run.lock, run.log, content):
        if read_json(run.status) != content:  # it has just ended
            return read_record(directory)
        status, cause, action = "interrupted", NO_STATUS_RECORDED, "continue"
    elif status == "completed":
        status, cause, action = "incomplete", "summary.json: is missing, although the run was completed", "write it again"
    else:
        recorded = [str(content[key]) if content.get(key) else None for key in ("cause", "remedy")]
        code = content.get("exit_code")
        return Record(directory, status, recorded[0], recorded[1], None, code if isinstance(code, int) else None)
    remedy = REBUILD_HINT if run.ensemble.exists() else f"{action}: mnist-exp resume {directory}"
    return Record(directory, status, cause, remedy, None)
