"""Does a search find more than chance? TPE and random search with the same number of trials, on a small subset.

Run with `make benchmark-searches`; arguments: studies of each sampler (5), trials of a study (30), and --manual to write the
table into the manual. The seed of a study determines its draws; every trial trains with the same seed.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from mnist_exp.comparison.statistics import mean_interval
from tests.benchmarks.manual import TABLES, replace_between

SAMPLERS = ("tpe", "random")
SUBSET = (
    "dataset.limit=4000",
    "dataset.validation=2000",
    "training.epochs=3",
)  # 2,000 validation images
SPACE = (
    "optimizer.learning_rate=tag(log, interval(1e-5,1))",
    "model.units.0=tag(log, int(interval(8,256)))",
    "model.dropout=interval(0,0.8)",
    "training.batch_size=tag(log, int(interval(16,512)))",
    "training.label_smoothing=interval(0,0.5)",
)


def best_of(place: Path, sampler: str, seed: int, trials: int) -> tuple[float, float]:
    """The validation error of a study's best trial, and that trial's test error, in percent."""
    place.mkdir()
    settings = [
        f"hydra.sweeper.{key}={value}" for key, value in (("sampler", sampler), ("seed", seed), ("n_trials", trials))
    ]
    command = [sys.executable, "-m", "mnist_exp", "-m", "hydra/sweeper=optuna", "hydra/launcher=joblib", *settings]
    subprocess.run([*command, *SPACE, *SUBSET, "progress=quiet"], cwd=place, check=True, capture_output=True)
    (board,) = place.glob("runs/*/leaderboard.json")
    first = json.loads(board.read_text())["configurations"][0]
    return first["validation"]["mean"], first["test"]["mean"]


def main() -> int:
    """Run the studies, print a table, and return 1 if TPE is not better than random search."""
    parser = argparse.ArgumentParser()
    parser.add_argument("studies", nargs="?", type=int, default=5)
    parser.add_argument("trials", nargs="?", type=int, default=30)
    parser.add_argument("--manual", action="store_true")
    arguments = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {sampler: [] for sampler in SAMPLERS}
    with tempfile.TemporaryDirectory() as temporary:
        for seed in range(arguments.studies):
            for sampler in SAMPLERS:
                place = Path(temporary) / f"{sampler}_{seed}"
                found[sampler].append(best_of(place, sampler, seed, arguments.trials))
                print(sampler, seed, found[sampler][-1], file=sys.stderr, flush=True)
    what = f"best of {arguments.trials} trials, {arguments.studies} studies"
    lines = [
        f"| {what} | validation error %, mean (95 % interval) | each study | its test error % |",
        "| --- | --- | --- | --- |",
    ]
    for sampler, pairs in found.items():
        validation, test = zip(*pairs, strict=True)
        each = ", ".join(f"{value:.2f}" for value in validation)
        lines.append(f"| {sampler} | {spread(validation)} | {each} | {spread(test)} |")
    differences = [random[0] - tpe[0] for tpe, random in zip(found["tpe"], found["random"], strict=True)]
    lines.append(f"| difference, study by study | {spread(differences)} | | |")
    text = "\n".join(lines)
    print(text)
    if arguments.manual:
        replace_between(*TABLES["searches"], text)
    better = statistics.mean(differences) > 0
    print("the search found more than chance" if better else "THE SEARCH FOUND NO MORE THAN CHANCE", file=sys.stderr)
    return 0 if better else 1


def spread(values: tuple[float, ...] | list[float]) -> str:
    """Mean (95 % interval)."""
    array = np.array(values)
    interval = mean_interval(array)
    ends = "" if interval is None else f" ({interval[0]:.2f} – {interval[1]:.2f})"
    return f"{array.mean():.2f}{ends}"


if __name__ == "__main__":
    sys.exit(main())
