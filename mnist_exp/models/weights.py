"""Load the weights of an untrusted model.keras into a Keras model."""

import warnings
from pathlib import Path

import keras

from mnist_exp.errors import IntegrityError
from mnist_exp.machine.model_files import weights_file
from mnist_exp.machine.plain_data import describe

OVERHEAD_BYTES = 2**24  # of HDF5, the model's configuration and random states


def load_weights(model: keras.Model, path: Path) -> None:
    """Load the weights of a model.keras into a model that was built from the settings of the same run.

    The size of the file and of every array in it is limited to what the model can use, before anything is read into memory.
    Keras itself refuses links to other files and arrays of another shape.

    Raises:
        IntegrityError: the file is damaged, too large, or its weights do not fit the model.
    """
    limit = 4 * model.count_params() + OVERHEAD_BYTES  # weights are float32 in every precision
    try:
        with warnings.catch_warnings(), weights_file(path, limit) as copy:
            warnings.simplefilter("ignore")  # Keras also warns about weights for which it then raises an error
            model.load_weights(copy)
    except Exception as error:  # noqa: BLE001  (zipfile, HDF5 and Keras raise many classes for a damaged file)
        cause = f"{path}: its weights do not fit the settings of its run: {describe(error)}"
        raise IntegrityError(cause, "no code of the file was run; train the run again") from None
