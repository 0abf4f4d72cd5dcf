"""The network that is exported: in float32, with its metadata and its own predictions."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import mnist_exp
from mnist_exp.ensemble.completed import CompletedRun
from mnist_exp.ensemble.network import PRECISION, rebuild_completed
from mnist_exp.machine import files
from mnist_exp.training.device import Device
from mnist_exp.training.prediction import Predictor

INPUT, OUTPUT = "images", "probabilities"  # the names in every format
CALIBRATION_IMAGES = 500  # training images from which a calibrated quantisation learns the ranges of activations


@dataclass(frozen=True, eq=False)
class ExportedNetwork:
    """The network of a completed run or ensemble, as all formats write it."""

    completed: CompletedRun
    model: keras.Model  # in float32, from uint8 (n, height, width, channels) to probabilities (n, classes)
    probabilities: np.ndarray  # of the model on this machine for all test images, float32 (n, classes)

    @cached_property
    def signature(self) -> tf.TensorSpec:
        """The input of the artefact."""
        return tf.TensorSpec(self.model.input.shape, tf.uint8, name=INPUT)

    @cached_property
    def function(self) -> Any:
        """The network as a TensorFlow function with the weights as constants, which converters can read."""
        model = _with_signed_padding(self.model)
        variables = model.trainable_variables, model.non_trainable_variables
        values = [[variable.numpy() for variable in one] for one in variables]

        def predict(images: tf.Tensor) -> dict[str, tf.Tensor]:
            constants = [[tf.constant(value) for value in one] for one in values]
            return {OUTPUT: model.stateless_call(*constants, images, training=False)[0]}

        return tf.function(predict, input_signature=[self.signature], autograph=False)

    @property
    def calibration_images(self) -> np.ndarray:
        """Some training images, in steps of equal size, uint8 (n, height, width, channels)."""
        train = self.completed.split.train
        chosen: np.ndarray = train[:: max(len(train) // CALIBRATION_IMAGES, 1)][:CALIBRATION_IMAGES]
        images: np.ndarray = self.completed.data.train_images[chosen]
        return images

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """What every artefact states about itself."""
        completed, data = self.completed, self.completed.data
        summary = completed.row.summary
        described: dict[str, Any] = {
            "name": completed.run.directory.resolve().name,
            "config_hash": summary.config_hash,
            "seed": summary.seed,
            "model": summary.model.name,
            "model_sha256": files.file_sha256(completed.run.model) if completed.run.model.is_file() else None,
        }
        if completed.is_ensemble:
            described["members"] = [run.run.directory.resolve().name for run in completed.runs]
        return {
            "run": described,
            "dataset": {"name": data.name, "sha256": data.sha256},
            "class_names": list(data.class_names),
            "input": {"name": INPUT, "dtype": "uint8", "shape": list(self.model.input.shape)},
            "output": {"name": OUTPUT, "dtype": "float32", "shape": list(self.model.output.shape)},
            "normalization": {
                "in_model": True,  # the input is raw pixels
                "formula": "pixel × scale + offset, for each channel",
                "layers": [
                    {"scale": _plain(layer.scale), "offset": _plain(layer.offset)} for layer in _scalings(self.model)
                ],  # one, or one for each member
            },
            "shifts": [run.experiment.evaluation.passes for run in completed.runs],  # in the model
            "mnist_exp": mnist_exp.__version__,
        }


def build(completed: CompletedRun, device: Device) -> ExportedNetwork:
    """Rebuild the network of a run or ensemble in float32 and compute its predictions for all test images.

    Raises:
        IntegrityError: the files of the run do not agree.
    """
    with device.scope():
        model = rebuild_completed(completed, PRECISION)
        probabilities = Predictor(model, device.towers, completed.passes)(completed.data.test_images)
    return ExportedNetwork(completed, model, probabilities)


def _with_signed_padding(model: keras.Model) -> keras.Model:
    """Return the same model, with the same weights, that pads signed integers: LiteRT cannot pad uint8."""

    def call(layer: keras.Layer, *inputs: Any, **options: Any) -> Any:
        if not isinstance(layer, keras.layers.ZeroPadding2D):
            return layer(*inputs, **options)
        (pixels,) = inputs
        return keras.ops.cast(layer(keras.ops.cast(pixels, "int32")), pixels.dtype)

    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call, recursive=True)


def _scalings(model: keras.Model) -> Iterator[keras.Layer]:
    """Yield the layers that scale pixels: one for each network that is a part of the model."""
    seen: set[int] = set()
    for layer in model.layers:
        if id(layer) not in seen and isinstance(layer, keras.Model):
            yield from _scalings(layer)
        elif isinstance(layer, keras.layers.Rescaling):
            yield layer
        seen.add(id(layer))


def _plain(values: Any) -> list[float]:
    """Return numbers for each channel, or one for all, as a list."""
    return [float(value) for value in np.ravel(values)]
