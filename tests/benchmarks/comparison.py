"""The time and memory of `mnist-exp compare` for many runs, as a table and as JSON, in cold processes, interleaved.

Run with `make benchmark-comparison`; --manual writes the table into the manual. Bars: for 10,000 runs 3 s and 300 MB, and
from 1,000 to 10,000 runs no more than ten times the time beyond that of the smallest.
"""

import argparse
import base64
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mnist_exp.runs.run import Run
from mnist_exp.runs.status import write_status
from tests.benchmarks.manual import TABLES, replace_between, spread
from tests.unit.run_directories import TEST_IMAGES, make_run

COUNTS = (100, 1_000, 10_000)
SEEDS = 5
REPETITIONS = 5
SECONDS_BAR, MEMORY_BAR = 3.0, 300.0
# The seeds of each configuration, and the format.
KINDS = {
    f"{name}, {form}": (seeds, form)
    for name, seeds in (("5 seeds of each configuration", SEEDS), ("one seed of each", 1))
    for form in ("table", "json")
}


def make_runs(place: Path, count: int, seeds: int) -> None:
    """Create runs with different errors and learning rates, one of them damaged and one unfinished."""
    model = json.loads((make_run(place / "model", 100, validation_errors=100) / "summary.json").read_text())
    status = (place / "model" / "status.json").read_text()
    for number in range(count):
        run = Run(place / f"2026-11-22T07-35-03_mlp_{number:05d}")
        run.directory.mkdir()
        for path in (run.config, run.log, run.history, run.model, run.errors, run.report, run.predictions):
            path.touch()  # the number of files of a run
        run.status.write_text(status)
        configuration, seed = divmod(number, seeds)
        summary = model | {"seed": seed, "config_hash": f"{configuration:016x}"}
        summary["settings"] = model["settings"] | {"seed": seed, "optimizer.learning_rate": 1e-6 * (configuration + 1)}
        errors = 100 + configuration % 97 + (7 * seed + 3 * configuration) % 11
        for images in ("validation", "test"):
            summary[images] = model[images] | {"errors": errors, "error_percent": errors / 100}
        order = np.random.default_rng(number).permutation(TEST_IMAGES)  # every fourth error is the same in all runs
        wrong = np.zeros(TEST_IMAGES, bool)
        wrong[: errors // 4] = True
        wrong[order[order >= errors // 4][: errors - errors // 4]] = True
        summary["wrong_images"] = base64.b64encode(np.packbits(wrong).tobytes()).decode()
        run.summary.write_text(json.dumps(summary, indent=2))
    Run(place / "2026-11-22T07-35-03_mlp_00000").summary.write_text('{"schema": 3, "na')
    write_status(Run(place / "2026-11-22T07-35-03_mlp_00001"), "running")
    Run(place / "2026-11-22T07-35-03_mlp_00001").summary.unlink()


# By a small process: the peak memory of a process includes that of its parent when it was started.
MEASURE = """
import os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - start
print(os.waitstatus_to_exitcode(status), seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3)
"""


class Cost(NamedTuple):
    """What one cold process took."""

    seconds: float
    cpu_seconds: float
    megabytes: float


def measure(place: Path, form: str) -> Cost:
    """Compare the runs in a directory in a cold process."""
    command = [sys.executable, "-m", "mnist_exp", "compare", str(place), "--format", form]
    done = subprocess.run([sys.executable, "-c", MEASURE, *command], stdout=subprocess.PIPE, text=True, check=True)
    code, *cost = map(float, done.stdout.split())
    if code:
        raise RuntimeError(f"compare exited with {code:.0f}")
    return Cost(*cost)


def main() -> int:
    """Measure, print, and return 1 if a bar is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--manual", action="store_true")
    arguments = parser.parse_args()
    results: dict[tuple[str, int], list[Cost]] = {(kind, count): [] for kind in KINDS for count in COUNTS}
    with tempfile.TemporaryDirectory() as temporary:
        places = {(seeds, count): Path(temporary) / f"{seeds}_{count}" for seeds, _ in KINDS.values() for count in COUNTS}
        for (seeds, count), place in places.items():
            place.mkdir()
            make_runs(place, count, seeds)
        for _ in range(REPETITIONS):
            for (kind, count), costs in results.items():
                seeds, form = KINDS[kind]
                costs.append(measure(places[seeds, count], form))
    rows = ["| runs | | s, cold | CPU s | memory, MB |", "| --- | --- | --- | --- | --- |"]
    rows += [
        f"| {count:,} | {kind} | " + " | ".join(map(spread, zip(*costs, strict=True), (2, 2, 0))) + " |"
        for (kind, count), costs in results.items()
    ]
    text = "\n".join(rows)
    print(text)
    if arguments.manual:
        replace_between(*TABLES["comparison"], text)
    met = all(is_met(kind, results) for kind in KINDS)
    print("every bar is met" if met else "A BAR IS MISSED", file=sys.stderr)
    return 0 if met else 1


def is_met(kind: str, results: dict[tuple[str, int], list[Cost]]) -> bool:
    """Whether time and memory for the most runs are within the bars, and the time grows linearly."""
    few, many, most = (statistics.median(cost.seconds for cost in results[kind, count]) for count in COUNTS)
    memory = statistics.median(cost.megabytes for cost in results[kind, COUNTS[-1]])
    return (
        most <= SECONDS_BAR and memory <= MEMORY_BAR and most - few <= 1.2 * (COUNTS[-1] / COUNTS[1]) * max(many - few, 0.1)
    )


if __name__ == "__main__":
    sys.exit(main())
