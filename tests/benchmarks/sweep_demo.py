"""A sweep that is killed half-way and resumed: 3 models × 2 learning rates × 2 seeds on MNIST.

Run with `make sweep-demo`; arguments are overrides, such as dataset.limit=6000. Fails if a finished job was trained again or
the leaderboard does not match the runs.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import yaml

JOBS = 12
HALF = 6
SWEEP = ("model=mlp,cnn_simple,cnn_large", "optimizer.learning_rate=1e-3,3e-3", "seed=1,2", "training.epochs=1")


def say(text: str) -> None:
    """Print a message."""
    print(f"\n--- {text}", flush=True)


def main(overrides: list[str]) -> int:
    """Kill the sweep, resume it, and check the result."""
    place = Path("runs") / time.strftime("sweep-demo-%Y-%m-%dT%H-%M-%S")
    command = [sys.executable, "-m", "mnist_exp"]
    say(f"{JOBS} jobs; the process is killed (SIGKILL) when {HALF} of them are done")
    process = subprocess.Popen([*command, "-m", *SWEEP, f"runs_dir={place}", *overrides])
    while len(finished := results(place)) < HALF:
        if process.poll() is not None:
            print(f"the sweep exited before it was killed, with {process.returncode}", file=sys.stderr)
            return 1
        time.sleep(0.05)
    process.kill()
    process.wait()
    finished = results(place)
    (sweep,) = place.iterdir()
    say(f"killed with {len(finished)} jobs done; mnist-exp resume {sweep}")
    code = subprocess.run([*command, "resume", str(sweep)], check=False).returncode
    after = results(place)
    again = sum(after.get(path) != when for path, when in finished.items())
    right = is_right(sweep)
    say(f"exit {code}; {len(after)} of {JOBS} jobs done, {again} finished jobs trained again; the leaderboard is "
        f"{'right' if right else 'WRONG'}")  # fmt: skip
    return 0 if (code, len(after), again, right) == (0, JOBS, 0, True) else 1


def results(place: Path) -> dict[Path, int]:
    """The time of each finished job's summary.json, the last file it writes."""
    return {path: path.stat().st_mtime_ns for path in place.glob("*/*/summary.json")}


def is_right(sweep: Path) -> bool:
    """Whether the leaderboard has the means of the runs, computed here from their files, best first."""
    errors: dict[str, list[float]] = {}
    for job in yaml.safe_load((sweep / "sweep.yaml").read_text())["jobs"]:
        summary = json.loads((sweep / job["directory"] / "summary.json").read_text())
        errors.setdefault(job["config_hash"], []).append(summary["validation"]["error_percent"])
    expected = sorted((round(statistics.mean(values), 9), len(values)) for values in errors.values())
    board = json.loads((sweep / "leaderboard.json").read_text())["configurations"]
    return [(round(line["validation"]["mean"], 9), line["n"]) for line in board] == expected


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
