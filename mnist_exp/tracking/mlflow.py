"""MLflow: runs are found on the server by a tag with their id, so the server alone decides what it still lacks."""

import os
import re
from collections.abc import Mapping
from typing import Any

from mnist_exp.config.conversions import format_value
from mnist_exp.config.trackers import MlflowTrackerConfig
from mnist_exp.terminal import messages
from mnist_exp.tracking.snapshot import RunSnapshot
from mnist_exp.tracking.tracker import TrackedRun, Tracker

ID_TAG = "mnist_exp.id"
PARENT_TAG = "mlflow.parentRunId"  # known to MLflow, as COMMIT_TAG
COMMIT_TAG = "mlflow.source.git.commit"
EPOCH_METRIC = "train_loss"  # in every row of history.csv
STATUSES = {"running": "RUNNING", "completed": "FINISHED", "pruned": "KILLED", "interrupted": "KILLED"}  # others: FAILED
FORBIDDEN_IN_KEY = re.compile(r"[^A-Za-z0-9_. :-]|^\.")
MAX_KEY, MAX_PARAMETER, MAX_TAG = 250, 6000, 8000  # characters that the server accepts


class Mlflow(Tracker):
    """An experiment on an MLflow server."""

    remedy = "start it with: mlflow server; or name another: tracker.tracking_uri=http://HOST:PORT"

    def __init__(self, settings: MlflowTrackerConfig) -> None:
        self.location = settings.tracking_uri.rstrip("/")
        self._experiment = settings.experiment
        self.target = f"mlflow {self.location} {self._experiment}"
        os.environ |= {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": str(settings.timeout),
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # the uploader tries again, or `track` reports the failure
            "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
            "MLFLOW_LOGGING_LEVEL": "ERROR",
        }
        from mlflow import MlflowClient  # reads these variables

        self._client = MlflowClient(self.location)

    def open_run(self, snapshot: RunSnapshot, sweep: RunSnapshot | None) -> "MlflowRun":
        """Find or create a run, and the run of its sweep as its parent."""
        experiment = self._experiment_id()
        tags = {} if sweep is None else {PARENT_TAG: self._find_or_create(experiment, sweep, {}).info.run_id}
        run = self._find_or_create(experiment, snapshot, tags)
        return MlflowRun(self._client, run, f"{self.location}/#/experiments/{experiment}/runs/{run.info.run_id}")

    def send_sweep(self, snapshot: RunSnapshot) -> str:
        """Send the sweep as the run that is the parent of its jobs."""
        run = self.open_run(snapshot, None)
        run.send(snapshot)
        return run.address

    def _experiment_id(self) -> str:
        from mlflow.exceptions import MlflowException

        def find() -> Any:
            return self._client.get_experiment_by_name(self._experiment)

        if not find():
            try:
                self._client.create_experiment(self._experiment)
            except MlflowException:
                if not find():  # it was not another process that created it meanwhile
                    raise
        return str(find().experiment_id)

    def _find_or_create(self, experiment: str, snapshot: RunSnapshot, tags: Mapping[str, str]) -> Any:
        runs = self._client.search_runs([experiment], f"tags.`{ID_TAG}` = '{snapshot.id}'", max_results=1)
        if runs:
            return runs[0]
        # With its tags from the first moment: `log_batch` stores epochs before tags.
        tags = {ID_TAG: snapshot.id, **_tags(snapshot), **tags}
        return self._client.create_run(experiment, round(snapshot.started * 1000), tags, snapshot.name)


class MlflowRun(TrackedRun):
    """One run on the server."""

    def __init__(self, client: Any, run: Any, address: str) -> None:
        self.address = address
        self._client = client
        self._id = run.info.run_id
        self._status = run.info.status
        self._parameters = set(run.data.params)
        self._results = dict(run.data.metrics)
        self._sent = max((metric.step for metric in client.get_metric_history(self._id, EPOCH_METRIC)), default=0)

    def send(self, snapshot: RunSnapshot) -> None:
        """Send new epochs and parameters, tags and status; at the end also results and files."""
        from mlflow.entities import Metric, Param, RunTag

        metrics = [
            Metric(_key(name), value, round(row.time * 1000), row.epoch)
            for row in snapshot.epochs[self._sent :]
            for name, value in row.metrics.items()
        ]
        if snapshot.ended is not None:
            time, step = round(snapshot.ended * 1000), len(snapshot.epochs)
            results = {_key(name): value for name, value in snapshot.results.items()}
            metrics += [Metric(key, value, time, step) for key, value in results.items() if self._results.get(key) != value]
        texts = {_key(name): messages.sanitize(format_value(value)) for name, value in snapshot.parameters.items()}
        parameters = [Param(key, text[:MAX_PARAMETER]) for key, text in texts.items() if key not in self._parameters]
        tags = [RunTag(name, text) for name, text in _tags(snapshot).items()]
        self._client.log_batch(self._id, metrics, parameters, tags)
        self._sent = len(snapshot.epochs)
        self._parameters |= set(texts)
        status = STATUSES.get(snapshot.status, "FAILED")
        if snapshot.ended is not None:
            for path in snapshot.files:
                self._client.log_artifact(self._id, str(path))
            self._client.set_terminated(self._id, status, end_time=round(snapshot.ended * 1000))
        elif self._status != status:  # the run was resumed
            self._client.update_run(self._id, status=status)
        self._status = status

    def close(self) -> None:
        """Do nothing: a run on the server needs no connection."""


def _tags(snapshot: RunSnapshot) -> dict[str, str]:
    tags = {name: text[:MAX_TAG] for name, text in snapshot.tags.items()}
    return tags | {COMMIT_TAG: tags["git_commit"]} if "git_commit" in tags else tags


def _key(text: str) -> str:
    return FORBIDDEN_IN_KEY.sub("_", text)[:MAX_KEY]
