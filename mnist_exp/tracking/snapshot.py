"""Snapshots of runs and sweeps for trackers, read from their directories alone."""

import contextlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mnist_exp import config
from mnist_exp.config.identity import config_hash, expand_layers, flatten, recorded_settings
from mnist_exp.errors import IntegrityError, UserError
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import LISTS, describe, read_bytes, read_json
from mnist_exp.runs import history
from mnist_exp.runs.directory import last_change, read_config
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import FAILED, NOT_A_RUN, SUCCESSFUL, Record, read_record
from mnist_exp.runs.summary import Summary
from mnist_exp.sweep import plan
from mnist_exp.sweep.plan import Sweep
from mnist_exp.terminal import messages

ID = re.compile(r"[0-9a-f]{32}")
SCORE = {"error_percent", "loss"}
TOTALS = dict.fromkeys(("epochs", "best_epoch", "train_seconds", "compile_seconds", "wall_seconds"), True)
RESULTS: Any = {"model": {"parameters"}, "test": SCORE, "validation": SCORE} | TOTALS  # the parts of summary.json to send
REMEDY = "repair the file, or train the run again"


@dataclass(frozen=True)
class Epoch:
    """One row of history.csv."""

    epoch: int
    time: float  # of its end in seconds since 1970, without interruptions of the run
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class RunSnapshot:
    """All data of a run or a sweep for a tracker, at one moment."""

    directory: Path
    id: str  # 32 random hexadecimal digits, stored in tracking.json
    status: str  # as in run.status.Record
    started: float  # seconds since 1970
    ended: float | None  # seconds since 1970; None while it is running
    parameters: Mapping[str, Any]  # settings by dotted key
    tags: Mapping[str, str]
    epochs: Sequence[Epoch]
    results: Mapping[str, float]  # by key of summary.json; empty unless the run is completed
    files: Sequence[Path]

    @property
    def successful(self) -> bool:
        """Whether it has ended as planned."""
        return self.status in SUCCESSFUL

    @property
    def name(self) -> str:
        """The name of the directory."""
        return messages.sanitize(self.directory.resolve().name)


def read_run(run: Run) -> RunSnapshot:
    """Read a run.

    Raises:
        IntegrityError: one of its files is damaged.
        EnvironmentFailure: its tracking.json cannot be written.
    """
    record = read_record(run.directory)
    if record.status in {"unreadable", NOT_A_RUN}:
        raise IntegrityError(f"{run.directory}: cannot be uploaded: {record.cause}", REMEDY)
    environment = read_json(run.environment)
    changed = last_change(run) / 1e9
    started = _seconds(environment.get("started"), changed)
    try:
        tree = read_config(run)
        settings = expand_layers(recorded_settings(tree) if record.ensemble_settings is None else record.ensemble_settings)
        epochs = _read_epochs(run, started)
    except (OSError, ValueError, RecursionError) as error:
        name = f"{Path(error.filename).name}: " if isinstance(error, OSError) and error.filename else ""
        raise IntegrityError(f"{run.directory}: cannot be uploaded: {name}{describe(error)}", REMEDY) from None
    return RunSnapshot(
        directory=run.directory,
        id=_read_id(run.tracking),
        status=record.status,
        started=started,
        ended=None if record.status == "running" else _seconds(read_json(run.status).get("time"), changed),
        parameters={messages.sanitize(key): value for key, value in settings.items() if key.partition(".")[0] != "tracker"},
        tags=_tags(record, tree, environment),
        epochs=epochs,
        results={} if record.summary is None else _results(record.summary, read_json(run.errors)),
        files=_existing(run.config, run.ensemble, run.history, run.errors, run.report, run.summary, run.model),
    )


def read_sweep(sweep: Sweep) -> RunSnapshot:
    """Read a sweep without its jobs.

    Raises:
        IntegrityError: its sweep.yaml is damaged.
        EnvironmentFailure: its tracking.json cannot be written.
    """
    content, board = plan.read(sweep), sweep.leaderboard
    changed = max(path.stat().st_mtime for path in (sweep.plan, sweep.log, board) if path.exists())
    states = {read_record(sweep.run(job).directory).status for job in content.jobs}
    if "running" in states:
        status = "running"
    elif states <= SUCCESSFUL:
        status = "completed"
    else:
        status = "failed" if states & (FAILED | {"incomplete"}) else "interrupted"
    return RunSnapshot(
        directory=sweep.directory,
        id=_read_id(sweep.tracking),
        status=status,
        started=_seconds(content.created, changed),
        ended=None if status == "running" else changed,
        parameters={"overrides": list(content.overrides), "jobs": len(content.jobs)},
        tags={"status": status},
        epochs=(),
        results={},
        files=_existing(sweep.plan, board, board.with_suffix(".csv"), board.with_suffix(".md"), sweep.report),
    )


def _read_id(tracking: Path) -> str:
    """Read the id in a tracking.json, or create it; the caller holds the lock of the file."""
    if not tracking.exists():
        files.write_json(tracking, {"schema": 1, "id": secrets.token_hex(16), "uploaded": {}})
    content = read_json(tracking)
    if not ID.fullmatch(str(content.get("id"))) or not isinstance(content.get("uploaded"), dict):
        raise IntegrityError(f"{tracking}: is damaged", "remove it; trackers then create a new run")
    return str(content["id"])


def _read_epochs(run: Run, started: float) -> list[Epoch]:
    """Read history.csv; raise ValueError if it has a row that `history.read` does not accept."""
    epochs, time = [], started
    lines = read_bytes(run.history, LISTS.size).splitlines() if files.exists(run.history) else []
    rows = history.read(run.history)
    if lines and not (lines[0].startswith(b"epoch,") and len(rows) >= len(lines) - 1):
        raise ValueError(f"history.csv: is damaged after epoch {len(rows)}")
    for row in rows:
        time += row.seconds + (row.compile_seconds or 0)
        metrics = {name: value for name, value in asdict(row).items() if name != "epoch" and value is not None}
        epochs.append(Epoch(row.epoch, time, metrics))
    return epochs


def _tags(record: Record, tree: dict[str, Any], environment: Mapping[str, Any]) -> dict[str, str]:
    git = environment.get("git")
    configuration = record.summary.config_hash if record.summary else None
    with contextlib.suppress(UserError):  # the configuration of another version of mnist-exp
        configuration = configuration or config_hash(config.validate(tree))
    tags = {
        "status": record.status,
        "cause": record.cause,
        "seed": tree.get("seed"),
        "config_hash": configuration,
        "dataset_sha256": record.summary.dataset.sha256 if record.summary else None,
        "git_commit": git.get("commit") if isinstance(git, dict) else None,
    }
    return {name: messages.sanitize(value) for name, value in tags.items() if value is not None}


def _results(summary: Summary, errors: Mapping[str, Any]) -> dict[str, float]:
    results = flatten(summary.model_dump(include=RESULTS))
    calibration = errors.get("calibration")
    results["test.ece"] = calibration.get("ece") if isinstance(calibration, dict) else None
    return {key: value for key, value in results.items() if isinstance(value, int | float)}


def _existing(*paths: Path) -> list[Path]:
    """Return the files that exist and are not links, which could lead to any file of the user who uploads the run."""
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def _seconds(text: Any, default: float) -> float:
    """Convert a time as `run.status.now` writes it to seconds since 1970."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return default
