"""This program against the tutorial's plain Keras script: whole processes, interleaved, medians and ranges.

Run with `make benchmark`; arguments: repetitions (5) and epochs of each run (3). An epoch's seconds are those of training,
evaluation apart on both sides, and the first epoch, which builds the graph, is left out; `cold` is the whole process from
its start to its result. Prints Markdown.
"""

import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

MODELS = ("mlp", "cnn_simple", "cnn_large")
TUTORIAL = Path(__file__).parent / "tutorial.py"


@dataclass
class Measured:
    """What was seen of one program on one model."""

    epochs: list[float] = field(default_factory=list)
    cold: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    def add(self, command: list[str], place: str) -> str:
        """Run a command; its standard output. Memory is the peak resident set in MB."""
        began = time.perf_counter()
        with subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            out = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{command} ended with {process.returncode}")
        self.cold.append(time.perf_counter() - began)
        self.memory.append(usage.ru_maxrss / 1024)
        return out


def tutorial(measured: Measured, model: str, epochs: int, place: str) -> None:
    """The plain Keras script."""
    out = measured.add([sys.executable, str(TUTORIAL), model, str(epochs)], place)
    measured.epochs += json.loads(out)["seconds"][1:]


def ours(measured: Measured, model: str, epochs: int, place: str, precision: str = "float32") -> None:
    """The same training by this program, report and all."""
    with tempfile.TemporaryDirectory(dir=place) as runs:
        overrides = [
            f"experiment=tutorial_{model}",
            f"training.epochs={epochs}",
            f"precision={precision}",
            f"runs_dir={runs}",
        ]
        measured.add([sys.executable, "-m", "mnist_exp", *overrides, "progress=quiet"], place)
        (directory,) = Path(runs).iterdir()
        with (directory / "history.csv").open() as file:
            measured.epochs += [float(row["seconds"]) for row in csv.DictReader(file)][1:]


def bfloat16(measured: Measured, model: str, epochs: int, place: str) -> None:
    """This program in bfloat16."""
    ours(measured, model, epochs, place, "bfloat16")


PROGRAMS = {"plain Keras": tutorial, "mnist-exp": ours, "mnist-exp bfloat16": bfloat16}


def main(repetitions: int = 5, epochs: int = 3) -> None:
    """Measure everything in turn, so that a slow minute of the machine hits all alike, and print the table."""
    seen = {(model, program): Measured() for model in MODELS for program in PROGRAMS}
    with tempfile.TemporaryDirectory() as place:
        for _ in range(repetitions):
            for (model, program), measured in seen.items():
                PROGRAMS[program](measured, model, epochs, place)
    print("| model | program | s / epoch, median (range) | of plain Keras | images/s | cold, s | peak memory, MB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for (model, program), measured in seen.items():
        median = statistics.median(measured.epochs)
        ratio = median / statistics.median(seen[model, "plain Keras"].epochs)
        seconds = f"{median:.2f} ({min(measured.epochs):.2f} – {max(measured.epochs):.2f})"
        cold, memory = statistics.median(measured.cold), statistics.median(measured.memory)
        print(f"| {model} | {program} | {seconds} | {ratio:.2f} | {60_000 / median:,.0f} | {cold:.1f} | {memory:,.0f} |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
