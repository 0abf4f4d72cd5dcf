"""The time to 99.0 % and to 99.5 % accuracy: the recipes `speedrun` and `speedrun_995`, and the tutorial's script.

Run with `make speedrun`; ARGS: a recipe, --seeds, --repetitions, --device, --manual. Each recipe is measured twice.

- Warm: a sweep over the seeds in one process. It gives the accuracies, the seconds of compiling (of the first job, with
  nothing cached), and two times of each later job: the training, from its first step to its last; and the whole job, with
  loading the images, evaluation and report.
- Cold: whole processes, in turn with the script, so that a slow minute affects all. The seconds are those from the start of
  the process to its exit, with the import of TensorFlow, compiling with nothing cached, and the report. For the script,
  they end at its first test accuracy of 99.0 % or more.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnist_exp.comparison.statistics import mean_interval
from tests.benchmarks.manual import TABLES, replace_between, spread
from tests.benchmarks.training import machine

ERROR_BARS = {"speedrun": 1.0, "speedrun_995": 0.5}  # mean test error in percent
SHARE_BARS = {"speedrun": 0.2}  # of the script's time
WANTED = 0.990  # accuracy of the script
MAX_EPOCHS = 30  # of the script: the tutorial has ten; a seed may need more
Summaries = list[dict[str, Any]]  # contents of summary.json, in the order of training
HEAD = (
    "| | test accuracy % | 95 % interval of the mean | s, from a cold start | of the script | s of compiling "
    "| s of training, warm | s of a job, warm |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
)


def script_seconds(device: str) -> float:
    """Return the seconds from the start of the tutorial's script to its first epoch with the accuracy."""
    from tests.benchmarks.tutorial import SHOWN  # imports Keras

    began = time.perf_counter()
    command = [sys.executable, "-m", "tests.benchmarks.tutorial", "cnn_large", str(MAX_EPOCHS)]
    hidden = {"CUDA_VISIBLE_DEVICES": "-1"} if device == "cpu" else {}
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ | hidden
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(SHOWN) and float(line.removeprefix(SHOWN)) >= WANTED:
                took = time.perf_counter() - began
                process.kill()
                return took
    raise RuntimeError(f"the script did not show {WANTED:.1%} in {MAX_EPOCHS} epochs")


def train(*overrides: str) -> tuple[float, Summaries]:
    """Train in one new process without cached programs; return its seconds and the summaries of its runs."""
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "mnist_exp", *overrides, f"runs_dir={place}/runs", "progress=quiet"]
        began = time.perf_counter()
        done = subprocess.run(
            command, stdout=subprocess.DEVNULL, check=False, env=os.environ | {"XDG_CACHE_HOME": f"{place}/cache"}
        )
        took = time.perf_counter() - began
        if done.returncode:
            sys.exit(done.returncode)  # the program has printed why
        return took, [json.loads(path.read_text()) for path in sorted(Path(place).glob("runs/**/summary.json"))]


def row(recipe: str, summaries: Summaries, cold: Sequence[float], script: Sequence[float]) -> str:
    """Return a recipe's line: the summaries of its sweep, the first job first, and the seconds of whole processes."""
    errors = [summary["test"]["error_percent"] for summary in summaries]
    low, high = mean_interval(np.array(errors), minimum=0) or (0.0, 100.0)
    cells = [
        f"`experiment={recipe}`, until its report is written",
        f"{100 - statistics.mean(errors):.2f} ± {statistics.stdev(errors):.2f}",
        f"{100 - high:.2f} – {100 - low:.2f}",
        spread(cold, 1) if cold else "",
        f"{statistics.median(cold) / statistics.median(script):.2f}" if cold else "",
        f"{summaries[0]['compile_seconds'] or 0:.1f}",
        *(spread([summary[seconds] for summary in summaries[1:]]) for seconds in ("train_seconds", "wall_seconds")),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Measure, and print the table; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="?", choices=list(ERROR_BARS), help="default: both")
    parser.add_argument("--seeds", type=int, default=20, help="jobs of each sweep")
    parser.add_argument("--repetitions", type=int, default=5, help="cold processes of each program; 0: none")
    parser.add_argument("--device", default="auto", help="as the setting `device`")
    parser.add_argument("--manual", action="store_true", help="write the table into the manual")
    chosen = parser.parse_args()
    if chosen.seeds < 2:
        parser.error("--seeds: an interval of the mean and a warm job need two")
    if chosen.manual and (chosen.recipe or not chosen.repetitions):
        parser.error("--manual: the table of the manual has both recipes, and cold processes")
    recipes = [chosen.recipe] if chosen.recipe else list(ERROR_BARS)
    device = f"device={chosen.device}"
    sweeps = {
        recipe: train("-m", f"experiment={recipe}", f"seed=range(1,{chosen.seeds + 1})", device)[1] for recipe in recipes
    }
    cold: dict[str, list[float]] = {recipe: [] for recipe in recipes}
    script: list[float] = []
    for seed in range(1, chosen.repetitions + 1):
        script.append(script_seconds(chosen.device))
        for recipe in recipes:
            cold[recipe].append(train(f"experiment={recipe}", f"seed={seed}", device)[0])
        print(f"repetition {seed} of {chosen.repetitions}", file=sys.stderr, flush=True)
    lines = [
        f"{machine(device=chosen.device)}; {chosen.seeds} seeds, {chosen.repetitions} cold starts, median (range).",
        "",
        *HEAD,
        *([f"| the tutorial's script, until it first shows 99.0 % | | | {spread(script, 1)} | | | | |"] if script else []),
        *(row(recipe, sweeps[recipe], cold[recipe], script) for recipe in recipes),
    ]
    print("\n".join(lines))
    if chosen.manual:
        replace_between(*TABLES["speedrun"], "\n".join(lines))
    return int(sum(missed(recipe, sweeps[recipe], cold[recipe], script) for recipe in recipes) > 0)


def missed(recipe: str, summaries: Summaries, cold: Sequence[float], script: Sequence[float]) -> bool:
    """Print each bar of a recipe with its measurement; return whether one was missed."""
    error = statistics.mean(summary["test"]["error_percent"] for summary in summaries)
    bars = [("mean error in percent", error, ERROR_BARS[recipe])]
    if cold and recipe in SHARE_BARS:
        bars.append(("of the script's time", statistics.median(cold) / statistics.median(script), SHARE_BARS[recipe]))
    for what, value, bar in bars:
        print(f"{'MISSED' if value > bar else 'met'}: {recipe}, {what}: {value:.3f}, bar {bar}", file=sys.stderr)
    return any(value > bar for _, value, bar in bars)


if __name__ == "__main__":
    sys.exit(main())
