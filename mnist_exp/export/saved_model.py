"""TensorFlow's SavedModel: a directory with the graph and the weights as variables."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from mnist_exp.export.formats import Predict, Quantization
from mnist_exp.export.network import INPUT, OUTPUT, ExportedNetwork

SIGNATURE = "serving_default"
METADATA = "assets.extra/metadata.json"  # a directory that TensorFlow keeps for what is not part of the graph


def write(network: ExportedNetwork, path: Path, quantization: Quantization | None) -> None:  # noqa: ARG001
    """Write the directory; there is no quantisation."""
    model = network.model

    def predict(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {OUTPUT: model(images, training=False)}

    module = tf.Module()
    module.variables_of_model = model.variables  # which the function uses
    module.predict = tf.function(predict, input_signature=[network.signature], autograph=False)
    tf.saved_model.save(module, str(path), signatures={SIGNATURE: module.predict})
    metadata = path / METADATA
    metadata.parent.mkdir()
    metadata.write_text(json.dumps(network.metadata, indent=2) + "\n", encoding="ascii")


def load(path: Path) -> Predict:
    """Load the directory in TensorFlow, without Keras and without the code of this program."""
    loaded = tf.saved_model.load(str(path))
    signature = loaded.signatures[SIGNATURE]

    def predict(images: np.ndarray) -> np.ndarray:
        return np.asarray(signature(**{INPUT: tf.constant(images)})[OUTPUT])

    predict.loaded = loaded  # type: ignore[attr-defined]  # its variables live as long as it does
    return predict
