"""How long `mnist-exp compare` takes over many runs, and how much memory: whole cold processes, interleaved.

Run with `make benchmark-comparison`; --manual writes the table into the manual. Bars: for 10,000 runs 3 s and 300 MB, and
from 1,000 to 10,000 runs no more than ten times the time beyond that of the smallest.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mnist_exp.run.names import Run
from mnist_exp.run.status import write_status
from tests.benchmarks.manual import TABLES, replace_between
from tests.unit.run_directories import make_run

COUNTS = (100, 1_000, 10_000)
SEEDS = 5
REPETITIONS = 5
SECONDS_BAR, MEMORY_BAR = 3.0, 300.0
KINDS = {"5 seeds of each configuration": SEEDS, "one seed of each": 1}


def make(place: Path, count: int, seeds: int) -> None:
    """So many runs, their errors and learning rates all different, one of them damaged and one half-written."""
    model = json.loads((make_run(place / "model", 100, validation_errors=100) / "summary.json").read_text())
    status = (place / "model" / "status.json").read_text()
    for number in range(count):
        run = Run(place / f"2026-11-22T07-35-03_mlp_{number:05d}")
        run.directory.mkdir()
        for path in (run.config, run.log, run.history, run.model, run.errors, run.report, run.predictions):
            path.touch()  # as many files as a run has
        run.status.write_text(status)
        configuration, seed = divmod(number, seeds)
        summary = model | {"seed": seed, "config_hash": f"{configuration:016x}"}
        summary["settings"] = model["settings"] | {"seed": seed, "optimizer.learning_rate": 1e-6 * (configuration + 1)}
        for images in ("validation", "test"):
            errors = 100 + configuration % 97 + (7 * seed + 3 * configuration) % 11
            summary[images] = model[images] | {"errors": errors, "error_percent": errors / 100}
        run.summary.write_text(json.dumps(summary, indent=2))
    Run(place / "2026-11-22T07-35-03_mlp_00000").summary.write_text('{"schema": 3, "na')
    write_status(Run(place / "2026-11-22T07-35-03_mlp_00001"), "running")
    Run(place / "2026-11-22T07-35-03_mlp_00001").summary.unlink()


def measured(place: Path) -> tuple[float, float]:
    """Seconds and megabytes of one cold process."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "mnist_exp", "compare", str(place)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"compare ended with {process.returncode}")
    return time.perf_counter() - began, usage.ru_maxrss / 1e3


def main() -> int:
    """Measure, print, and say whether a bar was missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--manual", action="store_true")
    arguments = parser.parse_args()
    found: dict[tuple[str, int], list[tuple[float, float]]] = {(kind, count): [] for kind in KINDS for count in COUNTS}
    with tempfile.TemporaryDirectory() as temporary:
        for kind, count in found:
            make(place(temporary, kind, count), count, KINDS[kind])
        for _ in range(REPETITIONS):
            for (kind, count), values in found.items():
                values.append(measured(place(temporary, kind, count)))
    rows = ["| runs | | s, cold | memory, MB |", "| --- | --- | --- | --- |"]
    rows += [
        f"| {count:,} | {kind} | {spread(values, 0, 2)} | {spread(values, 1, 0)} |"
        for (kind, count), values in found.items()
    ]
    text = "\n".join(rows)
    print(text)
    if arguments.manual:
        replace_between(*TABLES["comparison"], text)
    met = all(is_met(kind, found) for kind in KINDS)
    print("every bar is met" if met else "A BAR IS MISSED", file=sys.stderr)
    return 0 if met else 1


def is_met(kind: str, found: dict[tuple[str, int], list[tuple[float, float]]]) -> bool:
    """Whether the largest is fast and small enough, and the time grows no faster than the runs."""
    few, many, most = (statistics.median(seconds for seconds, _ in found[kind, count]) for count in COUNTS)
    memory = statistics.median(megabytes for _, megabytes in found[kind, COUNTS[-1]])
    return (
        most <= SECONDS_BAR and memory <= MEMORY_BAR and most - few <= 1.2 * (COUNTS[-1] / COUNTS[1]) * max(many - few, 0.1)
    )


def place(temporary: str, kind: str, count: int) -> Path:
    """Where those runs lie."""
    directory = Path(temporary) / f"{KINDS[kind]}_{count}"
    directory.mkdir(exist_ok=True)
    return directory


def spread(values: list[tuple[float, float]], which: int, decimals: int) -> str:
    """Median (range)."""
    chosen = [value[which] for value in values]
    return f"{statistics.median(chosen):.{decimals}f} ({min(chosen):.{decimals}f} – {max(chosen):.{decimals}f})"


if __name__ == "__main__":
    sys.exit(main())
