"""Signals at random moments: the run is resumed to the same result, and no reported epoch is lost."""

import itertools
import random
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.faults.result import result_of
from tests.forks import NewProcesses

SMALL = ("dataset.limit=600", "training.batch_size=64", "training.epochs=40")
# Everything that a state must contain: random numbers, averages, a schedule, the best epoch, early stopping.
STATEFUL = (
    "model.dropout=0.3",
    "schedule=cosine",
    "training.ema_decay=0.9",
    "training.select=best",
    "training.early_stopping_patience=30",
)
NETWORKS = {
    "mlp": ("model.units=[16]",),
    "cnn_large": ("model=cnn_large", "model.filters=[4,3]", "model.units=[8]"),
}


@dataclass(frozen=True)
class Outcome:
    """The outcome of one signal."""

    reached: bool  # the run had not finished
    seconds: float  # until it exited
    code: int
    lost: int  # reported epochs that were trained again
    same: bool  # the resumed run's result and the uninterrupted one's, bit for bit


def overrides(network: str) -> list[str]:
    """Return the overrides of a small training of a network."""
    return [*SMALL, *STATEFUL, *NETWORKS[network]]


def uninterrupted(place: Path, network: str, processes: NewProcesses) -> tuple[Path, float]:
    """Train without a fault; return the run and the seconds from its first file to its end."""
    place.mkdir()
    processes.run(*overrides(network), "progress=quiet", cwd=place).check_returncode()
    (run,) = (place / "runs").iterdir()
    first = (run / "overrides.yaml").stat().st_mtime
    return run, (run / "status.json").stat().st_mtime - first


def interrupt(
    place: Path, network: str, number: signal.Signals, moment: float, expected: Path, processes: NewProcesses
) -> Outcome:
    """Train, send a signal `moment` seconds after the run has its directory, and resume."""
    place.mkdir()
    with (place / "stderr").open("wb") as stderr:
        process = processes.start(*overrides(network), "progress=plain", cwd=place, stdout=subprocess.DEVNULL, stderr=stderr)
    while process.poll() is None and not list(place.glob("runs/*/status.json")):
        time.sleep(0.002)
    time.sleep(moment)
    process.send_signal(number)
    start = time.perf_counter()
    code = process.wait(timeout=60)
    seconds = time.perf_counter() - start
    (run,) = (place / "runs").iterdir()
    if (run / "summary.json").exists():
        return Outcome(False, seconds, code, 0, result_of(run) == result_of(expected))
    history = run / "history.csv"
    rows = len(history.read_text().splitlines()) - 1 if history.exists() else 0
    reported = max(rows, len(re.findall(r"^epoch +\d+/", (place / "stderr").read_text(), re.MULTILINE)))
    resumed = processes.run("resume", str(run), cwd=place)
    resumed_after = re.search(r"resumed after epoch (\d+)", resumed.stderr)
    lost = max(0, reported - int(resumed_after[1]) if resumed_after else reported)
    return Outcome(True, seconds, code, lost, resumed.returncode == 0 and result_of(run) == result_of(expected))


def campaign(place: Path, number: signal.Signals, tries: int, seed: int, processes: NewProcesses) -> list[Outcome]:
    """Return the outcomes of `tries` signals, half for each network, at uniform moments of the run; two at a time."""
    place.mkdir()
    expected = {network: uninterrupted(place / network, network, processes) for network in NETWORKS}
    generator = random.Random(seed)
    outcomes: list[Outcome] = []
    numbers = itertools.count()
    with ThreadPoolExecutor(2) as workers:
        while len(outcomes) < tries:
            jobs = []
            for index in range(tries - len(outcomes)):
                network = list(NETWORKS)[index % len(NETWORKS)]
                run, seconds = expected[network]
                moment = generator.uniform(0, 1.5 * seconds)  # two at a time are slower than the one that was timed
                try_ = place / str(next(numbers))
                jobs.append(workers.submit(interrupt, try_, network, number, moment, run, processes))
            found = [job.result() for job in jobs]
            # A signal after the end interrupts nothing and does not count, unless the result is wrong.
            outcomes += [outcome for outcome in found if outcome.reached or not outcome.same]
    return outcomes
