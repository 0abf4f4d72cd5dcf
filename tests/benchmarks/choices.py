"""Alternatives of the training loop, each against the loop as it is: interleaved, medians, and the ratio.

Run with `.venv/bin/python -m tests.benchmarks.choices [REPETITIONS]`; prints the Markdown table of CONTRIBUTING.md. Every
measurement is a new process, since TensorFlow's thread pools and its determinism are set once per process.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from unittest import mock

MODELS = (("mlp", "float32"), ("cnn_simple", "float32"), ("cnn_large", "float32"), ("cnn_large", "bfloat16"))
STEPS = 32  # of a chunk; three chunks are timed
CHOICES = {
    "as it is": [],
    "one tower, TensorFlow's own threads": ["threads.towers=1", "threads.intra_op=2"],
    "towers, TensorFlow's own threads": ["threads.intra_op=2"],
    "twice as many towers": ["threads.towers=4"],
    "Keras's own Adam": [],
    "Keras's own dropout": [],
    "activation before pooling": [],
    "without determinism": [],
    "compiled by XLA": [],
}


@contextlib.contextmanager
def chosen(choice: str) -> Iterator[None]:
    """Run this block with that alternative, unless it is a setting."""
    import keras
    import tensorflow as tf

    from mnist_exp.training import device, forward, optimizers

    if choice == "Keras's own Adam":
        patch = mock.patch.dict(optimizers.CLASSES, adam=keras.optimizers.Adam)
    elif choice == "Keras's own dropout":
        own: Callable[[forward.Forward, keras.Layer], keras.Layer] = forward.Forward._replace

        def replace(self: forward.Forward, layer: keras.Layer) -> keras.Layer:
            return layer if isinstance(layer, keras.layers.Dropout) else own(self, layer)

        patch = mock.patch.object(forward.Forward, "_replace", replace)
    elif choice == "activation before pooling":
        patch = mock.patch.object(forward, "MONOTONIC", ())
    elif choice == "without determinism":
        patch = mock.patch.object(tf.config.experimental, "enable_op_determinism")
    elif choice == "compiled by XLA":
        patch = mock.patch.object(device.Device, "uses_xla", True)
    else:
        patch = contextlib.nullcontext()
    with patch:
        yield


def milliseconds(choice: str, model: str, precision: str) -> float:
    """Return the milliseconds of a step, in this process."""
    import numpy as np

    from mnist_exp import datasets
    from mnist_exp.datasets.dataset import split
    from mnist_exp.training import device
    from mnist_exp.training.build import build_trainer
    from tests.conftest import compose

    settings = compose(f"experiment=tutorial_{model}", f"precision={precision}", *CHOICES[choice])
    with chosen(choice):
        cpu = device.prepare("cpu", precision, settings.threads, settings.training.batch_size, settings.seed)
        data = datasets.load("mnist")
        size = settings.training.batch_size
        trainer = build_trainer(settings, data, split(data.train_labels, None, 0, 1), cpu)
        order = np.random.default_rng(0).permutation(STEPS * size).astype(np.int32).reshape(STEPS, size)
        arguments = order, trainer.learning_rates[:STEPS], 0
        trainer.steps.compile(size)
        trainer.steps(*arguments)
        seconds = []
        for _ in range(3):
            began = time.perf_counter()
            trainer.steps(*arguments)
            seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds) / STEPS


def main(repetitions: int = 5) -> None:
    """Measure every alternative on every model in turn, and print the table."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for number in range(repetitions):
        for choice in CHOICES:
            for model, precision in MODELS:
                command = [sys.executable, "-m", "tests.benchmarks.choices", choice, model, precision]
                environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
                done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
                found.setdefault((choice, model, precision), []).append(float(json.loads(done.stdout)))
        print(f"repetition {number + 1} of {repetitions}", file=sys.stderr, flush=True)
    print(f"| ms / step | {' | '.join(f'{model}, {precision}' for model, precision in MODELS)} |")
    print("| --- |" + " --- |" * len(MODELS))
    for choice in CHOICES:
        cells = []
        for model in MODELS:
            here, base = (statistics.median(found[name, *model]) for name in (choice, "as it is"))
            cells.append(f"{here:.1f}" if choice == "as it is" else f"{here:.1f} (× {here / base:.2f})")
        print(f"| {choice} | {' | '.join(cells)} |")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(json.dumps(milliseconds(*sys.argv[1:])))
    else:
        main(*map(int, sys.argv[1:]))
