"""All faults with many tries; prints Markdown and fails if anything was lost. Run `make faults`; takes about 15 minutes."""

import signal
import sys
import tempfile
from pathlib import Path

from tests.faults import disks, kills, rivals, writes

KILLS, SIGNALS, RIVALS = 50, 10, 5


def main(kill_tries: int = KILLS, signal_tries: int = SIGNALS, rival_tries: int = RIVALS) -> int:
    """Run all tries; return 1 if anything was lost."""
    rows: list[tuple[str, int, int, str]] = []

    def add(fault: str, tries: int, survived: int, more: str = "") -> None:
        rows.append((fault, tries, survived, more))
        print(f"{fault}: {survived} of {tries} {more}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        for save, function in writes.SAVES.items():
            tries, survived = writes.failures(place / f"writes_{save}", function)
            add(f"every operation of writing a {save} fails: EIO, ENOSPC, once or for good, or a crash", tries, survived)
        for number, count, code in (
            (signal.SIGKILL, kill_tries, -signal.SIGKILL),
            (signal.SIGINT, signal_tries, 130),
            (signal.SIGTERM, signal_tries, 143),
        ):
            outcomes = kills.campaign(place / f"kills_{number}", number, count, seed=int(number))
            good = sum(outcome.same and not outcome.lost and outcome.code == code for outcome in outcomes)
            more = f"{sum(outcome.lost for outcome in outcomes)} finished epochs lost"
            if number != signal.SIGKILL:
                more += f", exited after at most {max(outcome.seconds for outcome in outcomes):.1f} s"
            add(f"{signal.Signals(number).name} at a random moment, then `resume`", len(outcomes), good, more)
        expected, _ = kills.uninterrupted(place / "expected", "mlp")
        for name, trial in (
            ("a second process on a running run", rivals.refused_while_alive),
            ("two processes on an interrupted run", rivals.one_of_two_wins),
        ):
            survived = sum(trial(place / f"{trial.__name__}_{index}", expected) for index in range(rival_tries))
            add(name, rival_tries, survived)
        with disks.small_disk(place / "disk") as disk:
            if disk is None:
                print("no disk could be mounted here: not tried", file=sys.stderr)
            else:
                add("a disk that is read-only", 1, int(disks.refused_where_nothing_can_be_written(disk)))
                add("a disk of 16 MB, too small", 1, int(disks.refused_before_training(disk)))
                add("a disk of 16 MB that fills", 1, int(disks.filled_and_resumed(disk, expected)))
    print("| fault | tries | survived | |\n| --- | --- | --- | --- |")
    for fault, tries, survived, more in rows:
        print(f"| {fault} | {tries} | {survived} | {more} |")
    return int(any(tries != survived for _, tries, survived, _ in rows))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
