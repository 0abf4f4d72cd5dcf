"""The time to 99 %: `experiment=speedrun` against the tutorial's script, whole processes, in turn in one run.

Run with `make speedrun`; arguments: seeds (20), repetitions of the script (5), --manual to write the table into the manual.
The script's time ends at its first test accuracy of 99.0 % or more; that of this program when the process exits, with its
report written.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mnist_exp.comparison.statistics import mean_interval
from tests.benchmarks.manual import TABLES, replace_between
from tests.benchmarks.training import machine, spread
from tests.benchmarks.tutorial import SHOWN

HERE = Path(__file__).parent
WANTED = 0.990  # accuracy
MAX_EPOCHS = 30  # the tutorial has ten; a seed may need more
SHARE_BAR, ERROR_BAR = 0.2, 1.0


def script_seconds() -> float:
    """Return the seconds from the start of the tutorial's script to its first epoch with the accuracy."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "tests.benchmarks.tutorial", "cnn_large", str(MAX_EPOCHS)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(SHOWN) and float(line.removeprefix(SHOWN)) >= WANTED:
                took = time.perf_counter() - began
                process.kill()
                return took
    raise RuntimeError(f"the script did not show {WANTED:.1%} in {MAX_EPOCHS} epochs")


def our_seconds(seed: int) -> tuple[float, float, float]:
    """Return for one seed: seconds of the process, seconds of training, and the test error in percent."""
    with tempfile.TemporaryDirectory() as runs:
        command = [
            sys.executable,
            "-m",
            "mnist_exp",
            "experiment=speedrun",
            f"seed={seed}",
            f"runs_dir={runs}",
            "progress=quiet",
        ]
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        took = time.perf_counter() - began
        (summary,) = Path(runs).glob("*/summary.json")
        found = json.loads(summary.read_text())
        return took, found["train_seconds"], found["test"]["error_percent"]


def main() -> int:
    """Measure in turn, so that a slow minute of the machine affects both; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seeds", nargs="?", type=int, default=20)
    parser.add_argument("repetitions", nargs="?", type=int, default=5)
    parser.add_argument("--manual", action="store_true", help="write the table into the manual")
    arguments = parser.parse_args()
    if arguments.seeds < 2:
        parser.error("an interval of the mean needs two seeds")
    script, ours = [], []
    for seed in range(1, arguments.seeds + 1):
        if len(script) * arguments.seeds < (seed - 1) * arguments.repetitions or not script:
            script.append(script_seconds())
            print(f"script {script[-1]:.1f} s", file=sys.stderr, flush=True)
        ours.append(our_seconds(seed))
        print(f"seed {seed}: {ours[-1][0]:.1f} s, {ours[-1][2]:.2f} %", file=sys.stderr, flush=True)
    whole, training, errors = (list(column) for column in zip(*ours, strict=True))
    mean, deviation = statistics.mean(errors), statistics.stdev(errors)
    low, high = mean_interval(np.array(errors), least=0)
    share = statistics.median(whole) / statistics.median(script)
    lines = [
        f"{machine()}; {len(errors)} seeds, the script {len(script)} times, median (range).",
        "",
        "| | s, from a cold start | of the script | s of training | test accuracy % |",
        "| --- | --- | --- | --- | --- |",
        f"| the tutorial's script, until it first shows 99.0 % | {spread(script, 1)} | | | |",
        f"| `experiment=speedrun`, until its report is written | {spread(whole, 1)} | {share:.2f} | {spread(training, 1)} | "
        f"{100 - mean:.2f} ± {deviation:.2f} (mean: {100 - high:.2f} – {100 - low:.2f}) |",
    ]
    print("\n".join(lines))
    if arguments.manual:
        replace_between(*TABLES["speedrun"], "\n".join(lines))
    bars = ((f"of the script's time: {share:.3f}", share <= SHARE_BAR), (f"mean error: {mean:.3f} %", mean <= ERROR_BAR))
    for what, met in bars:
        print(f"{'met' if met else 'MISSED'}: {what}", file=sys.stderr)
    return int(not all(met for _, met in bars))


if __name__ == "__main__":
    sys.exit(main())
