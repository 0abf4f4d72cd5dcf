"""`mnist-exp -m …` and `mnist-exp resume SWEEP …`: plan the jobs, have them trained, and tell what came of it."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from mnist_exp import __version__, tracking
from mnist_exp.commands import results
from mnist_exp.config import composition
from mnist_exp.config.execution import HydraConfig, OptunaSweeperConfig
from mnist_exp.config.identity import config_hash, not_identity
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import EXIT_DONE, ConfigError, InputError, Interrupted
from mnist_exp.machine import logs
from mnist_exp.run.directory import create_directory
from mnist_exp.run.status import now, read_record
from mnist_exp.sweep import launchers, plan
from mnist_exp.sweep.display import display
from mnist_exp.sweep.driver import Driver, JobSource, PlannedJobs, job_states
from mnist_exp.sweep.launchers.launcher import Launcher
from mnist_exp.sweep.plan import Job, Plan, Sweep
from mnist_exp.sweep.progress import Progress
from mnist_exp.terminal import messages
from mnist_exp.terminal.messages import pluralize
from mnist_exp.tracking.uploader_process import upload_in_background

log = logging.getLogger(__name__)

ENDED = frozenset({"pruned", "failed", "diverged"})  # beside those that completed


def start(parsed: argparse.Namespace) -> int:
    """Train every point of a command line with `-m`, or search among them.

    Raises:
        UserError: it cannot be used, or no directory can be made.
        KeyboardInterrupt, Interrupted: after telling what is there.
    """
    execution = _execution(parsed)
    if isinstance(execution.sweeper, OptunaSweeperConfig):
        from mnist_exp.commands import search

        return search.start(parsed, execution, execution.sweeper)
    with messages.spinner("checking every point"):
        points = composition.points(parsed)
    jobs, experiments = plan.extended([], points)
    first = points[0].experiment
    if first.sweep.dry_run:
        return _list(jobs)
    launchers.check(execution.launcher)
    tracking.check_installed(first.tracker)
    sweep = create(parsed, first, jobs)
    with plan.locked(sweep):
        source = PlannedJobs([(job, experiments[job.number]) for job in jobs], len(jobs))
        return conduct(sweep, launchers.build(sweep, execution.launcher, first), source, first, [])


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
    with plan.locked(sweep):
        known = plan.read(sweep)
        flags = [f"--config-dir={known.config_dir}"] if known.config_dir else []
        flags += [f"--config-name={known.config_name}"] if known.config_name else []
        parsed = composition.parse_arguments(["-m", *flags, *known.overrides, *overrides])
        execution = _execution(parsed)
        if isinstance(execution.sweeper, OptunaSweeperConfig):
            from mnist_exp.commands import search

            return search.resume(sweep, known, parsed, execution, execution.sweeper, retry_failed)
        how = [line for line in overrides if _is_how(line)]
        jobs, new = list(known.jobs), dict[int, Experiment]()
        if len(how) < len(overrides):
            _check_unchanged(sweep, _one_of_each(jobs), parsed, how)
            jobs, new = plan.extended(jobs, composition.points(parsed))
        missing, ended = _missing(sweep, jobs, retry_failed)
        old = [job for job in missing if job.number not in new]
        experiments = new | _check_unchanged(sweep, old, parsed, how)
        if missing and experiments[missing[0].number].sweep.dry_run:
            return _list(missing)
        if len(jobs) > len(known.jobs):
            extensions = (*known.extensions, tuple(overrides))
            plan.write(sweep, known.model_copy(update={"extensions": extensions, "jobs": tuple(jobs)}))
        if not missing:
            return results.finish_sweep(sweep, len(jobs))
        source = PlannedJobs([(job, experiments[job.number]) for job in missing], len(jobs))
        first = experiments[missing[0].number]
        return conduct(sweep, launchers.build(sweep, execution.launcher, first), source, first, ended)


def _execution(parsed: argparse.Namespace) -> HydraConfig:
    """How the points are found and where they run.

    Raises:
        ConfigError: everything that is wrong with the command line.
    """
    try:
        return composition.execution(parsed)
    except ConfigError:  # Hydra names one thing; what is wrong with the points says more, if anything is
        composition.points(parsed)
        raise


def create(parsed: argparse.Namespace, experiment: Experiment, jobs: Sequence[Job]) -> Sweep:
    """Make a sweep's directory, with its plan.

    Raises:
        EnvironmentFailure: it cannot be made.
    """
    sweep = Sweep(create_directory(Path(experiment.runs_dir).expanduser(), experiment.sweep.name))
    made = Plan(
        layout=1,
        created=now(),
        version=__version__,
        config_dir=None if parsed.config_dir is None else str(Path(parsed.config_dir).resolve()),
        config_name=parsed.config_name,
        overrides=tuple(parsed.overrides),
        extensions=(),
        jobs=tuple(jobs),
    )
    plan.write(sweep, made)
    return sweep


def conduct(sweep: Sweep, launcher: Launcher, source: JobSource, experiment: Experiment, ended: Sequence[Job]) -> int:
    """Have the jobs of a source trained, and tell what came of the whole sweep; its exit code.

    Args:
        sweep: which this process holds.
        launcher: where jobs run.
        source: of the jobs that are missing.
        experiment: any of them, for the settings that all share.
        ended: the jobs that are not missing.
    """
    with logs.log_to_file(sweep.log), upload_in_background(sweep.directory, experiment.tracker):
        states = job_states(sweep, ended)
        told = f"{sweep.directory}: {pluralize(source.total - len(ended), 'job')} to train, {launcher.parallel_jobs} at once"
        told += f"; {len(ended):,} are done" if ended else ""
        log.info("%s", told)
        if experiment.progress != "quiet":
            messages.note(told)
        progress = Progress(source.total, launcher.parallel_jobs, states)
        try:
            Driver(sweep, experiment.sweep, launcher, display(experiment.progress, sweep)).run(source, progress)
        except (KeyboardInterrupt, Interrupted):
            results.finish_sweep(sweep, source.total, interrupted=True)
            raise
        return results.finish_sweep(sweep, source.total, launcher.peak_memory)


def _missing(sweep: Sweep, jobs: Sequence[Job], retry_failed: bool) -> tuple[list[Job], list[Job]]:
    """The jobs that are to be trained, and those that are not."""
    missing: list[Job] = []
    ended: list[Job] = []
    for job in jobs:
        record = read_record(sweep.run(job).directory)
        done = record.summary is not None or (record.status in ENDED and not retry_failed)
        (ended if done else missing).append(job)
    return missing, ended


def _check_unchanged(
    sweep: Sweep, jobs: Sequence[Job], parsed: argparse.Namespace, how: Sequence[str]
) -> dict[int, Experiment]:
    """The experiments of jobs by number; overrides must still mean what they did when the jobs were planned.

    Raises:
        InputError: those of one do not.
    """
    experiments = composition.recomposed(parsed, [(*job.overrides, *how) for job in jobs])
    for job, experiment in zip(jobs, experiments, strict=True):
        if (config_hash(experiment), experiment.seed) != (job.config_hash, job.seed):
            cause = f"job {job.number} of {sweep.directory}: its overrides mean another experiment now"
            raise InputError(cause, "restore the options in conf/ and --config-dir, or start a new sweep")
    return {job.number: experiment for job, experiment in zip(jobs, experiments, strict=True)}


def _one_of_each(jobs: Sequence[Job]) -> list[Job]:
    """A job of each configuration."""
    return list({job.config_hash: job for job in jobs}.values())


def _list(jobs: Sequence[Job]) -> int:
    """Print what would be trained."""
    for job in jobs:
        print(messages.sanitize(f"{job.number:>4}  {' '.join(job.overrides)}"))
    print(pluralize(len(jobs), "job"))
    return EXIT_DONE


def _is_how(line: str) -> bool:
    """Whether an override only says how jobs are run, and makes no other experiment of them."""
    key = line.lstrip("+~").partition("=")[0]
    return key.startswith("hydra") or not_identity(key)
