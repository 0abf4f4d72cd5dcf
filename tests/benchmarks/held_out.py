"""Runs on their validation images, measured more precisely than by a few dozen errors.

Run with `python -m tests.benchmarks.held_out RUN…`. Two networks whose errors differ by three images may differ on all
others: the negative log likelihood shows that. It depends strongly on label smoothing, so it is measured at the temperature
with the lowest value (Guo et al. 2017, "On Calibration of Modern Neural Networks").
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from mnist_exp import datasets
from mnist_exp.config import validate
from mnist_exp.config.checks import validation_images
from mnist_exp.config.schema import shift_count
from mnist_exp.datasets.dataset import split
from mnist_exp.runs.directory import read_config
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import read_record
from mnist_exp.training.prediction import Predictor

LEAST = 1e-12  # a probability that float32 rounds to 0
TEMPERATURES = (0.05, 5.0)  # limits of the search for the best
MAX_SHIFT = 1  # pixels of shift that runs average over; limits the batch size


def negative_log_likelihood(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return the lowest mean over images, in nats, over all temperatures, and its temperature.

    Args:
        probabilities: shape (n, classes).
        labels: shape (n,).
    """
    logits = np.log(np.clip(probabilities.astype(np.float64), LEAST, 1))

    def at(temperature: float) -> float:
        return -float(log_softmax(logits / temperature, axis=1)[np.arange(len(labels)), labels].mean())

    found = minimize_scalar(at, bounds=TEMPERATURES, method="bounded")
    return float(found.fun), float(found.x)


def table_row(name: str, probabilities: np.ndarray, labels: np.ndarray) -> str:
    """Return a row of the table."""
    likelihood, temperature = negative_log_likelihood(probabilities, labels)
    errors = 100 * float(np.mean(probabilities.argmax(axis=1) != labels))
    return f"| {name} | {errors:.2f} | {1000 * likelihood:.2f} | {temperature:.2f} |"


def main() -> int:
    """Print a row for each run, another without its averaging over shifts, and one for the mean of all runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, help="directories of runs with validation images")
    arguments = parser.parse_args()

    import keras

    print("| run | validation error % | negative log likelihood, 1/1000 | at temperature |\n| --- | --- | --- | --- |")
    data, splits, averaged = datasets.load("mnist"), set(), []
    for directory in arguments.runs:
        summary = read_record(directory).summary
        if summary is None:
            sys.exit(f"error: {directory}: has no result")
        config = validate(read_config(Run(directory))).dataset
        held_out = split(data.train_labels, config.limit, validation_images(config), config.split_seed)
        images, labels = data.train_images[held_out.validation], data.train_labels[held_out.validation]
        model = keras.saving.load_model(Run(directory).model, compile=False)
        for inner in [layer for layer in model.layers if isinstance(layer, keras.Model)]:
            print(
                table_row(f"{directory.name}, without averaging over shifts", Predictor(inner, 1)(images), labels),
                flush=True,
            )
        averaged.append(Predictor(model, 1, shift_count(MAX_SHIFT))(images))
        print(table_row(directory.name, averaged[-1], labels), flush=True)
        splits.add(held_out.sha256)
    if len(averaged) > 1 and len(splits) == 1:  # of the same images
        print(table_row("all of them, averaged", np.mean(averaged, axis=0, dtype=np.float64), labels))
    return 0


if __name__ == "__main__":
    sys.exit(main())
