"""Speed and memory of sweeps: compared with a shell loop over the tutorial's script, and the overhead of a job.

Run with `make benchmark-sweeps`; arguments: repetitions of the first part (3), --manual to write the tables into the manual.
"""

import argparse
import itertools
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from tests.benchmarks.manual import TABLES, replace_between, spread

HERE = Path(__file__).parent
JOBS, EPOCHS = 8, 2
MANY = 200
SHARE_BAR = 0.45  # of the shell loop's time, in the best mode of one machine
OVERHEAD_BAR = 0.25  # seconds of a job in addition to its training
GROWTH_BAR = 1.10  # of the memory from the 20th job to the last
TINY = ("model.units=[16]", "dataset.limit=600", "training.epochs=2", "training.batch_size=64")
TUTORIAL = ("experiment=tutorial_mlp", f"training.epochs={EPOCHS}")


def sweep(place: Path, *overrides: str) -> tuple[float, Path]:
    """Run a sweep in an empty directory; return its seconds from cold start to leaderboard, and its directory."""
    place.mkdir()
    command = [sys.executable, "-m", "mnist_exp", "-m", *overrides, "progress=quiet"]
    began = time.perf_counter()
    subprocess.run(command, cwd=place, check=True, capture_output=True)
    seconds = time.perf_counter() - began
    (directory,) = (place / "runs").iterdir()
    return seconds, directory


def loop() -> float:
    """Run the tutorial's script once for each job, as a shell loop does; return the seconds."""
    began = time.perf_counter()
    for _ in range(JOBS):
        subprocess.run([sys.executable, str(HERE / "tutorial.py"), "mlp", str(EPOCHS)], check=True, capture_output=True)
    return time.perf_counter() - began


def against_a_loop(place: Path, repetitions: int) -> tuple[list[str], bool]:
    """Run the loop and both launchers of one machine in turn; return a table, and whether the bar is met."""
    seeds = f"seed=range({JOBS})"
    seen: dict[str, list[float]] = {"shell loop over the plain Keras script": [], "one process": [], "joblib": []}
    for repetition in range(repetitions):
        seen["shell loop over the plain Keras script"].append(loop())
        seen["one process"].append(sweep(place / f"one_{repetition}", *TUTORIAL, seeds)[0])
        seen["joblib"].append(sweep(place / f"joblib_{repetition}", *TUTORIAL, seeds, "hydra/launcher=joblib")[0])
        print({name: round(values[-1], 1) for name, values in seen.items()}, file=sys.stderr, flush=True)
    base = statistics.median(seen["shell loop over the plain Keras script"])
    shares = {name: statistics.median(values) / base for name, values in seen.items()}
    rows = [f"| {name} | {spread(values)} | {shares[name]:.2f} |" for name, values in seen.items()]
    heading = [f"| {JOBS} jobs: mlp, {EPOCHS} epochs of 60,000 images | s | of the loop |", "| --- | --- | --- |"]
    return heading + rows, min(shares["one process"], shares["joblib"]) <= SHARE_BAR


def overhead(place: Path) -> tuple[list[str], bool]:
    """Train many jobs of a tiny model in one process: the time in addition to training, and the growth of memory."""
    seconds, directory = sweep(place / "many", *TINY, f"seed=range({MANY})")
    began = [job_log(run)[0] for run in sorted(directory.glob("*/train.log"))]
    steps = [later - earlier for earlier, later in itertools.pairwise(began)]
    training = [json.loads(path.read_text())["train_seconds"] for path in sorted(directory.glob("*/summary.json"))]
    beyond = [step - trained for step, trained in zip(steps[1:], training[1:-1], strict=True)]
    memory = [job_log(run)[1] for run in sorted(directory.glob("*/train.log"))]
    mean, growth = statistics.mean(beyond), memory[-1] / memory[19]
    table = [
        f"| {MANY} jobs in one process: mlp of 16 units, 600 images, 2 epochs | |",
        "| --- | --- |",
        f"| all of it, cold | {seconds:.0f} s |",
        f"| training, a job | {spread(training[1:])} s |",
        f"| beyond training, a job | {mean:.2f} s on average, {spread(beyond)} |",
        f"| memory at the 20th job, at the last | {memory[19]:.0f} MB, {memory[-1]:.0f} MB ({100 * (growth - 1):+.1f} %) |",
    ]
    return table, mean <= OVERHEAD_BAR and growth <= GROWTH_BAR


def job_log(log: Path) -> tuple[float, float]:
    """The start of a job in seconds, and the memory of its process at the end, in MB."""
    text = log.read_text()
    megabytes = re.findall(r"this process has (\d+) MB", text)[-1]
    return datetime.fromisoformat(text.partition(" ")[0]).timestamp(), float(megabytes)


def main() -> int:
    """Measure, print the tables, and return 1 if a bar was missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("repetitions", nargs="?", type=int, default=3)
    parser.add_argument("--manual", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        many, light = overhead(Path(temporary))
        few, fast = against_a_loop(Path(temporary), arguments.repetitions)
    text = "\n".join([*few, "", *many])
    print(text)
    if arguments.manual:
        replace_between(*TABLES["sweeps"], text)
    print("every bar is met" if fast and light else "A BAR IS MISSED", file=sys.stderr)
    return 0 if fast and light else 1


if __name__ == "__main__":
    sys.exit(main())
