"""The tutorial's networks in other programs on a GPU: python gpu_programs.py PROGRAM EPOCHS MODEL…

Prints a JSON object: the version, and the seconds of each epoch by model. All numbers are float32; PyTorch and JAX keep the
images on the GPU, as this program does.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent))
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # JAX takes the memory that it needs

import numpy as np

from mnist_exp import datasets

TRAIN, BATCH = 55_000, 200
SIZES: dict[str, tuple[list[tuple[int, int]], list[int]]] = {  # filters and kernel sizes, units
    "mlp": ([], [784, 10]),
    "cnn_simple": ([(32, 5)], [128, 10]),
    "cnn_large": ([(30, 5), (15, 3)], [128, 50, 10]),
}


def timed(epoch: Callable[[int], Any], epochs: int) -> list[float]:
    """Return the seconds of each epoch; `epoch` returns when its result is on the host."""
    seconds = []
    for number in range(epochs):
        start = time.perf_counter()
        epoch(number)
        seconds.append(time.perf_counter() - start)
    return seconds


def orders(epoch: int) -> np.ndarray:
    """Return the images of each step of an epoch, int32 (steps, batch)."""
    return np.random.default_rng(epoch).permutation(TRAIN).astype(np.int32).reshape(-1, BATCH)


def torch(graph: bool, images: np.ndarray, labels: np.ndarray, epochs: int, models: list[str]) -> Iterator[list[float]]:
    """PyTorch, a Python loop over steps: eager, or one CUDA graph for a step."""
    import torch
    from torch import nn

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(7)
    inputs = (torch.tensor(images.transpose(0, 3, 1, 2)).float() / 255).cuda()
    targets = torch.tensor(labels).long().cuda()
    for model in models:
        filters, units = SIZES[model]
        layers: list[Any] = []
        for count, size in filters:
            layers += [nn.LazyConv2d(count, size), nn.ReLU(), nn.MaxPool2d(2)]
        layers += [*([nn.Dropout(0.2)] if filters else []), nn.Flatten()]
        for count in units[:-1]:
            layers += [nn.LazyLinear(count), nn.ReLU()]
        network = nn.Sequential(*layers, nn.LazyLinear(units[-1])).cuda()
        network(inputs[:BATCH])
        optimizer, loss = torch.optim.Adam(network.parameters(), capturable=graph, fused=True), nn.CrossEntropyLoss()
        batch = torch.zeros(BATCH, dtype=torch.long, device="cuda")

        def step(network=network, optimizer=optimizer, batch=batch, loss=loss) -> Any:  # type: ignore[no-untyped-def]
            optimizer.zero_grad(set_to_none=True)
            value = loss(network(inputs[batch]), targets[batch])
            value.backward()
            optimizer.step()
            return value

        replay = step
        if graph:
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):
                    step()
            torch.cuda.current_stream().wait_stream(stream)
            captured = torch.cuda.CUDAGraph()
            with torch.cuda.graph(captured):
                step()
            replay = captured.replay

        def epoch(number: int, batch=batch, replay=replay) -> None:  # type: ignore[no-untyped-def]
            for rows in torch.tensor(orders(number)).cuda():
                batch.copy_(rows)
                replay()
            torch.cuda.synchronize()

        yield timed(epoch, epochs)


def jax(images: np.ndarray, labels: np.ndarray, epochs: int, models: list[str]) -> Iterator[list[float]]:
    """JAX, an epoch as one scan over its steps."""
    import jax
    import jax.numpy as jnp
    import optax

    jax.config.update("jax_default_matmul_precision", "highest")
    inputs, targets = jnp.asarray(images), jnp.asarray(labels.astype(np.int32))
    optimizer = optax.adam(1e-3)

    def weights(key: Any, *shape: int) -> list[Any]:
        bound = (6 / (np.prod(shape[:-1]) + shape[-1])) ** 0.5
        return [jax.random.uniform(key, shape, minval=-bound, maxval=bound), jnp.zeros(shape[-1])]

    for model in models:
        filters, units = SIZES[model]
        keys, side, channels, parameters = iter(jax.random.split(jax.random.key(7), 9)), 28, 1, []
        for count, size in filters:
            parameters.append(weights(next(keys), size, size, channels, count))
            side, channels = (side - size + 1) // 2, count
        width = side * side * channels
        for count in units:
            parameters.append(weights(next(keys), width, count))
            width = count

        def logits(parameters: Any, x: Any, key: Any, convolutions: int = len(filters)) -> Any:
            for kernel, bias in parameters[:convolutions]:
                x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
                n, high, wide, count = x.shape
                x = x[:, : high // 2 * 2, : wide // 2 * 2].reshape(n, high // 2, 2, wide // 2, 2, count).max((2, 4))
                x = jax.nn.relu(x + bias)
            if convolutions:
                x = jnp.where(jax.random.bernoulli(key, 0.8, x.shape), x / 0.8, 0)
            x = x.reshape(len(x), -1)
            for kernel, bias in parameters[convolutions:-1]:
                x = jax.nn.relu(x @ kernel + bias)
            return x @ parameters[-1][0] + parameters[-1][1]

        def loss(parameters: Any, batch: Any, key: Any, logits: Any = logits) -> Any:
            given = logits(parameters, inputs[batch].astype(jnp.float32) / 255, key)
            return optax.softmax_cross_entropy(given, jax.nn.one_hot(targets[batch], 10)).mean()

        def step(carry: Any, given: Any, loss: Any = loss) -> Any:
            parameters, state = carry
            value, gradients = jax.value_and_grad(loss)(parameters, *given)
            updates, state = optimizer.update(gradients, state)
            return (optax.apply_updates(parameters, updates), state), value

        scan = jax.jit(lambda carry, given, step=step: jax.lax.scan(step, carry, given))
        carry: Any = (parameters, optimizer.init(parameters))

        def epoch(number: int, scan: Any = scan) -> None:
            nonlocal carry
            order = orders(number)
            carry, losses = scan(carry, (jnp.asarray(order), jax.random.split(jax.random.key(number), len(order))))
            np.asarray(losses)

        yield timed(epoch, epochs)


def keras(images: np.ndarray, labels: np.ndarray, epochs: int, models: list[str]) -> Iterator[list[float]]:
    """Plain Keras, as the tutorial has it."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    inputs, targets = images.astype(np.float32) / 255, np.eye(10, dtype=np.float32)[labels]
    for model in models:
        filters, units = SIZES[model]
        layers: list[Any] = [keras.Input((28, 28, 1))]
        for count, size in filters:
            layers += [keras.layers.Conv2D(count, size, activation="relu"), keras.layers.MaxPooling2D()]
        layers += [*([keras.layers.Dropout(0.2)] if filters else []), keras.layers.Flatten()]
        layers += [keras.layers.Dense(count, activation="relu") for count in units[:-1]]
        network = keras.Sequential([*layers, keras.layers.Dense(units[-1], activation="softmax")])
        network.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
        yield timed(lambda _, network=network: network.fit(inputs, targets, BATCH, 1, verbose=0), epochs)  # type: ignore[misc]


def main() -> None:
    """Measure one program."""
    program, epochs, models = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    data = datasets.load("mnist")
    images, labels = data.train_images[:TRAIN], data.train_labels[:TRAIN]
    package = program.removesuffix("_graph")
    measured = {
        "keras": keras,
        "jax": jax,
        "torch": lambda *given: torch(False, *given),
        "torch_graph": lambda *given: torch(True, *given),
    }[program](images, labels, epochs, models)
    seconds = dict(zip(models, measured, strict=True))
    print(json.dumps({"version": f"{package} {metadata.version(package)}", "seconds": seconds}))


if __name__ == "__main__":
    main()
