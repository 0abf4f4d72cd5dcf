"""All faults with many tries; prints Markdown and fails if anything was lost. Run `make faults`.

About 15 minutes, and two hours for the repeats of all models; `--only faults` or `--only repeats` does a part.
"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.manual import TABLES, replace_between
from tests.faults import disks, kills, repeats, rivals, writes
from tests.forks import NewProcesses

KILLS, SIGNALS, RIVALS, REPEATS = 50, 10, 5, 10


def main() -> int:
    """Run the chosen tries; return 1 if anything was lost or did not repeat."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manual", action="store_true", help="write the tables into the manual")
    parser.add_argument("--only", choices=("faults", "repeats"), help="do one part")
    arguments = parser.parse_args()
    good = True
    for part, measure in (("faults", break_runs), ("repeats", repeat_runs)):
        if arguments.only in (None, part):
            lines, passed = measure()
            print("\n".join(lines), flush=True)
            if arguments.manual:
                replace_between(*TABLES[part], "\n".join(lines))
            good &= passed
    return int(not good)


def repeat_runs() -> tuple[list[str], bool]:
    """Return the table of repeated trainings, and whether all had the same result."""
    lines, passed = [f"| model, precision | {' | '.join(repeats.WAYS)} |", "| --- |" + " --- |" * len(repeats.WAYS)], True
    with tempfile.TemporaryDirectory() as temporary:
        for model in repeats.MODELS:
            for precision in repeats.PRECISIONS:
                same = repeats.matrix_row(Path(temporary) / f"{model}_{precision}", model, precision, REPEATS)
                counts = " | ".join(f"{number} of {REPEATS}" for number in same)
                lines.append(f"| `{model}`, {precision} | {counts} |")
                print(lines[-1], file=sys.stderr, flush=True)
                passed &= min(same) == REPEATS
    return lines, passed


def break_runs() -> tuple[list[str], bool]:
    """Return the table of faults, and whether all were survived."""
    rows: list[tuple[str, int, int, str]] = []

    def add(fault: str, tries: int, survived: int, more: str = "") -> None:
        rows.append((fault, tries, survived, more))
        print(f"{fault}: {survived} of {tries} {more}", file=sys.stderr, flush=True)

    processes = NewProcesses()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        for save, function in writes.SAVES.items():
            tries, survived = writes.failures(place / f"writes_{save}", function)
            add(f"every operation of writing a {save} fails: EIO, ENOSPC, once or for good, or a crash", tries, survived)
        for number, count, code in (
            (signal.SIGKILL, KILLS, -signal.SIGKILL),
            (signal.SIGINT, SIGNALS, 130),
            (signal.SIGTERM, SIGNALS, 143),
        ):
            outcomes = kills.campaign(place / f"kills_{number}", number, count, int(number), processes)
            good = sum(outcome.same and not outcome.lost and outcome.code == code for outcome in outcomes)
            more = f"{sum(outcome.lost for outcome in outcomes)} finished epochs lost"
            if number != signal.SIGKILL:
                more += f", exited after at most {max(outcome.seconds for outcome in outcomes):.1f} s"
            add(f"{signal.Signals(number).name} at a random moment, then `resume`", len(outcomes), good, more)
        expected, _ = kills.uninterrupted(place / "expected", "mlp", processes)
        for name, trial in (
            ("a second process on a running run", rivals.refused_while_alive),
            ("two processes on an interrupted run", rivals.one_of_two_wins),
        ):
            survived = sum(trial(place / f"{trial.__name__}_{index}", expected, processes) for index in range(RIVALS))
            add(name, RIVALS, survived)
        with disks.small_disk(place / "disk") as disk:
            if disk is None:
                print("no disk could be mounted here: not tried", file=sys.stderr)
            else:
                add("a disk that is read-only", 1, int(disks.refused_where_nothing_can_be_written(disk)))
                add("a disk of 16 MB, too small", 1, int(disks.refused_before_training(disk, processes)))
                add("a disk of 16 MB that fills", 1, int(disks.filled_and_resumed(disk, expected, processes)))
    lines = ["| fault | tries | survived | |", "| --- | --- | --- | --- |"]
    lines += [f"| {fault} | {tries} | {survived} | {more} |" for fault, tries, survived, more in rows]
    return lines, all(tries == survived for _, tries, survived, _ in rows)


if __name__ == "__main__":
    sys.exit(main())
