"""ONNX, converted by tf2onnx and run by ONNX Runtime on the CPU."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from mnist_exp.export.formats import Predict, Quantization
from mnist_exp.export.network import INPUT, OUTPUT, ExportedNetwork
from mnist_exp.machine.cores import usable_cores

BATCH = 100  # calibration images at once


def write(network: ExportedNetwork, path: Path, quantization: Quantization | None) -> None:
    """Write the file, with float32 weights or quantised by ONNX Runtime."""
    model = _convert(network)
    if quantization is None:
        _save(model, network, path)
        return
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as directory:
        exact, fused = (Path(directory) / name for name in ("float.onnx", "fused.onnx"))
        _save(model, network, exact)
        quant_pre_process(exact, fused, skip_symbolic_shape=True)  # a batch norm becomes part of its convolution
        _quantize(network, fused, path, quantization)


def load(path: Path) -> Predict:
    """Load the file in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def predict(images: np.ndarray) -> np.ndarray:
        return np.asarray(session.run([OUTPUT], {INPUT: images})[0])

    return predict


def _convert(network: ExportedNetwork) -> Any:
    from keras.src.export.tf2onnx_lib import patch_tf2onnx

    patch_tf2onnx()  # which does not support NumPy 2 by itself
    import tf2onnx

    model, _ = tf2onnx.convert.from_function(network.function, [network.signature])
    return model


def _save(model: Any, network: ExportedNetwork, path: Path) -> None:
    import onnx

    model.producer_name, model.producer_version = "mnist-exp", network.metadata["mnist_exp"]
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in network.metadata.items()})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _quantize(network: ExportedNetwork, exact: Path, path: Path, quantization: Quantization) -> None:
    from onnxruntime import quantization as tools

    if quantization == "dynamic":
        tools.quantize_dynamic(exact, path, weight_type=tools.QuantType.QUInt8)
    else:
        reader = _Batches(network.calibration_images)
        tools.quantize_static(exact, path, reader, quant_format=tools.QuantFormat.QDQ, per_channel=True)


class _Batches:
    """Batches of calibration images, with the interface of ONNX Runtime's CalibrationDataReader."""

    def __init__(self, images: np.ndarray) -> None:
        self._batches = iter([images[start : start + BATCH] for start in range(0, len(images), BATCH)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next batch, or None."""
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}
