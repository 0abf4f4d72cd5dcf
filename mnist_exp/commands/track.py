"""`mnist-exp track RUN|SWEEP… tracker=…`: tell a tracker of what is there, from the directories alone."""

import re
from collections.abc import Sequence
from pathlib import Path

from mnist_exp import tracking
from mnist_exp.commands import arguments as command_line
from mnist_exp.config.schema import AnyTracker
from mnist_exp.errors import EXIT_DONE, EXIT_FAILED, EnvironmentFailure, InputError, UserError
from mnist_exp.run.directory import find_runs, is_run
from mnist_exp.run.names import Run
from mnist_exp.run.status import read_record
from mnist_exp.sweep import plan
from mnist_exp.sweep.plan import Sweep
from mnist_exp.terminal import messages
from mnist_exp.terminal.messages import pluralize
from mnist_exp.tracking.uploads import Uploads

EXAMPLES = """\
  mnist-exp track latest tracker=tensorboard
  mnist-exp track latest tracker=mlflow
  mnist-exp track runs/2026-11-22T07-40-12_sweep tracker=mlflow tracker.tracking_uri=http://10.0.0.7:5000
  mnist-exp track runs tracker=wandb tracker.project=digits          everything below runs/
"""
SETTING = re.compile(r"[+~]*[A-Za-z_][\w./]*=")


def main(arguments: list[str]) -> int:
    """Send what the tracker does not have; what it has is not sent twice."""
    parser = command_line.parser("track", "Tell a tracker of runs and sweeps that are there.", EXAMPLES)
    parser.add_argument("words", nargs="+", metavar="RUN|SWEEP|tracker=...", help="directories, their names, or latest")
    parser.add_argument("--config-dir", metavar="DIR", help="a directory with options of your own, as tracker/NAME.yaml")
    command_line.add_runs_dir(parser)
    parsed = parser.parse_intermixed_args(arguments)
    typed = [word for word in parsed.words if SETTING.match(word) and not Path(word).exists()]
    places = [command_line.find_directory(word, parsed.runs_dir) for word in parsed.words if word not in typed]
    settings = _settings(typed, parsed.config_dir)
    if not places:
        raise InputError("no run is named", "name a run, a sweep, or latest: mnist-exp track latest tracker=mlflow")
    found = {run.resolve(): Run(run) for place in places for run in find_runs(place) if is_run(run)}
    if not found:
        raise InputError(f"{', '.join(map(str, places))}: holds no run", "train one with mnist-exp")
    return _send(list(found.values()), _whole_sweeps(list(found.values()), places), settings)


def _settings(typed: Sequence[str], config_dir: str | None) -> AnyTracker:
    """The tracker of these overrides.

    Raises:
        ConfigError: everything that is wrong with them.
        InputError: they set something else, or no tracker.
    """
    from mnist_exp.config.command_line import parse_arguments
    from mnist_exp.config.composition import Composition

    flags = [] if config_dir is None else [f"--config-dir={config_dir}"]
    settings = Composition(parse_arguments([*flags, *typed])).points()[0].experiment.tracker
    for line in typed:
        if line.lstrip("+~").partition("=")[0].partition(".")[0] != "tracker":
            raise InputError(f"{line}: is no setting of a tracker", "a run that is there keeps its configuration")
    return settings


def _whole_sweeps(found: Sequence[Run], places: Sequence[Path]) -> list[Sweep]:
    """The sweeps at or below the places; one that only some of its jobs stand for is not told of."""
    sweeps = {run.directory.resolve().parent: run.directory.parent for run in found}
    named = {place.resolve() for place in places}
    return [Sweep(told) for sweep, told in sweeps.items() if plan.is_sweep(sweep) and named & {sweep, *sweep.parents}]


def _send(found: Sequence[Run], sweeps: Sequence[Sweep], settings: AnyTracker) -> int:
    """Send them, telling of each; 1 if one could not be.

    Raises:
        EnvironmentFailure: the tracker cannot be reached.
    """
    out, failed = messages.output(), 0
    begun = [run for run in found if read_record(run.directory).status != "waiting"]
    places: list[Run | Sweep] = [*begun, *sweeps]
    with messages.spinner(f"starting {settings.name}"):
        tracker = tracking.build_tracker(settings)
    with Uploads(tracker) as uploads:
        for number, place in enumerate(places, 1):
            try:
                address = uploads.send_sweep(place) if isinstance(place, Sweep) else uploads.send(place)
            except EnvironmentFailure:
                raise
            except UserError as error:
                failed += 1
                messages.error(error.cause, error.remedy)
            else:
                out.print(messages.cell(f"{number:,}/{len(places):,}  {place.directory}: {address}"))
    parts = [pluralize(len(begun), "run"), *([pluralize(len(sweeps), "sweep")] if sweeps else [])]
    out.print(messages.cell(f"{settings.name}: {' and '.join(parts)}" + (f", {failed:,} of them failed" if failed else "")))
    return EXIT_FAILED if failed else EXIT_DONE
