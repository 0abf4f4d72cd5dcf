"""`mnist-exp watch [RUN|SWEEP|DIR …]`: show what is running."""

import time
from pathlib import Path

from rich.live import Live

from mnist_exp.commands import arguments as command_line
from mnist_exp.commands.named_runs import find_directory
from mnist_exp.errors import EXIT_DONE, InputError
from mnist_exp.terminal import messages, streams
from mnist_exp.watch import table
from mnist_exp.watch.snapshot import Watcher

EXAMPLES = """\
  mnist-exp watch                            everything that is running in runs/, until nothing is
  mnist-exp watch latest                     the latest run or sweep
  mnist-exp watch runs/2026-11-22T07-40-12_sweep --interval 10
  mnist-exp watch --once                     print the table once
  mnist-exp watch --forever                  also show runs that start later
"""
MIN_SECONDS, MAX_SECONDS = 0.1, 3600.0
OTHER_LINES = 6  # lines of a terminal that are not rows of the table


def main(arguments: list[str]) -> int:
    """Print a table of the running runs and sweeps, and keep it up to date in a terminal."""
    parser = command_line.parser("watch", EXAMPLES)
    parser.add_argument("places", nargs="*", metavar="RUN|SWEEP|DIR", help="what to watch (default: all of --runs-dir)")
    parser.add_argument(
        "--interval", type=float, default=1.0, metavar="SECONDS", help="between two updates (default: %(default)s)"
    )
    parser.add_argument("--once", action="store_true", help="print the table once, as when the output is not a terminal")
    parser.add_argument("--forever", action="store_true", help="wait for new runs when nothing is running")
    parsed = parser.parse_args(arguments)
    if not MIN_SECONDS <= parsed.interval <= MAX_SECONDS:
        allowed = f"allowed: from {MIN_SECONDS:g} to {MAX_SECONDS:g} seconds"
        raise InputError(f"--interval {parsed.interval:g}: not allowed", allowed)
    places = [find_directory(name, parsed.runs_dir) for name in parsed.places] or [Path(parsed.runs_dir)]
    if not places[0].is_dir():
        raise InputError(f"{places[0]}: directory does not exist", "train with mnist-exp, or choose another --runs-dir")
    watcher = Watcher(places, named=bool(parsed.places))
    out = messages.output()
    snapshots = watcher.snapshots()
    if parsed.once or not out.is_terminal or not (snapshots or parsed.forever):
        if snapshots:
            out.print(table.render(snapshots, out.width))
    else:
        with Live(console=out, auto_refresh=False) as live:
            while not streams.is_lost():
                live.update(table.render(snapshots, out.width, out.height - OTHER_LINES), refresh=True)
                if not (parsed.forever or any(snapshot.running for snapshot in snapshots)):
                    break
                time.sleep(parsed.interval)
                snapshots = watcher.snapshots()
    if not any(snapshot.running for snapshot in snapshots):
        messages.print_line(f"nothing is running in {', '.join(map(str, places))}")
    return EXIT_DONE
