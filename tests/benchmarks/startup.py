"""How long a user waits before training starts: medians and ranges of whole processes, interleaved.

Run with `make benchmark`. Bars: help 0.7 s, a configuration error 1.5 s, loading and verifying the digits 0.6 s, checking
the points of a sweep 2 ms each.
"""

import statistics
import subprocess
import sys
import tempfile
import time

REPETITIONS = 7
LOAD = """
import time
from mnist_exp import datasets
start = time.perf_counter()
datasets.load("mnist")
print(time.perf_counter() - start)
"""
POINTS = ("model=mlp,cnn_simple", "optimizer.learning_rate=1e-4,1e-3", "seed=range(1250)")
MEASURED = {
    "mnist-exp --help": (["-m", "mnist_exp", "--help"], 0.7),
    "one configuration error": (["-m", "mnist_exp", "training.epochs=0"], 1.5),
    "six configuration errors": (
        ["-m", "mnist_exp", "optimzer.x=1", "+a.b=1", "model=cnn_larg", "seed=-1", "device=gpu:7", "training.epochs=0"],
        1.5,
    ),
    "loading and verifying the digits": (["-c", LOAD], 0.6),
    "a dry run of 5,000 points": (["-m", "mnist_exp", "-m", *POINTS, "sweep.dry_run=true"], 5_000 * 0.002),
}


def seconds(arguments: list[str], place: str) -> float:
    """Return the wall-clock time of one process, or the time that it printed."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], cwd=place, capture_output=True, text=True, check=False)
    elapsed = time.perf_counter() - began
    return float(done.stdout) if arguments[0] == "-c" else elapsed


def main() -> int:
    """Measure, print a table, and return 1 if a median exceeds its bar."""
    times: dict[str, list[float]] = {name: [] for name in MEASURED}
    with tempfile.TemporaryDirectory() as place:
        for _ in range(REPETITIONS):
            for name, (arguments, _) in MEASURED.items():
                times[name].append(seconds(arguments, place))
    over = 0
    print(f"{'':<34}{'median':>9}{'least':>9}{'most':>9}{'bar':>9}")
    for name, (_, bar) in MEASURED.items():
        median = statistics.median(times[name])
        over += median > bar
        print(f"{name:<34}{median:>8.2f}s{min(times[name]):>8.2f}s{max(times[name]):>8.2f}s{bar:>8.1f}s")
    return int(over > 0)


if __name__ == "__main__":
    sys.exit(main())
