"""The time of a training step by kind of operation, and its arithmetic.

Usage: python -m tests.benchmarks.profile_steps mlp|cnn_simple|cnn_large float32|bfloat16
Prints one line of JSON: the multiplications and additions of an epoch, the machine's matmul peak (each in GFLOP), and the
milliseconds of processor time that each kind of operation takes in a step.
"""

import collections
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

from mnist_exp import datasets
from mnist_exp.datasets.dataset import split
from mnist_exp.machine.cores import usable_cores
from mnist_exp.training import device
from mnist_exp.training.build import build_trainer
from mnist_exp.training.loop import Trainer
from tests.conftest import compose

STEPS = 50
KINDS = {
    "Conv2DBackpropFilter": "convolution, gradient of the kernel",
    "Conv2DBackpropInput": "convolution, gradient of the input",
    "Conv2D": "convolution",
    "MatMul": "matrix product",
    "MaxPoolGrad": "max-pooling, gradient",
    "MaxPool": "max-pooling",
    "ResourceApply": "optimizer",
    "StatelessRandom": "random numbers",
    "Bias": "bias",
    "Relu": "activation",
    "Cast": "cast",
    "Gather": "batch",
}


def gflop(model: keras.Model, images: int) -> float:
    """Return the arithmetic of one epoch: forward, and twice that backward, without the gradient of the pixels."""
    total, first = 0.0, True
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            places = np.prod(layer.output.shape[1:-1])  # of an image, where the kernel is applied: 1 for a dense layer
            forward = 2 * float(places * np.prod(layer.kernel.shape))
            total += forward * (2 if first else 3)
            first = False
    return total * images / 1e9


def peak(precision: str, size: int = 2048, repetitions: int = 5) -> float:
    """Return the speed of the fastest of some square matrix products, in GFLOP/s."""
    matrix = tf.cast(tf.random.normal([size, size]), precision)
    # One product on each core, as in towers.
    parts = tf.split(matrix, usable_cores())
    products = tf.function(lambda: [tf.reduce_sum(tf.matmul(part, matrix)) for part in parts])
    products()
    seconds = []
    for _ in range(repetitions):
        began = time.perf_counter()
        [product.numpy() for product in products()]
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds) / 1e9


def operations(trainer: Trainer, images: int, batch_size: int) -> dict[str, float]:
    """Return the milliseconds in a step, over all threads, by kind of operation."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    order = np.arange(STEPS * batch_size, dtype=np.int32).reshape(STEPS, batch_size) % images
    arguments = order, trainer.learning_rates[:STEPS], 0
    trainer.steps.compile(batch_size)
    trainer.steps(*arguments)
    with tempfile.TemporaryDirectory() as place:
        tf.profiler.experimental.start(place, tf.profiler.experimental.ProfilerOptions(host_tracer_level=2))
        trainer.steps(*arguments)
        tf.profiler.experimental.stop()
        (file,) = Path(place).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(file.read_bytes())
    spent: collections.Counter[str] = collections.Counter()
    for plane in space.planes:
        for event in (event for line in plane.lines for event in line.events):
            name = plane.event_metadata[event.metadata_id].name
            if "CPU" in plane.name and ":" in name and not name.startswith(("Eager", "Executor", "Kernel")):
                operation = (
                    name.rpartition(":")[2]
                    .removeprefix("_MklNative")
                    .removeprefix("_Mkl")
                    .removeprefix("_")
                    .removeprefix("Fused")
                )
                kind = next((kind for start, kind in KINDS.items() if operation.startswith(start)), "everything else")
                spent[kind] += event.duration_ps / 1e9 / STEPS
    return dict(spent.most_common())


def main(model: str, precision: str) -> None:
    """Measure one network in one precision."""
    chosen = compose(f"experiment=tutorial_{model}", f"precision={precision}")
    cpu = device.prepare("cpu", precision, chosen.threads, chosen.training.batch_size, chosen.seed)
    data = datasets.load("mnist")
    parts = split(data.train_labels, None, 0, 1)
    trainer = build_trainer(chosen, data, parts, cpu)
    found = {
        "gflop": gflop(trainer.model, len(parts.train)),
        "peak": peak(precision),
        "operations": operations(trainer, len(parts.train), chosen.training.batch_size),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
