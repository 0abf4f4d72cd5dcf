"""The network of a run in the user's process, whose own use of Keras must not change."""

import contextlib
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_exp.comparison.rows import Row
from mnist_exp.ensemble import completed
from mnist_exp.errors import EnvironmentFailure
from mnist_exp.machine import backend
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import Record
from mnist_exp.terminal import streams

if TYPE_CHECKING:
    import keras

NEEDED = {"backend": "tensorflow", "floatx": "float32", "image_data_format": "channels_last"}  # of Keras's settings


def load(run: Run, record: Record) -> "keras.Model":
    """Rebuild the network of a completed run or ensemble, with checked weights.

    Raises:
        InputError: its data set or a member is not available, or another version trained it.
        IntegrityError: its files are damaged.
        EnvironmentFailure: Keras runs with other settings in this process.
    """
    read = completed.read(Row(run.directory.name, record))
    with keras_of_user():
        from mnist_exp.ensemble.network import rebuild_completed

        return rebuild_completed(read)


@contextlib.contextmanager
def keras_of_user() -> Iterator[None]:
    """Import Keras, and restore at the end of the block what building a network changes: data type and random numbers.

    Raises:
        EnvironmentFailure: Keras runs with other settings in this process.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    with contextlib.ExitStack() as stack:
        if "keras" not in sys.modules:
            stack.enter_context(_without_hints())
            with backend.without_user_settings():
                import keras  # noqa: F401
        with _unchanged():
            yield


@contextlib.contextmanager
def _unchanged() -> Iterator[None]:
    import keras

    for name, needed in NEEDED.items():
        if (found := getattr(keras.config, name)()) != needed:
            cause = f"Keras: {name} is {found} in this process, but the networks of runs need {needed}"
            raise EnvironmentFailure(cause, "import mnist_exp and load the model in a new process, without changing it")
    policy, state = keras.config.dtype_policy(), random.getstate()
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        random.setstate(state)


@contextlib.contextmanager
def _without_hints() -> Iterator[None]:
    """Remove what TensorFlow writes about builds and drivers when it starts in this block; other messages come later."""
    sys.stderr.flush()
    with tempfile.NamedTemporaryFile() as file:
        kept = os.dup(streams.STANDARD_ERROR)
        os.dup2(file.fileno(), streams.STANDARD_ERROR)
        try:
            with backend.without_hints(Path(file.name)):
                yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, streams.STANDARD_ERROR)
            os.close(kept)
            os.write(streams.STANDARD_ERROR, Path(file.name).read_bytes())
