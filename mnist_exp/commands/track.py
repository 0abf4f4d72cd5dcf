"""`mnist-exp track RUN|SWEEP… tracker=…`: upload existing runs to a tracker."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from mnist_exp import tracking
from mnist_exp.commands import arguments as command_line
from mnist_exp.commands.named_runs import find_directory
from mnist_exp.config.trackers import AnyTracker
from mnist_exp.errors import EXIT_DONE, EXIT_FAILED, EnvironmentFailure, InputError, UserError
from mnist_exp.runs.directory import find_runs
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import read_record
from mnist_exp.sweep import plan
from mnist_exp.sweep.plan import Sweep
from mnist_exp.terminal import messages
from mnist_exp.terminal.messages import pluralize
from mnist_exp.tracking.uploads import Uploads

EXAMPLES = """\
  mnist-exp track latest tracker=tensorboard
  mnist-exp track latest tracker=mlflow
  mnist-exp track runs/2026-11-22T07-40-12_sweep tracker=mlflow tracker.tracking_uri=http://10.0.0.7:5000
  mnist-exp track runs tracker=wandb tracker.project=digits          all runs below runs/
"""


def main(arguments: list[str]) -> int:
    """Upload what the tracker lacks of runs and sweeps."""
    parser = command_line.parser("track", EXAMPLES)
    parser.add_argument("words", nargs="+", metavar="RUN|SWEEP|tracker=...", help="directories, their names, or latest")
    command_line.add_config_dir(parser, "a directory with your own options, such as tracker/NAME.yaml")
    parsed = parser.parse_intermixed_args(arguments)
    overrides = [word for word in parsed.words if command_line.is_override(word)]
    places = [find_directory(word, parsed.runs_dir) for word in parsed.words if word not in overrides]
    settings = _tracker_settings(overrides, parsed.config_dir)
    if not places:
        raise InputError(f"track {' '.join(overrides)}: names no run", "for example: mnist-exp track latest tracker=mlflow")
    runs = list({path.resolve(): Run(path) for place in places for path in find_runs(place)}.values())
    if not runs:
        raise InputError(f"{', '.join(map(str, places))}: contains no run", "train one with mnist-exp")
    return _upload(runs, _complete_sweeps(runs, places), settings)


def _tracker_settings(overrides: Sequence[str], config_dir: str | None) -> AnyTracker:
    settings = command_line.compose(overrides, config_dir).tracker
    for override in overrides:
        if override.lstrip("+~").partition("=")[0].partition(".")[0] != "tracker":
            raise InputError(f"{override}: not a setting of a tracker", "an existing run keeps its configuration")
    return settings


def _complete_sweeps(runs: Sequence[Run], places: Sequence[Path]) -> list[Sweep]:
    """Return the sweeps at or below the given places, without sweeps of which only some jobs are given."""
    parents = {run.directory.resolve().parent: run.directory.parent for run in runs}
    given = {place.resolve() for place in places}
    return [Sweep(parent) for path, parent in parents.items() if plan.is_sweep(path) and given & {path, *path.parents}]


def _upload(runs: Sequence[Run], sweeps: Sequence[Sweep], settings: AnyTracker) -> int:
    """Upload runs and sweeps and print the result of each; raise EnvironmentFailure if the tracker cannot be reached."""
    failed = 0
    started = [run for run in runs if read_record(run.directory).status != "waiting"]
    places: list[Run | Sweep] = [*started, *sweeps]
    with messages.spinner(f"starting {settings.name}"):
        tracker = tracking.build_tracker(settings)
    with contextlib.closing(Uploads(tracker)) as uploads:
        for number, place in enumerate(places, 1):
            try:
                address = uploads.send(place)
            except UserError as error:
                if isinstance(error, EnvironmentFailure) or len(places) == 1:
                    raise
                failed += 1
                messages.error(error.cause, error.remedy)
            else:
                messages.print_line(f"{number:,}/{len(places):,}  {place.directory}: {address}")
    parts = [pluralize(len(started), "run"), *([pluralize(len(sweeps), "sweep")] if sweeps else [])]
    total = f"{settings.name}: {' and '.join(parts)}" + (f", {failed:,} of them failed" if failed else "")
    messages.print_line(total)
    return EXIT_FAILED if failed else EXIT_DONE
