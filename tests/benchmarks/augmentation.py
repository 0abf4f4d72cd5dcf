"""The cost of augmentation: steps of cnn_large without and with each option, in turn, in one process.

Run with `make benchmark-augmentation`; prints a Markdown table. Bar: no option takes more than 25 % of its step.
"""

import argparse
import os
import statistics
import sys
import time

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np

from mnist_exp import datasets
from mnist_exp.datasets.dataset import split
from mnist_exp.training import device, threads
from mnist_exp.training.build import build_trainer
from mnist_exp.training.steps import Steps
from tests.benchmarks.manual import spread
from tests.benchmarks.training import machine
from tests.conftest import ROOT, compose

SHARE_BAR = 25.0  # % of a step
MODEL = "experiment=tutorial_cnn_large"
OPTIONS = sorted(path.stem for path in (ROOT / "conf" / "augmentation").glob("*.yaml"))
PLAIN = "none"


def steps_of(option: str) -> tuple[Steps, int]:
    """Return the steps of the model with that augmentation, and its batch size."""
    settings = compose(MODEL, f"augmentation={option}")
    size = settings.training.batch_size
    cpu = device.prepare("cpu", settings.precision, threads.requested(settings), size, settings.seed)
    data = datasets.load(settings.dataset.name)
    parts = split(data.train_labels, None, 0, settings.dataset.split_seed)
    return build_trainer(settings, data, parts, cpu).steps, size


def measured(repetitions: int, steps: int) -> dict[str, list[float]]:
    """Return the milliseconds of a step with each option, all options in every repetition."""
    built = {option: steps_of(option) for option in OPTIONS}
    seconds: dict[str, list[float]] = {option: [] for option in OPTIONS}
    generator = np.random.default_rng(0)
    rates = np.full(steps, 1e-3, np.float32)
    for number in range(repetitions + 1):  # the first builds the graphs
        for option, (graph, size) in built.items():
            batches = generator.integers(0, 60_000, (steps, size)).astype(np.int32)
            began = time.perf_counter()
            graph(batches, rates, number * steps)
            if number:
                seconds[option].append(1000 * (time.perf_counter() - began) / steps)
        print(f"repetition {number} of {repetitions}", file=sys.stderr, flush=True)
    return seconds


def main() -> int:
    """Measure, print the table, and return 1 if the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--steps", type=int, default=32, help="in a repetition of each option")
    chosen = parser.parse_args()
    size = compose(MODEL).training.batch_size
    found = measured(chosen.repetitions, chosen.steps)
    print(f"{machine()}; {chosen.repetitions} repetitions, median (range).\n")
    print("| augmentation | ms / step | images/s | of the step, % |")
    print("| --- | --- | --- | --- |")
    failed = 0
    for option in (PLAIN, *(option for option in OPTIONS if option != PLAIN)):
        times = found[option]
        shares = [100 * (1 - plain / own) for plain, own in zip(found[PLAIN], times, strict=True)]
        rates = [1000 * size / own for own in times]
        share = "" if option == PLAIN else spread(shares, 0)
        print(f"| {option} | {spread(times)} | {spread(rates, 0)} | {share} |")
        failed += statistics.median(shares) > SHARE_BAR
    print(f"bar of {SHARE_BAR:.0f} %: {'met' if not failed else f'missed by {failed}'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
