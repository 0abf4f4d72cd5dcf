"""An MLflow server: runs are found there by a tag with their identity, so that what it has is the only truth about it."""

import os
import re
from collections.abc import Mapping
from typing import Any

from mnist_exp.config.problems import show
from mnist_exp.config.schema import MlflowTrackerConfig
from mnist_exp.terminal import messages
from mnist_exp.tracking import reaching
from mnist_exp.tracking.snapshot import Identity, RunSnapshot

IDENTITY = "mnist_exp.id"  # tag
PARENT = "mlflow.parentRunId"  # tag that MLflow knows, as the next
COMMIT = "mlflow.source.git.commit"
EVERY_EPOCH = "train_loss"  # a metric that every row of history.csv has
ENDS = {"completed": "FINISHED", "pruned": "KILLED", "interrupted": "KILLED"}  # all others are FAILED
# What the server takes: characters of a key, of a parameter, of a tag; entities in one request.
NO_KEY = re.compile(r"[^A-Za-z0-9_. :-]|^\.")
MOST_KEY, MOST_PARAMETER, MOST_TAG = 250, 6000, 8000
MOST_METRICS, MOST_OTHERS = 800, 100


class Mlflow:
    """A server, and an experiment of MLflow's on it."""

    def __init__(self, settings: MlflowTrackerConfig) -> None:
        self._uri = settings.tracking_uri.rstrip("/")
        self._experiment = settings.experiment
        self.target = f"mlflow {self._uri} {self._experiment}"
        os.environ |= {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": str(settings.timeout),
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # whoever asks does so again, or says that it was in vain
            "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
            "MLFLOW_LOGGING_LEVEL": "ERROR",
        }
        from mlflow import MlflowClient  # which reads the variables

        self._client = MlflowClient(self._uri)
        self._remedy = "start it with: mlflow server; or name another: tracker.tracking_uri=http://HOST:PORT"

    def begin(self, snapshot: RunSnapshot, parent: Identity | None) -> "Remote":
        """Find or make a run, below its sweep's.

        Raises:
            EnvironmentFailure: the server cannot be reached, or refuses it.
        """
        with reaching(self._uri, self._remedy):
            experiment = self._experiment_id()
            above = {} if parent is None else {PARENT: self._found(experiment, parent, {}).info.run_id}
            run = self._found(experiment, snapshot.identity, above)
            known = {metric.step for metric in self._client.get_metric_history(run.info.run_id, EVERY_EPOCH)}
        return Remote(
            self._client, run, known, f"{self._uri}/#/experiments/{experiment}/runs/{run.info.run_id}", self._remedy
        )

    def sweep(self, snapshot: RunSnapshot) -> str:
        """Send what is told of the run that is the parent of a sweep's jobs.

        Raises:
            EnvironmentFailure: the server cannot be reached, or refuses it.
        """
        session = self.begin(snapshot, None)
        session.send(snapshot)
        return session.address

    def _experiment_id(self) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(self._experiment)
        if found is None:
            try:
                return str(self._client.create_experiment(self._experiment))
            except MlflowException:
                found = self._client.get_experiment_by_name(self._experiment)
                if found is None:  # another process has not made it meanwhile
                    raise
        return str(found.experiment_id)

    def _found(self, experiment: str, identity: Identity, tags: Mapping[str, str]) -> Any:
        """The run of MLflow's that has an identity, made if need be."""
        found = self._client.search_runs([experiment], f"tags.`{IDENTITY}` = '{identity.id}'", max_results=1)
        if found:
            return found[0]
        return self._client.create_run(
            experiment,
            start_time=round(identity.started * 1000),
            tags={IDENTITY: identity.id, **tags},
            run_name=messages.sanitize(identity.name),
        )


class Remote:
    """One run on the server."""

    def __init__(self, client: Any, run: Any, known: set[int], address: str, remedy: str) -> None:
        self.address = address
        self._client = client
        self._remedy = remedy
        self._id = run.info.run_id
        self._status = run.info.status
        self._parameters = set(run.data.params)
        self._tags = dict(run.data.tags)
        self._metrics = dict(run.data.metrics)
        self._epochs = known

    def send(self, snapshot: RunSnapshot) -> None:
        """Send what the server does not have; at the end results, files and status.

        Raises:
            EnvironmentFailure: the server cannot be reached, or refuses it.
        """
        with reaching(self.address.partition("/#/")[0], self._remedy):
            self._send(snapshot)

    def close(self) -> None:
        """Nothing is held."""

    def _send(self, snapshot: RunSnapshot) -> None:
        from mlflow.entities import Metric, Param, RunTag

        epochs = [row for row in snapshot.epochs if row.epoch not in self._epochs]
        metrics = [
            Metric(_key(key), value, round(row.time * 1000), row.epoch)
            for row in epochs
            for key, value in row.metrics.items()
        ]
        if snapshot.ended is not None:
            when, step = round(snapshot.ended * 1000), len(snapshot.epochs)
            results = {_key(key): value for key, value in snapshot.results.items()}
            metrics += [Metric(key, value, when, step) for key, value in results.items() if self._metrics.get(key) != value]
        typed = {_key(key): messages.sanitize(show(value))[:MOST_PARAMETER] for key, value in snapshot.parameters.items()}
        parameters = [Param(key, value) for key, value in typed.items() if key not in self._parameters]
        wanted = {_key(key): value[:MOST_TAG] for key, value in snapshot.tags.items()}
        wanted |= {COMMIT: wanted["git_commit"]} if "git_commit" in wanted else {}
        tags = [RunTag(key, value) for key, value in wanted.items() if self._tags.get(key) != value]
        for start in range(0, max(len(metrics), 1), MOST_METRICS):
            self._client.log_batch(self._id, metrics=metrics[start : start + MOST_METRICS])
        for start in range(0, max(len(parameters), len(tags)), MOST_OTHERS):
            end = start + MOST_OTHERS
            self._client.log_batch(self._id, params=parameters[start:end], tags=tags[start:end])
        self._epochs |= {row.epoch for row in epochs}
        self._parameters |= set(typed)
        self._tags |= wanted
        if snapshot.ended is not None:
            for path in snapshot.files:
                self._client.log_artifact(self._id, str(path))
            self._status = ENDS.get(snapshot.status, "FAILED")
            self._client.set_terminated(self._id, self._status, end_time=round(snapshot.ended * 1000))
        elif self._status != "RUNNING":  # it was resumed
            self._status = "RUNNING"
            self._client.update_run(self._id, status=self._status)


def _key(text: str) -> str:
    return NO_KEY.sub("_", text)[:MOST_KEY]
