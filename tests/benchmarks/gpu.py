"""Seconds of an epoch on an NVIDIA GPU: this program, plain Keras, PyTorch (eager and one CUDA graph for a step), JAX.

Usage: make benchmark-gpu [ARGS="--repetitions 5 --other-python COMMAND"]. The programs take turns, so that a change of the
machine's speed affects all of them; those that are not installed are left out. Writes the table of the topic speed.
"""

import argparse
import csv
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from mnist_exp.machine.devices import driver_description, gpu_count
from tests.benchmarks.manual import TABLES, replace_between, spread

MODELS = ("mlp", "cnn_simple", "cnn_large")
OURS = {"mnist-exp": (), "mnist-exp, tf32": ("tf32=true",), "mnist-exp, bfloat16": ("precision=bfloat16",),
        "mnist-exp, float16": ("precision=float16",)}  # fmt: skip
OTHERS = {"plain Keras": ("keras", "keras"), "PyTorch, eager": ("torch", "torch"),
          "PyTorch, a CUDA graph for each step": ("torch_graph", "torch"),
          "JAX, an epoch as one scan": ("jax", "jax")}  # fmt: skip
COMPILING = "compiling, once in a process"
Seconds = dict[tuple[str, str], list[float]]  # by program and model


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=8, help="of each process; the first is not counted")
    parser.add_argument("--other-python", default=sys.executable, help="the command that runs PyTorch and JAX")
    chosen = parser.parse_args()
    if not gpu_count():
        sys.exit("this machine has no NVIDIA GPU")
    seen: Seconds = defaultdict(list)
    failed: set[str] = set()
    versions = {f"tensorflow {metadata.version('tensorflow')}"}
    for _ in range(chosen.repetitions):
        for program, overrides in OURS.items():
            ours(seen, program, overrides, chosen.epochs)
        for program, (name, package) in OTHERS.items():
            python = [sys.executable] if name == "keras" else shlex.split(chosen.other_python)
            if package not in failed and not other(seen, versions, program, [*python, name], chosen.epochs):
                failed.add(package)
                print(f"{program}: left out", file=sys.stderr)
    text = "\n".join([described(versions), "", *table(seen)])
    print(text)
    replace_between(*TABLES["gpu"], text)


def ours(seen: Seconds, program: str, overrides: tuple[str, ...], epochs: int) -> None:
    """Measure this program: a sweep over the models in one process, without cached programs."""
    with tempfile.TemporaryDirectory() as place:
        experiments = f"experiment={','.join(f'tutorial_{model}' for model in MODELS)}"
        settings = [experiments, f"training.epochs={epochs}", "device=gpu", "progress=quiet", f"runs_dir={place}/runs"]
        command = [sys.executable, "-m", "mnist_exp", "-m", *settings, *overrides]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"XDG_CACHE_HOME": place})
        for history in Path(place).glob("runs/*/*/history.csv"):
            model = next(model for model in MODELS if f"_{model}_" in history.parent.name)
            with history.open() as file:
                rows = list(csv.DictReader(file))
            seen[program, model] += [float(row["seconds"]) for row in rows[1:]]
            if not overrides:
                seen[COMPILING, model].append(sum(float(row["compile_seconds"]) for row in rows))


def other(seen: Seconds, versions: set[str], program: str, command: list[str], epochs: int) -> bool:
    """Measure another program, and add its version; return False if it fails, for example because it is not installed."""
    *python, name = command
    script = str(Path(__file__).parent / "gpu_programs.py")
    done = subprocess.run([*python, script, name, str(epochs), *MODELS], capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr[-500:], file=sys.stderr)
        return False
    result = json.loads(done.stdout.splitlines()[-1])
    versions.add(result["version"])
    for model, seconds in result["seconds"].items():
        seen[program, model] += seconds[1:]
    return True


def described(versions: set[str]) -> str:
    """Return the date, the GPU, the driver and the versions."""
    gpu = "; ".join(" ".join(line.split()) for line in driver_description())
    day = datetime.now(UTC).date().isoformat()
    what = "55,000 images in batches of 200, median (range) of the epochs after the first"
    return f"{day}; {gpu}; {', '.join(sorted(versions))}; {what}."


def table(seen: Seconds) -> list[str]:
    """Return a row for each program."""
    rows = [f"| s / epoch | {' | '.join(MODELS)} |", f"| --- |{' --- |' * len(MODELS)}"]
    for program in dict.fromkeys(program for program, _ in seen):
        digits = 1 if program == COMPILING else 4 if statistics.median(seen[program, MODELS[0]]) < 0.2 else 2
        cells = [spread(seen[program, model], digits) if seen[program, model] else "" for model in MODELS]
        rows.append(f"| {program} | {' | '.join(cells)} |")
    return rows


if __name__ == "__main__":
    main()
