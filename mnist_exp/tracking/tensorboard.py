"""TensorBoard: event files in a run's own directory, so that the directory of a sweep is the log of all its jobs.

Who follows a run anew writes its file anew, which begins by saying that it takes the place of what was there before: a file
that a killed process left half-written could not be read past its end. TensorFlow is not imported, nor needed.
"""

import shlex
import socket
import time
from collections.abc import Mapping
from typing import Any

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.text.metadata import create_summary_metadata as of_text
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_tensor_proto

from mnist_exp.config.problems import show
from mnist_exp.machine import files
from mnist_exp.run.names import Run
from mnist_exp.terminal import messages
from mnist_exp.tracking.snapshot import Identity, RunSnapshot

ENDS = {"completed": api_pb2.STATUS_SUCCESS, "pruned": api_pb2.STATUS_SUCCESS}  # all others are failures
MARKUP = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]()#+-!|"} | {"<": "&lt;", "&": "&amp;"})


class Tensorboard:
    """The event files of runs."""

    target = "tensorboard"

    def begin(self, snapshot: RunSnapshot, parent: Identity | None) -> "Events":  # noqa: ARG002  (the directory says it)
        """Begin a run's file."""
        return Events(snapshot)

    def sweep(self, snapshot: RunSnapshot) -> str:
        """Where to look: its directory holds those of its jobs."""
        return look(snapshot)


class Events:
    """The event file of one run.

    Raises:
        EnvironmentFailure: it cannot be written.
    """

    def __init__(self, snapshot: RunSnapshot) -> None:
        place = Run(snapshot.directory).tensorboard
        self.address = look(snapshot)
        with files.writing(place):
            place.mkdir(exist_ok=True)
            for old in place.glob("events.out.tfevents.*"):
                old.unlink()
            stamp = f"{time.time():.6f}.{socket.gethostname()}"
            self._writer = RecordWriter((place / f"events.out.tfevents.{stamp}").open("wb"))
        self._place = place
        self._sent = 0
        began = snapshot.identity.started
        self._write(began, 0, file_version="brain.Event:2")
        self._write(began, 0, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))  # what was there is void
        info = plugin_data_pb2.SessionStartInfo(start_time_secs=began)
        for key, value in snapshot.parameters.items():
            _put(info.hparams[messages.sanitize(key)], value)
        self._write_session(began, metadata.SESSION_START_INFO_TAG, session_start_info=info)

    def send(self, snapshot: RunSnapshot) -> None:
        """Write the epochs that are new and, of a run that ended, its results and how it ended.

        Raises:
            EnvironmentFailure: the file cannot be written.
        """
        for row in snapshot.epochs[self._sent :]:
            self._write_scalars(row.time, row.epoch, row.metrics)
        self._sent = len(snapshot.epochs)
        if snapshot.ended is not None:
            self._write_scalars(snapshot.ended, self._sent, snapshot.results)
            self._write_text(snapshot.ended, snapshot.tags)
            end = plugin_data_pb2.SessionEndInfo(
                status=ENDS.get(snapshot.status, api_pb2.STATUS_FAILURE), end_time_secs=snapshot.ended
            )
            self._write_session(snapshot.ended, metadata.SESSION_END_INFO_TAG, session_end_info=end)
        with files.writing(self._place):
            self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        with files.writing(self._place):
            self._writer.close()

    def _write_scalars(self, when: float, step: int, values: Mapping[str, float]) -> None:
        found = [summary_pb2.Summary.Value(tag=messages.sanitize(key), simple_value=value) for key, value in values.items()]
        self._write(when, step, summary=summary_pb2.Summary(value=found))

    def _write_text(self, when: float, tags: Mapping[str, str]) -> None:
        rows = "".join(f"| {name} | {text.translate(MARKUP)} |\n" for name, text in tags.items())
        table = make_tensor_proto([f"| tag | |\n| --- | --- |\n{rows}".encode()], dtype=DT_STRING)
        value = summary_pb2.Summary.Value(tag="tags/text_summary", metadata=of_text("tags", ""), tensor=table)
        self._write(when, 0, summary=summary_pb2.Summary(value=[value]))

    def _write_session(self, when: float, tag: str, **info: Any) -> None:
        """A message of the tab HPARAMS."""
        described = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**info))
        value = summary_pb2.Summary.Value(tag=tag, metadata=described, tensor=metadata.NULL_TENSOR)
        self._write(when, 0, summary=summary_pb2.Summary(value=[value]))

    def _write(self, when: float, step: int, **content: Any) -> None:
        with files.writing(self._place):
            self._writer.write(event_pb2.Event(wall_time=when, step=step, **content).SerializeToString())


def look(snapshot: RunSnapshot) -> str:
    """The command that shows it."""
    return f"tensorboard --logdir {shlex.quote(messages.sanitize(snapshot.directory))}"


def _put(field: Any, value: Any) -> None:
    if isinstance(value, bool):
        field.bool_value = value
    elif isinstance(value, int | float):
        field.number_value = value
    else:
        field.string_value = messages.sanitize(show(value))
