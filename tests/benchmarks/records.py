"""Train the recipes again and print the table of their results; interrupted sweeps are resumed.

Run with `make records`. Every recipe is a sweep over seeds in a directory of its own, so a second call trains what is
missing, and adds seeds if there are to be more. `record` is the ensemble of its runs and the first of `cnn_best`. The
topic `recipes` of the manual explains the numbers; its rows of other recipes stay if they are from the same machine.
"""

import argparse
import json
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mnist_exp.comparison.statistics import mean_interval
from mnist_exp.config.identity import is_execution_setting
from mnist_exp.sweep import plan
from mnist_exp.sweep.plan import Sweep
from tests.benchmarks.manual import TABLES, between, replace_between
from tests.benchmarks.training import machine

SEEDS_OF_CNN_BEST = 4  # are members of `record`, in addition to its own runs
RECIPES = {  # what each must reach, test error in percent, and what was published
    "mlp_best": (
        0.70,
        "1.06 dropout and max-norm; 0.70 elastic distortions; 0.57 ladder; 0.35 after 800 epochs of deformations",
    ),
    "cnn_tiny": (0.50, "0.5 – 0.6, single best epochs"),
    "cnn_best": (0.30, "0.359 ± 0.047, 1,500 networks; 0.25 ResNet-20 with cutout, 100 epochs"),
    "record": (0.22, "0.255 ± 0.020, 15 networks; 0.21 – 0.23 in the classic tables"),
    "fashion_best": (5.50, "5.04 ResNet-20, 200 epochs; 4.49 with cutout"),
}
HEAD = (
    "| experiment | test error % | 95 % interval | range | seeds | parameters | epochs | precision | minutes a run | bar "
    "| published |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
)


def mnist_exp(*arguments: str) -> None:
    """The command, its progress shown; what ends it otherwise than well ends this too, with its exit code."""
    with subprocess.Popen([sys.executable, "-m", "mnist_exp", *arguments]) as running:
        signal.signal(signal.SIGTERM, lambda *_: running.terminate())  # it keeps its state, and ends
        code = running.wait()
    if code:
        sys.exit(code)


def train(recipe: str, place: Path, overrides: list[str], *points: str) -> Sweep:
    """The recipe's sweep, begun or resumed, when these points of it are trained; its own where none are named."""
    if begun := sweeps(place):
        held, asked = defining(plan.read(begun[0]).overrides), defining([f"experiment={recipe}", *overrides])
        if held != asked:
            started, wanted = " ".join(sorted(held)), " ".join(sorted(asked))
            sys.exit(f"error: {place}: was started with {started}, not {wanted}\n  name another directory: --runs-dir DIR")
        how = [line for line in overrides if line not in asked]
        mnist_exp("resume", str(begun[0].directory), *points, *how)
    else:
        mnist_exp("-m", f"experiment={recipe}", *points, *overrides, f"runs_dir={place}", f"sweep.name={recipe}")
    return sweeps(place)[0]


def runs_of_seeds(recipe: str, seeds: int, place: Path, overrides: list[str]) -> list[Path]:
    """A recipe's runs, by seed, those that are missing trained first."""
    train(recipe, place, overrides, f"seed=range(1,{seeds + 1})")
    summaries = {path.parent: json.loads(path.read_text()) for path in place.glob("*/*/summary.json")}
    if len({summary["config_hash"] for summary in summaries.values()}) > 1:
        sys.exit(f"error: {place}: has runs of several settings, which no mean is of\n  name another place: --runs-dir DIR")
    by_seed = {summary["seed"]: run for run, summary in summaries.items()}
    return [by_seed[seed] for seed in range(1, seeds + 1)]


def members_of_record(place: Path, overrides: list[str]) -> list[Path]:
    """Runs of `cnn_best` and those of the recipe's own sweep, those that are missing trained first."""
    own = train("record", place / "record", overrides)
    of_cnn_best = runs_of_seeds("cnn_best", SEEDS_OF_CNN_BEST, place / "cnn_best", overrides)
    return of_cnn_best + [own.directory / job.directory for job in plan.read(own).jobs]


def read(runs: list[Path]) -> list[dict[str, Any]]:
    """What became of them."""
    return [json.loads((run / "summary.json").read_text()) for run in runs]


def sweeps(place: Path) -> list[Sweep]:
    """That to which a recipe's runs belong, first; none if it has not begun."""
    return [Sweep(path.parent) for path in sorted(place.glob("*/sweep.yaml"))]


def defining(overrides: Iterable[str]) -> set[str]:
    """Those of a sweep's overrides that say what is trained, the seeds aside."""
    keys = {line: line.lstrip("+~").partition("=")[0] for line in overrides}
    return {
        line for line, key in keys.items() if not (is_execution_setting(key) or key.startswith("hydra") or key == "seed")
    }


def row(recipe: str, summaries: list[dict[str, Any]]) -> tuple[str, float]:
    """A recipe's line, and its mean error: mean and deviation over seeds, and the interval of the mean (Student)."""
    errors = [summary["test"]["error_percent"] for summary in summaries]
    mean = statistics.mean(errors)
    spread, between = f"{mean:.3f}", mean_interval(np.array(errors), minimum=0)
    interval = ""
    if between is not None:
        spread, interval = f"{mean:.3f} ± {statistics.stdev(errors):.3f}", "{:.2f} – {:.2f}".format(*between)
    return line(recipe, spread, interval, f"{min(errors):.2f} – {max(errors):.2f}", len(errors), summaries), mean


def ensemble_row(place: Path, members: list[Path]) -> tuple[str, float]:
    """The line of the ensemble, and its error; and the errors of ensembles without one of the members."""
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
    settled = [(f"{one['model']['parameters']:,}", str(one["epochs"]), one["settings"]["precision"]) for one in summaries]
    distinct = [" and ".join(dict.fromkeys(values)) for values in zip(*settled, strict=True)]
    cells = [f"`{recipe}`", error, interval, spread, str(n), *distinct]
    cells += [f"{statistics.median(minutes):.0f} ({min(minutes):.0f} – {max(minutes):.0f})", f"≤ {bar:.2f}", published]
    return f"| {' | '.join(cells)} |"


def table(rows: dict[str, str], trained_on: str) -> str:
    """All lines, in the order of the recipes, below what they were trained on."""
    return "\n".join([f"{trained_on}.", "", *HEAD, *(rows[recipe] for recipe in RECIPES if recipe in rows)])


def previous_rows(trained_on: str) -> dict[str, str]:
    """The lines of recipes in the manual, if they are from this machine."""
    first, *lines = between(*TABLES["records"]).splitlines()
    return {line.split("`")[1]: line for line in lines if line.startswith("| `")} if first == f"{trained_on}." else {}


def main() -> int:
    """Train, print the table, and say which bars are missed; 1 if any is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="of each recipe but record (default: %(default)s)")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs") / "records", help="default: %(default)s")
    parser.add_argument("--manual", action="store_true", help="write the table into the manual")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, as in --set device=gpu")
    parser.add_argument("recipes", nargs="*", metavar="recipe", help=f"of {', '.join(RECIPES)} (default: all)")
    arguments = parser.parse_args()
    if unknown := set(arguments.recipes) - set(RECIPES):
        parser.error(f"no such recipe: {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the command, which keeps its state and ends
    rows, missed = dict[str, str](), []
    for recipe in arguments.recipes or RECIPES:
        if recipe == "record":
            text, error = ensemble_row(arguments.runs_dir / recipe, members_of_record(arguments.runs_dir, arguments.set))
        else:
            runs = runs_of_seeds(recipe, arguments.seeds, arguments.runs_dir / recipe, arguments.set)
            text, error = row(recipe, read(runs))
        rows[recipe] = text
        missed += [f"{recipe}: {error:.3f} %, wanted ≤ {RECIPES[recipe][0]} %"] if error > RECIPES[recipe][0] else []
    devices = [setting.removeprefix("device=") for setting in arguments.set if setting.startswith("device=")]
    trained_on = machine(device=devices[-1] if devices else "auto")
    print(table(rows, trained_on))
    if arguments.manual:
        replace_between(*TABLES["records"], table(previous_rows(trained_on) | rows, trained_on))
    for sentence in missed:
        print(f"MISSED: {sentence}", file=sys.stderr)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
