"""TensorBoard: event files in each run directory, so that the directory of a sweep is the log directory of all its jobs.

Every process that uploads a run writes its event file again from the start, because a file that a killed process left
incomplete cannot be read past its end. TensorFlow is not imported.
"""

import shlex
import socket
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from google.protobuf.struct_pb2 import Struct
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from mnist_exp.config.conversions import format_value
from mnist_exp.runs.run import Run
from mnist_exp.terminal import messages
from mnist_exp.tracking.snapshot import RunSnapshot
from mnist_exp.tracking.tracker import TrackedRun, Tracker

MARKDOWN = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]()#+-!|"} | {"<": "&lt;", "&": "&amp;"})


class Tensorboard(Tracker):
    """The event files of runs."""

    target = location = "tensorboard"
    remedy = "free space or fix the permissions of the run directory"

    def open_run(self, snapshot: RunSnapshot, sweep: RunSnapshot | None) -> "EventFile":  # noqa: ARG002  (the path shows it)
        return EventFile(snapshot)

    def send_sweep(self, snapshot: RunSnapshot) -> str:
        """Return the command for all jobs: their files are in the directory of the sweep."""
        return _command(snapshot)


class EventFile(TrackedRun):
    """The event file of one run."""

    def __init__(self, snapshot: RunSnapshot) -> None:
        self.address = _command(snapshot)
        directory = Run(snapshot.directory).tensorboard
        directory.mkdir(exist_ok=True)
        for old in directory.glob("events.out.tfevents.*"):
            old.unlink()
        name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}"
        self._writer = RecordWriter((directory / name).open("wb"))
        self._sent = 0  # epochs
        self._write(snapshot.started, 0, file_version="brain.Event:2")
        # A running TensorBoard discards the events of the old file.
        self._write(snapshot.started, 0, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))
        parameters = Struct()
        for key, value in snapshot.parameters.items():
            parameters[key] = value if isinstance(value, int | float) else messages.sanitize(format_value(value))
        info = plugin_data_pb2.SessionStartInfo(start_time_secs=snapshot.started, hparams=parameters.fields)
        self._write_session(snapshot.started, metadata.SESSION_START_INFO_TAG, session_start_info=info)

    def send(self, snapshot: RunSnapshot) -> None:
        """Write new epochs; at the end also results, tags and status."""
        for row in snapshot.epochs[self._sent :]:
            self._write_scalars(row.time, row.epoch, row.metrics)
        self._sent = len(snapshot.epochs)
        if snapshot.ended is not None:
            self._write_scalars(snapshot.ended, self._sent, snapshot.results)
            rows = "".join(f"| {name} | {text.translate(MARKDOWN)} |\n" for name, text in snapshot.tags.items())
            table = text_pb("tags/text_summary", np.array([f"| tag | |\n| --- | --- |\n{rows}"]))
            self._write(snapshot.ended, 0, summary=table)
            status = api_pb2.STATUS_SUCCESS if snapshot.successful else api_pb2.STATUS_FAILURE
            end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=snapshot.ended)
            self._write_session(snapshot.ended, metadata.SESSION_END_INFO_TAG, session_end_info=end)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()

    def _write_scalars(self, when: float, step: int, values: Mapping[str, float]) -> None:
        scalars = [{"tag": key, "simple_value": value} for key, value in values.items()]
        self._write(when, step, summary=summary_pb2.Summary(value=scalars))

    def _write_session(self, when: float, tag: str, **info: Any) -> None:
        """Write a message for the HPARAMS tab."""
        described = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**info))
        value = summary_pb2.Summary.Value(tag=tag, metadata=described, tensor=metadata.NULL_TENSOR)
        self._write(when, 0, summary=summary_pb2.Summary(value=[value]))

    def _write(self, when: float, step: int, **content: Any) -> None:
        self._writer.write(event_pb2.Event(wall_time=when, step=step, **content).SerializeToString())


def _command(snapshot: RunSnapshot) -> str:
    return f"tensorboard --logdir {shlex.quote(str(snapshot.directory))}"
