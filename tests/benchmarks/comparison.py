"""The time and memory of `mnist-exp compare` for many runs, in cold processes, interleaved.

Run with `make benchmark-comparison`; --manual writes the table into the manual. Bars: for 10,000 runs 3 s and 300 MB, and
from 1,000 to 10,000 runs no more than ten times the time beyond that of the smallest.
"""

import argparse
import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mnist_exp.run.run import Run
from mnist_exp.run.status import write_status
from tests.benchmarks.manual import TABLES, replace_between
from tests.unit.run_directories import TEST_IMAGES, make_run

COUNTS = (100, 1_000, 10_000)
SEEDS = 5
REPETITIONS = 5
SECONDS_BAR, MEMORY_BAR = 3.0, 300.0
KINDS = {"5 seeds of each configuration": SEEDS, "one seed of each": 1}


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


def measure(place: Path) -> tuple[float, float]:
    """The seconds and megabytes of one cold process."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "mnist_exp", "compare", str(place)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"compare exited with {process.returncode}")
    return time.perf_counter() - start, usage.ru_maxrss / 1e3


def main() -> int:
    """Measure, print, and return 1 if a bar is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--manual", action="store_true")
    arguments = parser.parse_args()
    results: dict[tuple[str, int], list[tuple[float, float]]] = {(kind, count): [] for kind in KINDS for count in COUNTS}
    with tempfile.TemporaryDirectory() as temporary:
        for kind, count in results:
            make_runs(directory_of(temporary, kind, count), count, KINDS[kind])
        for _ in range(REPETITIONS):
            for (kind, count), values in results.items():
                values.append(measure(directory_of(temporary, kind, count)))
    rows = ["| runs | | s, cold | memory, MB |", "| --- | --- | --- | --- |"]
    rows += [
        f"| {count:,} | {kind} | {median_and_range(values, 0, 2)} | {median_and_range(values, 1, 0)} |"
        for (kind, count), values in results.items()
    ]
    text = "\n".join(rows)
    print(text)
    if arguments.manual:
        replace_between(*TABLES["comparison"], text)
    met = all(is_met(kind, results) for kind in KINDS)
    print("every bar is met" if met else "A BAR IS MISSED", file=sys.stderr)
    return 0 if met else 1


def is_met(kind: str, results: dict[tuple[str, int], list[tuple[float, float]]]) -> bool:
    """Whether time and memory for the most runs are within the bars, and the time grows linearly."""
    few, many, most = (statistics.median(seconds for seconds, _ in results[kind, count]) for count in COUNTS)
    memory = statistics.median(megabytes for _, megabytes in results[kind, COUNTS[-1]])
    return (
        most <= SECONDS_BAR and memory <= MEMORY_BAR and most - few <= 1.2 * (COUNTS[-1] / COUNTS[1]) * max(many - few, 0.1)
    )


def directory_of(temporary: str, kind: str, count: int) -> Path:
    """The directory of these runs."""
    directory = Path(temporary) / f"{KINDS[kind]}_{count}"
    directory.mkdir(exist_ok=True)
    return directory


def median_and_range(values: list[tuple[float, float]], which: int, decimals: int) -> str:
    """Median (range)."""
    chosen = [value[which] for value in values]
    return f"{statistics.median(chosen):.{decimals}f} ({min(chosen):.{decimals}f} – {max(chosen):.{decimals}f})"


if __name__ == "__main__":
    sys.exit(main())
