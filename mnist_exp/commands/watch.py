"""`mnist-exp watch [RUN|SWEEP|DIR …]`: what is running."""

import time
from pathlib import Path

from rich.live import Live

from mnist_exp.commands import arguments as command_line
from mnist_exp.errors import EXIT_DONE, InputError
from mnist_exp.terminal import messages
from mnist_exp.watch import table
from mnist_exp.watch.snapshot import Watcher

EXAMPLES = """\
  mnist-exp watch                            all that is running below runs/, until nothing is
  mnist-exp watch latest                     one run
  mnist-exp watch runs/2026-11-22T07-40-12_sweep --interval 10
  mnist-exp watch --once                     one look
  mnist-exp watch --forever                  also what will be started
"""
SHORTEST, LONGEST = 0.1, 3600.0  # seconds
BESIDE = 6  # lines of a terminal that are not rows


def main(arguments: list[str]) -> int:
    """Print a table of what is running, and keep it up to date."""
    parser = command_line.parser("watch", "Watch runs and sweeps that are running; only their files are read.", EXAMPLES)
    parser.add_argument("places", nargs="*", metavar="RUN|SWEEP|DIR", help="what to watch (default: all of --runs-dir)")
    parser.add_argument(
        "--interval", type=float, default=1.0, metavar="SECONDS", help="between looks (default: %(default)s)"
    )
    parser.add_argument("--once", action="store_true", help="look once and end, as where standard output is no terminal")
    parser.add_argument("--forever", action="store_true", help="wait for runs to come when none is running")
    command_line.add_runs_dir(parser)
    parsed = parser.parse_args(arguments)
    if not SHORTEST <= parsed.interval <= LONGEST:
        raise InputError(
            f"--interval {parsed.interval:g}: not allowed", f"allowed: from {SHORTEST:g} to {LONGEST:g} seconds"
        )
    places = [command_line.directory_of(name, parsed.runs_dir) for name in parsed.places] or [Path(parsed.runs_dir)]
    if not places[0].is_dir():
        raise InputError(f"{places[0]}: there is no such directory", "train with mnist-exp, or name it with --runs-dir DIR")
    watch = Watcher(places, named=bool(parsed.places))
    out = messages.output()
    lines = watch.snapshots()
    if parsed.once or not out.is_terminal:
        if lines:
            out.print(table.render(lines, out.width))
    else:
        with Live(console=out, auto_refresh=False) as live:
            while True:
                live.update(table.render(lines, out.width, out.height - BESIDE), refresh=True)
                if not (parsed.forever or any(line.running for line in lines)):
                    break
                time.sleep(parsed.interval)
                lines = watch.snapshots()
    if not any(line.running for line in lines):
        out.print(messages.cell(f"nothing is running in {', '.join(map(str, places))}"))
    return EXIT_DONE
