"""This program against plain Keras and PyTorch: whole processes, interleaved in one run, medians and ranges.

Run with `make benchmark`; arguments: repetitions (5), and --manual to write the tables into the manual. An epoch's seconds
are those of training without evaluation; the first epoch, which builds the graph, does not count. Memory is the peak
resident set. PyTorch is measured if it is installed: `.venv/bin/python -m pip install torch`.
"""

import argparse
import csv
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from mnist_exp.machine.devices import driver_description, gpu_count
from mnist_exp.runs import environment
from tests.benchmarks.manual import TABLES, replace_between, spread

HERE = Path(__file__).parent
MODELS = ("mlp", "cnn_simple", "cnn_large")
KERAS, TORCH, OURS, OURS_BF16 = "plain Keras", "PyTorch", "mnist-exp", "mnist-exp, bfloat16"
EPOCHS = 2  # of which one is counted
COLD_EPOCHS = 10  # as in the tutorial
BARS = {  # seconds of an epoch, as a share of another program's
    ("mlp", OURS, KERAS): 0.65,
    ("cnn_simple", OURS, KERAS): 0.85,
    ("cnn_large", OURS, KERAS): 0.85,
    ("mlp", OURS_BF16, KERAS): 0.45,
    ("cnn_simple", OURS_BF16, KERAS): 0.70,
    ("cnn_large", OURS_BF16, KERAS): 0.70,
    ("cnn_simple", OURS, TORCH): 0.50,
    ("cnn_large", OURS, TORCH): 0.50,
}
ADDED_BAR = 3.5  # seconds besides training and the import of TensorFlow
IMPORT = "import os; os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'; import keras, tensorflow"


@dataclass
class Measured:
    """The measurements of one program on one model, a value for each epoch or process."""

    epochs: list[float] = field(default_factory=list)
    process: list[float] = field(default_factory=list)
    around: list[float] = field(default_factory=list)  # seconds of the process without training
    memory: list[float] = field(default_factory=list)  # MB

    def add(self, command: Sequence[str], seconds_of: Callable[[str], list[float]]) -> None:
        """Run a command; `seconds_of` reads the seconds of its epochs from its output."""
        began = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            out = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        took = time.perf_counter() - began
        if process.returncode:
            raise RuntimeError(f"{command} exited with {process.returncode}")
        seconds = seconds_of(out)
        self.epochs += seconds[1:]
        self.process.append(took)
        self.around.append(took - sum(seconds))
        self.memory.append(usage.ru_maxrss / 1024)


def script(name: str, measured: Measured, model: str, epochs: int) -> None:
    """Measure a script of this folder."""
    measured.add([sys.executable, str(HERE / name), model, str(epochs)], lambda out: list(json.loads(out)["seconds"]))


def ours(precision: str, measured: Measured, model: str, epochs: int) -> None:
    """Measure the same training by this program, report included."""
    with tempfile.TemporaryDirectory() as runs:
        settings = [f"experiment=tutorial_{model}", f"training.epochs={epochs}", f"precision={precision}"]

        def seconds_of(_: str) -> list[float]:
            (directory,) = Path(runs).iterdir()
            with (directory / "history.csv").open() as file:
                return [float(row["seconds"]) for row in csv.DictReader(file)]

        measured.add([sys.executable, "-m", "mnist_exp", *settings, f"runs_dir={runs}", "progress=quiet"], seconds_of)


def measure(program: str, measured: Measured, model: str, epochs: int) -> None:
    """Measure one process of a program."""
    if program == KERAS:
        script("tutorial.py", measured, model, epochs)
    elif program == TORCH:
        script("torch_tutorial.py", measured, model, epochs)
    else:
        ours("bfloat16" if program == OURS_BF16 else "float32", measured, model, epochs)


def machine(*others: str, device: str = "cpu") -> str:
    """Return the machine and the versions: of TensorFlow and Keras, and of other packages that take part, if installed.

    The setting `device` says whether a GPU takes part; then its model and its driver come first.
    """
    gpu = [] if device == "cpu" or not gpu_count() else [" ".join(line.split()) for line in driver_description()]
    described = environment.describe()
    packages = [
        f"{name} {metadata.version(name)}" for name in ("tensorflow", "keras", *others) if importlib.util.find_spec(name)
    ]
    cpu = f"{described['cores']['usable']} cores of an {described['cpu']['model']}"
    system = f"{cpu}, {platform.system()}, Python {platform.python_version()}, {', '.join(packages)}"
    return "; ".join([*gpu, system])


def epochs_table(seen: dict[tuple[str, str], Measured], profiles: dict[tuple[str, str], dict[str, object]]) -> list[str]:
    """Return a row for each model and program."""
    rows = [
        "| model | program | s / epoch | of plain Keras | of PyTorch | images/s | peak memory, MB | of the matmul peak |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (model, program), measured in seen.items():
        median = statistics.median(measured.epochs)
        shares = []
        for other in (KERAS, TORCH):
            there = seen.get((model, other))
            shares.append(f"{median / statistics.median(there.epochs):.2f}" if there and other != program else "")
        precision = "bfloat16" if program == OURS_BF16 else "float32"
        gflop, peak = (float(str(profiles[model, precision][key])) for key in ("gflop", "peak"))
        cells = [model, program, spread(measured.epochs), *shares, f"{60_000 / median:,.0f}"]
        cells += [f"{statistics.median(measured.memory):,.0f}", f"{100 * gflop / median / peak:.0f} %"]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def profile_table(profiles: dict[tuple[str, str], dict[str, object]]) -> list[str]:
    """Return the shares of the processor's time in a step."""
    columns = {key: dict(value["operations"]) for key, value in profiles.items()}  # type: ignore[call-overload]
    kinds = sorted(
        {kind for column in columns.values() for kind in column},
        key=lambda kind: -max(c.get(kind, 0) for c in columns.values()),
    )
    rows = [f"| % of a step | {' | '.join(f'{model}, {precision}' for model, precision in columns)} |"]
    rows.append("| --- |" + " --- |" * len(columns))
    for kind in kinds:
        shares = [100 * column.get(kind, 0) / sum(column.values()) for column in columns.values()]
        rows.append(f"| {kind} | {' | '.join(f'{share:.0f}' for share in shares)} |")
    return rows


def main() -> int:
    """Measure all programs in turn, so that a slow minute of the machine affects all; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repetitions", nargs="?", type=int, default=5)
    parser.add_argument("--manual", action="store_true", help="write the tables into the manual")
    arguments = parser.parse_args()
    programs = [KERAS, *([TORCH] if importlib.util.find_spec("torch") else []), OURS, OURS_BF16]
    seen = {(model, program): Measured() for model in MODELS for program in programs}
    cold = {program: Measured() for program in (KERAS, OURS)}
    imports, profiles = Measured(), {}
    for number in range(arguments.repetitions):
        for (model, program), measured in seen.items():
            measure(program, measured, model, EPOCHS)
        for program, measured in cold.items():
            measure(program, measured, "mlp", COLD_EPOCHS)
        imports.add([sys.executable, "-c", IMPORT], lambda _: [])
        print(f"repetition {number + 1} of {arguments.repetitions}", file=sys.stderr, flush=True)
    for model in MODELS:
        for precision in ("float32", "bfloat16"):
            command = [sys.executable, "-m", "tests.benchmarks.profile_steps", model, precision]
            done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=HERE.parent.parent)
            profiles[model, precision] = json.loads(done.stdout)

    import_seconds = statistics.median(imports.process)
    added = [around - import_seconds for around in cold[OURS].around]
    measured_on = f"{machine('torch')}; {arguments.repetitions} repetitions, median (range)."
    lines = [measured_on, "", *epochs_table(seen, profiles), ""]
    lines += [
        "`mnist-exp experiment=tutorial_mlp`, from the cold start to the finished report, takes "
        f"{spread(cold[OURS].process, 1)} s, the bare script {spread(cold[KERAS].process, 1)} s. Importing TensorFlow takes "
        f"{import_seconds:.1f} s of it; what the program adds around training (configuration, run directory, checkpoints, "
        f"evaluation, report), {spread(added, 1)} s.",
        "",
        *profile_table(profiles),
    ]
    print("\n".join(lines))
    if arguments.manual:
        replace_between(*TABLES["training"], "\n".join(lines))
    return int(any(missed(seen, cold, added)))


def missed(seen: dict[tuple[str, str], Measured], cold: dict[str, Measured], added: list[float]) -> list[bool]:
    """Print each bar with its measurement; return whether each was missed."""
    found = []

    def judge(what: str, value: float, bar: float) -> None:
        found.append(value > bar)
        print(f"{'MISSED' if value > bar else 'met   '} {what}: {value:.2f}, bar {bar:.2f}", file=sys.stderr)

    for (model, program, other), bar in BARS.items():
        if (model, other) in seen:
            share = statistics.median(seen[model, program].epochs) / statistics.median(seen[model, other].epochs)
            judge(f"{model}, {program} of {other}", share, bar)
    for model in MODELS:
        ours_memory, theirs = (statistics.median(seen[model, program].memory) for program in (OURS, KERAS))
        judge(f"{model}, peak memory of {KERAS}", ours_memory / theirs, 1.0)
    judge(f"cold, of {KERAS}", statistics.median(cold[OURS].process) / statistics.median(cold[KERAS].process), 1.0)
    judge("seconds added around training", statistics.median(added), ADDED_BAR)
    return found


if __name__ == "__main__":
    sys.exit(main())
