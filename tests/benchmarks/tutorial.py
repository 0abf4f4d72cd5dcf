"""The tutorial's script as its readers run it: plain Keras, `fit`, batch 200; the baseline of this program.

Usage: python tests/benchmarks/tutorial.py mlp|cnn_simple|cnn_large EPOCHS
Prints one line of JSON: the seconds of each epoch (without evaluation) and the test error in percent. While it trains
it shows the test accuracy after each epoch on the error stream, as `fit` would.
"""

import json
import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
from keras import layers

from mnist_exp import datasets

SHOWN = "val_accuracy: "


class Clock(keras.callbacks.Callback):
    """The seconds from the beginning of each epoch to its last batch, before `fit` evaluates."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Start."""
        self.began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        """Remember the latest batch."""
        self.latest = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Stop at the last batch."""
        self.seconds.append(self.latest - self.began)
        print(f"{SHOWN}{(logs or {})['val_accuracy']:.4f}", file=sys.stderr, flush=True)


def build(name: str) -> keras.Model:
    """The tutorial's network of that name."""
    if name == "mlp":
        hidden = [
            layers.Flatten(),
            layers.Dense(784, activation="relu", kernel_initializer="normal"),
            layers.Dense(10, activation="softmax", kernel_initializer="normal"),
        ]
    elif name == "cnn_simple":
        hidden = [
            layers.Conv2D(32, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    else:
        hidden = [
            layers.Conv2D(30, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(15, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(50, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    return keras.Sequential([keras.Input((28, 28, 1)), *hidden])


def main(name: str, epochs: int) -> None:
    """Train as the tutorial does."""
    keras.utils.set_random_seed(7)
    data = datasets.load("mnist")
    train, test = data.train_images.astype("float32") / 255, data.test_images.astype("float32") / 255
    train_labels, test_labels = keras.utils.to_categorical(data.train_labels), keras.utils.to_categorical(data.test_labels)
    model = build(name)
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    clock = Clock()
    model.fit(
        train, train_labels, validation_data=(test, test_labels), epochs=epochs, batch_size=200, verbose=0, callbacks=[clock]
    )
    accuracy = model.evaluate(test, test_labels, verbose=0)[1]
    print(json.dumps({"seconds": clock.seconds, "error_percent": 100 - 100 * accuracy}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
