"""Load the weights of an untrusted model.keras. Its config.json, which could name any code, is never read."""

import shutil
import tempfile
import warnings
import zipfile
from pathlib import Path

import h5py
import keras

from mnist_exp.errors import IntegrityError

WEIGHTS = "model.weights.h5"  # the part of a .keras archive with the weights
OVERHEAD_BYTES = 2**24  # of HDF5, the model's configuration and random states
MAX_MESSAGE = 300  # characters of a library's error message


def load_weights(model: keras.Model, path: Path) -> None:
    """Load the weights of a model.keras into a model that was built from the settings of the same run.

    The size of the file and of every array in it is limited to what the model can use, before anything is read into memory.
    Keras itself refuses links to other files and arrays of another shape.

    Raises:
        IntegrityError: the file is damaged, too large, or its weights do not fit the model.
    """
    limit = 4 * model.count_params() + OVERHEAD_BYTES  # weights are float32 in every precision
    try:
        with tempfile.TemporaryDirectory() as directory, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras also warns about weights for which it then raises an error
            copy = Path(directory) / WEIGHTS  # so that the checked bytes are the loaded ones
            _extract(path, copy, limit)
            with h5py.File(copy) as file:
                file.visititems(lambda name, item: _check_array(name, item, limit))
            model.load_weights(copy)
    except Exception as error:  # noqa: BLE001  (zipfile, HDF5 and Keras raise many classes for a damaged file)
        message = " ".join(str(error).split())[:MAX_MESSAGE] or type(error).__name__
        cause = f"{path}: its weights do not fit the settings of its run: {message}"
        raise IntegrityError(cause, "no code of the file was run; train the run again") from None


def _extract(path: Path, copy: Path, limit: int) -> None:
    size = path.stat().st_size
    if size <= limit:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo(WEIGHTS).file_size
            if size <= limit:
                with archive.open(WEIGHTS) as part, copy.open("wb") as file:
                    shutil.copyfileobj(part, file)
                return
    raise ValueError(f"it takes {size:,} bytes, more than {limit:,}")


def _check_array(name: str, item: h5py.Group | h5py.Dataset, limit: int) -> None:
    """Raise ValueError for an array that would take too much memory; a chunk may be larger than its array."""
    if isinstance(item, h5py.Dataset) and (item.nbytes > limit or item.chunks is not None):
        raise ValueError(f"{name} takes {item.nbytes:,} bytes or is compressed")
