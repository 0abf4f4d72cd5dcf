"""TensorFlow is imported once for all tests of this folder; small parts to train with."""

import os
import warnings

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what third parties warn of while they are imported is not ours to mend
    import keras  # noqa: F401
    import tensorflow as tf  # noqa: F401
