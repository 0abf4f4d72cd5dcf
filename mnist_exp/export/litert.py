"""LiteRT (TensorFlow Lite), converted by TensorFlow and run by LiteRT's own interpreter."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mnist_exp.export.formats import Predict, Quantization
from mnist_exp.export.network import INPUT, OUTPUT, ExportedNetwork
from mnist_exp.machine.cores import usable_cores

SIGNATURE = "serving_default"
METADATA = "mnist_exp"  # the name of an entry of the file's metadata; JSON
BATCH = 100  # calibration images at once


def write(network: ExportedNetwork, path: Path, quantization: Quantization | None) -> None:
    """Write the file, with float32 weights or quantised by TensorFlow's converter."""
    concrete = network.function.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
    if quantization is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "int8":
        images = network.calibration_images

        def batches() -> Iterator[list[np.ndarray]]:
            for start in range(0, len(images), BATCH):
                yield [images[start : start + BATCH]]

        converter.representative_dataset = batches
    path.write_bytes(_named(converter.convert(), json.dumps(network.metadata)))


def load(path: Path) -> Predict:
    """Load the file in LiteRT's interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_path=str(path), num_threads=usable_cores()).get_signature_runner(SIGNATURE)

    def predict(images: np.ndarray) -> np.ndarray:
        return np.array(runner(**{INPUT: images})[OUTPUT])

    return predict


def _named(content: bytes, metadata: str) -> bytes:
    """Name the tensors of the only graph as those of its signature, and add metadata."""
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model: Any = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    (graph,) = model.subgraphs
    for name, tensors in ((INPUT, graph.inputs), (OUTPUT, graph.outputs)):
        graph.tensors[tensors[0]].name = name.encode()
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(metadata.encode(), np.uint8)
    entry.name, entry.buffer = METADATA.encode(), len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
