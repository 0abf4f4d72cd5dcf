"""What a tracker is told of a run or a sweep: read from its directory, and from nowhere else.

So a run that is being trained, one that ended long ago and one that was copied from another machine are told in one way.
"""

import csv
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mnist_exp import config
from mnist_exp.config.identity import config_hash, flat, layered
from mnist_exp.errors import IntegrityError, UserError
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import UNREADABLE, read_json
from mnist_exp.run.directory import last_change, read_config
from mnist_exp.run.names import Run
from mnist_exp.run.status import Record, read_record
from mnist_exp.run.summary import Summary
from mnist_exp.sweep import plan
from mnist_exp.sweep.plan import Sweep
from mnist_exp.terminal import messages

ID = re.compile(r"[0-9a-f]{32}")
SCORES = ("error_percent", "loss")  # of the test and validation images


@dataclass(frozen=True)
class Identity:
    """A run or a sweep, as trackers know it."""

    id: str  # 32 hexadecimal digits, drawn once and kept in its tracking.json
    name: str
    started: float  # seconds since 1970


@dataclass(frozen=True)
class Epoch:
    """One row of history.csv."""

    epoch: int
    time: float  # seconds since 1970 when it ended, had the run never waited
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class RunSnapshot:
    """All that is told."""

    directory: Path
    identity: Identity
    status: str  # see runs.Record
    ended: float | None  # seconds since 1970; None while it may go on
    parameters: Mapping[str, Any]  # the flattened configuration
    tags: Mapping[str, str]
    epochs: Sequence[Epoch]
    results: Mapping[str, float]  # by the keys of summary.json; none unless it completed
    files: Sequence[Path]


def read_run(run: Run) -> RunSnapshot:
    """Read a run.

    Raises:
        IntegrityError: one of its files is not what a run writes.
        EnvironmentFailure: its tracking.json cannot be written.
    """
    record = read_record(run.directory)
    if record.status in {"unreadable", "not a run"}:
        raise IntegrityError(f"{run.directory}: {record.cause}", "it cannot be uploaded; mend it, or train it again")
    environment, told = read_json(run.environment), read_json(run.status)
    changed = last_change(run) / 1e9
    ended = changed if told.get("status") == "running" else _seconds(told.get("time"), changed)  # its process may be gone
    started = _seconds(environment.get("started"), changed)
    try:
        tree = read_config(run)
        every = layered(flat(tree) if record.ensemble_settings is None else record.ensemble_settings)
        settings = {key: value for key, value in every.items() if key.partition(".")[0] != "tracker"}
        epochs = _epochs(run, started)
    except (ValueError, RecursionError) as error:
        cause = " ".join(str(error).split())
        raise IntegrityError(f"{run.directory}: {cause}", "it cannot be uploaded; mend it, or train it again") from None
    return RunSnapshot(
        directory=run.directory,
        identity=Identity(identify(run.tracking), run.directory.resolve().name, started),
        status=record.status,
        ended=None if record.status == "running" else ended,
        parameters={str(key): value for key, value in settings.items()},
        tags=_tags(record, tree, environment),
        epochs=epochs,
        results={} if record.summary is None else _results(record.summary, read_json(run.errors)),
        files=_own(run.directory, run.config, run.ensemble, run.history, run.errors, run.report, run.summary, run.model),
    )


def read_sweep(sweep: Sweep) -> RunSnapshot:
    """Read a sweep, apart from its jobs.

    Raises:
        IntegrityError: its sweep.yaml is not what a sweep writes.
        EnvironmentFailure: its tracking.json cannot be written.
    """
    known = plan.read(sweep)
    states = {read_record(sweep.run(job).directory).status for job in known.jobs}
    if states & {"running"}:
        status = "running"
    elif states <= {"completed", "pruned"}:
        status = "completed"
    else:
        status = "failed" if states & {"failed", "diverged", "unreadable", "incomplete"} else "interrupted"
    started, board = _seconds(known.created, _changed(sweep)), sweep.leaderboard
    boards = (board, board.with_suffix(".csv"), board.with_suffix(".md"))
    return RunSnapshot(
        directory=sweep.directory,
        identity=Identity(identify(sweep.tracking), sweep.directory.resolve().name, started),
        status=status,
        ended=None if status == "running" else _changed(sweep),
        parameters={"overrides": list(known.overrides), "jobs": len(known.jobs)},
        tags={"status": status},
        epochs=(),
        results={},
        files=_own(sweep.directory, sweep.plan, *boards, sweep.report),
    )


def identify(path: Path) -> str:
    """The identity in a tracking.json, drawn and written if there is none; whoever calls it holds its lock.

    Raises:
        IntegrityError: there is something else in it.
        EnvironmentFailure: it cannot be written.
    """
    if not path.exists():
        files.write_json(path, {"schema": 1, "id": secrets.token_hex(16), "uploaded": {}})
    known = read_json(path)
    if not ID.fullmatch(str(known.get("id"))) or not isinstance(known.get("uploaded"), dict):
        raise IntegrityError(f"{path}: is not what a run writes", "remove it: trackers then see another run")
    return str(known["id"])


def is_uploaded(run: Run, target: str) -> bool:
    """Whether a tracker was given all of a run as it stands now; to spare work, not to be relied on."""
    receipts = read_json(run.tracking).get("uploaded")
    return isinstance(receipts, dict) and receipts.get(target) == last_change(run)


def record_upload(run: Run, target: str) -> None:
    """Keep that a tracker was given all of a run.

    Raises:
        EnvironmentFailure: it cannot be written.
    """
    known = read_json(run.tracking)
    files.write_json(run.tracking, known | {"uploaded": known["uploaded"] | {target: last_change(run)}})


def _changed(sweep: Sweep) -> float:
    return max(path.stat().st_mtime for path in (sweep.plan, sweep.log, sweep.leaderboard) if path.exists())


def _epochs(run: Run, started: float) -> list[Epoch]:
    """The rows of history.csv; none if there is no such file.

    Raises:
        ValueError: it is not what a run writes.
    """
    if not run.history.exists():
        return []
    found, time = [], started
    try:
        with run.history.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                metrics = {name: float(value) for name, value in row.items() if name != "epoch" and value != ""}
                time += metrics["seconds"]
                found.append(Epoch(int(row["epoch"]), time, metrics))
    except (*UNREADABLE, csv.Error) as error:
        raise ValueError(f"history.csv: {error}") from None
    return found


def _tags(record: Record, tree: Mapping[Any, Any], environment: Mapping[str, Any]) -> dict[str, str]:
    """What runs are found by."""
    git = environment.get("git")
    known = {
        "status": record.status,
        "cause": record.cause,
        "seed": tree.get("seed"),
        "config_hash": record.summary.config_hash if record.summary else _config_hash(tree),
        "dataset_sha256": record.summary.dataset.sha256 if record.summary else None,
        "git_commit": git.get("commit") if isinstance(git, dict) else None,
    }
    return {name: messages.sanitize(value) for name, value in known.items() if value is not None}


def _config_hash(tree: Any) -> str | None:
    try:
        return config_hash(config.validate(tree))
    except UserError:  # of another version of the program
        return None


def _results(summary: Summary, errors: Mapping[str, Any]) -> dict[str, float]:
    scores = {"test": summary.test, "validation": summary.validation}
    found = {f"{part}.{key}": float(getattr(score, key)) for part, score in scores.items() if score for key in SCORES}
    calibration = errors.get("calibration")
    ece = calibration.get("ece") if isinstance(calibration, dict) else None
    found |= {"test.ece": float(ece)} if isinstance(ece, float) else {}
    found |= {"model.parameters": float(summary.model.parameters), "epochs": float(summary.epochs)}
    found |= {} if summary.best_epoch is None else {"best_epoch": float(summary.best_epoch)}
    return found | {"train_seconds": summary.train_seconds, "wall_seconds": summary.wall_seconds}


def _own(directory: Path, *paths: Path) -> list[Path]:
    """Those that are there and lie there: a link could lead to any file of whoever uploads the run."""
    return [path for path in paths if path.is_file() and path.resolve() == directory.resolve() / path.name]


def _seconds(text: Any, otherwise: float) -> float:
    """A time as `runs.now` writes it, in seconds since 1970."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return otherwise
