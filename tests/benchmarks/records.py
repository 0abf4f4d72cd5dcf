"""The recipes, trained anew, and the table of their results; what was interrupted is resumed.

Run with `make records`. Every recipe is a sweep over seeds in a directory of its own, so a second call trains what is
missing, and adds seeds if there are to be more. `record` is the ensemble of its runs. What the numbers are, the README says.
"""

import argparse
import json
import signal
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from mnist_exp.comparison.statistics import mean_interval
from tests.benchmarks.readme import replace_between
from tests.benchmarks.training import machine

MEMBERS = 10
RECIPES = {  # what each must reach, test error in percent, and what was published
    "mlp_best": (
        0.70,
        "1.06 dropout and max-norm; 0.70 elastic distortions; 0.57 ladder; 0.35 after 800 epochs of deformations",
    ),
    "cnn_tiny": (0.50, "0.5 – 0.6, single best epochs"),
    "cnn_best": (0.30, "0.359 ± 0.047, 1,500 networks; 0.25 ResNet-20 with cutout, 100 epochs"),
    "record": (0.22, "0.255 ± 0.020, 15 networks; 0.21 – 0.23 in the classic tables"),
}
HEAD = (
    "| experiment | test error % | 95 % interval | range | seeds | parameters | epochs | minutes a run | bar | published |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
)


def mnist_exp(*arguments: str) -> None:
    """The command, its progress shown; what ends it otherwise than well ends this too, with its exit code."""
    done = subprocess.run([sys.executable, "-m", "mnist_exp", *arguments], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def train(recipe: str, seeds: int, place: Path, overrides: list[str]) -> list[Path]:
    """A recipe's runs, by seed, those that are missing trained first."""
    points = [f"seed=range(1,{seeds + 1})", *overrides]
    sweep = sweep_of(place)
    if sweep is None:
        mnist_exp("-m", f"experiment={recipe}", *points, f"runs_dir={place}", f"sweep.name={recipe}")
    else:
        mnist_exp("resume", str(sweep), *points)
    summaries = {path.parent: json.loads(path.read_text()) for path in place.glob("*/*/summary.json")}
    if len({summary["config_hash"] for summary in summaries.values()}) > 1:
        sys.exit(f"error: {place}: has runs of several settings, which no mean is of\n  name another place: --runs-dir DIR")
    by_seed = {summary["seed"]: run for run, summary in summaries.items()}
    return [by_seed[seed] for seed in range(1, seeds + 1)]


def read(runs: list[Path]) -> list[dict[str, Any]]:
    """What became of them."""
    return [json.loads((run / "summary.json").read_text()) for run in runs]


def sweep_of(place: Path) -> Path | None:
    """The sweep that a recipe's runs belong to, if it has begun."""
    return next((path.parent for path in sorted(place.glob("*/sweep.yaml"))), None)


def row(recipe: str, summaries: list[dict[str, Any]]) -> tuple[str, float]:
    """A recipe's line, and its mean error: mean and deviation over seeds, and the interval of the mean (Student)."""
    errors = [summary["test"]["error_percent"] for summary in summaries]
    mean = statistics.mean(errors)
    spread, between = f"{mean:.3f}", mean_interval(np.array(errors), least=0)
    interval = ""
    if between is not None:
        spread, interval = f"{mean:.3f} ± {statistics.stdev(errors):.3f}", "{:.2f} – {:.2f}".format(*between)
    return line(recipe, spread, interval, f"{min(errors):.2f} – {max(errors):.2f}", len(errors), summaries), mean


def ensemble_row(place: Path, members: list[Path]) -> tuple[str, float]:
    """The line of the ensemble, and its error; beside it, the errors of those without one of the members."""
    mnist_exp("ensemble", *map(str, members), f"--runs-dir={place}", "--name=record")
    newest = max(place.glob("*/ensemble.yaml"), key=lambda path: path.stat().st_mtime).parent
    found = json.loads((newest / "summary.json").read_text())["test"]
    archives = [np.load(member / "predictions.npz", allow_pickle=False) for member in members]
    probabilities, labels = np.stack([archive["probabilities"] for archive in archives]), archives[0]["labels"]
    without = [100 * float(np.mean((probabilities.sum(axis=0) - own).argmax(axis=1) != labels)) for own in probabilities]
    low, high = found["ci95"]
    spread, others = f"{found['error_percent']:.2f}", f"{min(without):.2f} – {max(without):.2f} without one"
    text = line("record", spread, f"{low:.2f} – {high:.2f}", others, f"1 × {len(members)}", read(members))
    return text, found["error_percent"]


def line(recipe: str, error: str, interval: str, spread: str, n: int | str, summaries: list[dict[str, Any]]) -> str:
    """A row of the table."""
    bar, published = RECIPES[recipe]
    minutes = [summary["train_seconds"] / 60 for summary in summaries]
    parameters, epochs = summaries[0]["model"]["parameters"], summaries[0]["epochs"]
    cells = [f"`{recipe}`", error, interval, spread, str(n), f"{parameters:,}", str(epochs)]
    cells += [f"{statistics.median(minutes):.0f} ({min(minutes):.0f} – {max(minutes):.0f})", f"≤ {bar:.2f}", published]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Train, print the table, and say which bars are missed; 1 if any is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="of each recipe (default: %(default)s)")
    parser.add_argument("--members", type=int, default=MEMBERS, help="of the ensemble (default: %(default)s)")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs") / "records", help="default: %(default)s")
    parser.add_argument("--readme", action="store_true", help="put the table into README.md")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, as in --set device=gpu")
    parser.add_argument("recipes", nargs="*", metavar="recipe", help=f"of {', '.join(RECIPES)} (default: all)")
    arguments = parser.parse_args()
    if unknown := set(arguments.recipes) - set(RECIPES):
        parser.error(f"no such recipe: {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the command, which keeps its state and ends
    rows, missed = [], []
    for recipe in arguments.recipes or RECIPES:
        if recipe == "record":  # its members are runs of cnn_best: the same settings, so the same weights
            runs = train("cnn_best", arguments.members, arguments.runs_dir / "cnn_best", arguments.set)
            text, error = ensemble_row(arguments.runs_dir / recipe, runs)
        else:
            text, error = row(recipe, read(train(recipe, arguments.seeds, arguments.runs_dir / recipe, arguments.set)))
        rows.append(text)
        missed += [f"{recipe}: {error:.3f} %, wanted ≤ {RECIPES[recipe][0]} %"] if error > RECIPES[recipe][0] else []
    table = "\n".join([f"{machine()}.", "", *HEAD, *rows])
    print(table)
    if arguments.readme:
        replace_between("<!-- make records -->", "<!-- end of records -->", table)
    for sentence in missed:
        print(f"MISSED: {sentence}", file=sys.stderr)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
