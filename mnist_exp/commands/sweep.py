"""`mnist-exp -m …` and `mnist-exp resume SWEEP …`: plan the jobs, have them trained, and tell what came of it."""

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from mnist_exp import __version__, logs, runs, terminal
from mnist_exp.commands import results
from mnist_exp.comparison.tables import counted
from mnist_exp.config import composition
from mnist_exp.config.execution import HydraConfig
from mnist_exp.config.identity import config_hash, not_identity
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import EXIT_DONE, InputError, Interrupted
from mnist_exp.sweep import launchers, plan
from mnist_exp.sweep.display import display
from mnist_exp.sweep.driver import Driver, Planned, Progress, standing
from mnist_exp.sweep.plan import Job, Plan, Sweep

log = logging.getLogger(__name__)


def start(parsed: argparse.Namespace) -> int:
    """Train every point of a command line with `-m`.

    Raises:
        UserError: it cannot be used, or no directory can be made.
        KeyboardInterrupt, Interrupted: after telling what is there.
    """
    execution = composition.execution(parsed)
    with terminal.busy("checking every point"):
        points = composition.points(parsed)
    jobs, experiments = plan.extended([], points)
    first = points[0].experiment
    if first.sweep.dry_run:
        return _list(jobs)
    sweep = Sweep(runs.create_directory(Path(first.runs_dir).expanduser(), first.sweep.name))
    config_dir = None if parsed.config_dir is None else str(Path(parsed.config_dir).resolve())
    made = Plan(
        layout=1,
        created=runs.now(),
        version=__version__,
        config_dir=config_dir,
        config_name=parsed.config_name,
        overrides=tuple(parsed.overrides),
        jobs=tuple(jobs),
    )
    plan.write(sweep, made)
    return _train(sweep, jobs, experiments, execution)


def resume(directory: Path, overrides: Sequence[str], retry_failed: bool) -> int:
    """Train what is missing of a sweep, and the points that the overrides add to it.

    Args:
        directory: of the sweep.
        overrides: take the place of those of the sweep with the same key; such as seed=range(10) or hydra/launcher=joblib.
        retry_failed: whether jobs that failed are missing too.

    Raises:
        UserError: the sweep cannot be read, the overrides cannot be used, or another process runs the sweep.
        KeyboardInterrupt, Interrupted: after telling what is there.
    """
    sweep = Sweep(directory)
    known = plan.read(sweep)
    flags = [f"--config-dir={known.config_dir}"] if known.config_dir else []
    flags += [f"--config-name={known.config_name}"] if known.config_name else []
    parsed = composition.parse_arguments(["-m", *flags, *known.overrides, *overrides])
    execution = composition.execution(parsed)
    how = [line for line in overrides if _is_how(line)]
    jobs = list(known.jobs)
    if len(how) < len(overrides):
        jobs, _ = plan.extended(jobs, composition.points(parsed))
    missing = [job for job in jobs if _is_missing(sweep, job, retry_failed)]
    recomposed = composition.recomposed(parsed, [(*job.overrides, *how) for job in missing])
    for job, experiment in zip(missing, recomposed, strict=True):
        if (config_hash(experiment), experiment.seed) != (job.config_hash, job.seed):
            cause = f"job {job.number} of {sweep.directory}: its overrides mean another experiment now"
            raise InputError(cause, "restore the options in conf/ and --config-dir, or start a new sweep")
    if len(jobs) > len(known.jobs):
        plan.write(sweep, known.model_copy(update={"overrides": tuple(parsed.overrides), "jobs": tuple(jobs)}))
    experiments = {job.number: experiment for job, experiment in zip(missing, recomposed, strict=True)}
    return _train(sweep, jobs, experiments, execution)


def _train(sweep: Sweep, jobs: Sequence[Job], experiments: Mapping[int, Experiment], execution: HydraConfig) -> int:
    """Train the jobs that have an experiment here, and tell what came of the whole sweep; its exit code."""
    if not experiments:
        return results.of_sweep(sweep, jobs)
    first = next(iter(experiments.values()))
    ended = [job for job in jobs if job.number not in experiments]
    source = Planned((job, experiments[job.number]) for job in jobs if job.number in experiments)
    with plan.locked(sweep), logs.logged(sweep.log):
        launcher = launchers.build(sweep, execution.launcher, first)
        new = f"{counted(len(experiments), 'job')} to train, {launcher.places} at once"
        told = f"{sweep.directory}: {new}" + (f"; {len(ended):,} are done" if ended else "")
        log.info("%s", told)
        if first.progress != "quiet":
            terminal.note(told)
        shown = display(first.progress, sweep)
        try:
            with shown:
                Driver(sweep, first.sweep, launcher, shown).run(source, Progress(len(jobs), standing(sweep, ended)))
        except (KeyboardInterrupt, Interrupted):
            results.of_sweep(sweep, jobs)
            raise
        return results.of_sweep(sweep, jobs, launcher.peak_memory)


def _is_how(line: str) -> bool:
    """Whether an override only says how jobs are run, and makes no other experiment of them."""
    key = line.lstrip("+~").partition("=")[0]
    return key.startswith("hydra") or not_identity(key)


def _is_missing(sweep: Sweep, job: Job, retry_failed: bool) -> bool:
    record = runs.read(sweep.run(job).directory)
    return record.summary is None and (retry_failed or record.status not in {"failed", "diverged"})


def _list(jobs: Sequence[Job]) -> int:
    """Print what would be trained."""
    for job in jobs:
        print(terminal.plain(f"{job.number:>4}  {' '.join(job.overrides)}"))
    print(counted(len(jobs), "job"))
    return EXIT_DONE
