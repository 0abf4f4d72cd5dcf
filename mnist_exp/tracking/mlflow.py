"""MLflow: runs are found on the server by a tag with their id, so the server alone decides what it still lacks."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mnist_exp.config.problems import format_value
from mnist_exp.config.schema import MlflowTrackerConfig
from mnist_exp.terminal import messages
from mnist_exp.tracking.snapshot import Identity, RunSnapshot

ID_TAG = "mnist_exp.id"
PARENT_TAG = "mlflow.parentRunId"  # known to MLflow, as COMMIT_TAG
COMMIT_TAG = "mlflow.source.git.commit"
EPOCH_METRIC = "train_loss"  # in every row of history.csv
STATUSES = {"running": "RUNNING", "completed": "FINISHED", "pruned": "KILLED", "interrupted": "KILLED"}  # others: FAILED
# Limits of the server: characters of a key, a parameter and a tag; items in one request.
FORBIDDEN_IN_KEY = re.compile(r"[^A-Za-z0-9_. :-]|^\.")
MAX_KEY, MAX_PARAMETER, MAX_TAG = 250, 6000, 8000
MAX_METRICS, MAX_PARAMETERS = 800, 100


class Mlflow:
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

    def open_run(self, snapshot: RunSnapshot, parent: Identity | None) -> "MlflowRun":
        """Find or create a run, and its parent."""
        experiment = self._experiment_id()
        tags = {} if parent is None else {PARENT_TAG: self._find_or_create(experiment, parent, {}).info.run_id}
        run = self._find_or_create(experiment, snapshot.identity, tags)
        return MlflowRun(self._client, run, f"{self.location}/#/experiments/{experiment}/runs/{run.info.run_id}")

    def send_sweep(self, snapshot: RunSnapshot) -> str:
        """Send the sweep as the run that is the parent of its jobs."""
        run = self.open_run(snapshot, None)
        run.send(snapshot)
        return run.address

    def _experiment_id(self) -> str:
        from mlflow.exceptions import MlflowException

        experiment = self._client.get_experiment_by_name(self._experiment)
        if experiment is None:
            try:
                return str(self._client.create_experiment(self._experiment))
            except MlflowException:
                experiment = self._client.get_experiment_by_name(self._experiment)
                if experiment is None:  # it was not another process that created it meanwhile
                    raise
        return str(experiment.experiment_id)

    def _find_or_create(self, experiment: str, identity: Identity, tags: Mapping[str, str]) -> Any:
        runs = self._client.search_runs([experiment], f"tags.`{ID_TAG}` = '{identity.id}'", max_results=1)
        if runs:
            return runs[0]
        return self._client.create_run(
            experiment,
            start_time=round(identity.started * 1000),
            tags={ID_TAG: identity.id, **tags},
            run_name=messages.sanitize(identity.name),
        )


class MlflowRun:
    """One run on the server."""

    def __init__(self, client: Any, run: Any, address: str) -> None:
        self.address = address
        self._client = client
        self._id = run.info.run_id
        self._status = run.info.status
        self._parameters = set(run.data.params)
        self._metrics = dict(run.data.metrics)
        self._epochs = {metric.step for metric in client.get_metric_history(self._id, EPOCH_METRIC)}

    def send(self, snapshot: RunSnapshot) -> None:
        """Send new epochs and parameters, tags and status; at the end also results and files."""
        from mlflow.entities import Metric, Param, RunTag

        epochs = [row for row in snapshot.epochs if row.epoch not in self._epochs]
        metrics = [
            Metric(_key(name), value, round(row.time * 1000), row.epoch)
            for row in epochs
            for name, value in row.metrics.items()
        ]
        if snapshot.ended is not None:
            time, step = round(snapshot.ended * 1000), len(snapshot.epochs)
            results = {_key(name): value for name, value in snapshot.results.items()}
            metrics += [Metric(key, value, time, step) for key, value in results.items() if self._metrics.get(key) != value]
        parameters = {_key(name): value for name, value in snapshot.parameters.items()}
        new = [
            Param(key, messages.sanitize(format_value(value))[:MAX_PARAMETER])
            for key, value in parameters.items()
            if key not in self._parameters
        ]
        tags = {_key(name): value[:MAX_TAG] for name, value in snapshot.tags.items()}
        if "git_commit" in tags:
            tags[COMMIT_TAG] = tags["git_commit"]
        for batch in _batches(metrics, MAX_METRICS):
            self._client.log_batch(self._id, metrics=batch)
        for batch in _batches(new, MAX_PARAMETERS):
            self._client.log_batch(self._id, params=batch)
        self._client.log_batch(self._id, tags=[RunTag(key, value) for key, value in tags.items()])
        self._epochs |= {row.epoch for row in epochs}
        self._parameters |= set(parameters)
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


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _key(text: str) -> str:
    return FORBIDDEN_IN_KEY.sub("_", text)[:MAX_KEY]
